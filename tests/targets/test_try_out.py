"""Whatever a user's module does, it works and equals the plain module, or one message says what and why."""

import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hypercl.config import UserError
from hypercl.targets import GeneratedModel

CPU = torch.device("cpu")


class Net(nn.Module):
    """A small network; the subclasses each do one thing that people do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(inputs)))


class Scalar(Net):
    """ReZero's alpha, a parameter without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(0.5))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.alpha * super().forward(inputs)


class InPlace(Net):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.sub_(0.5))


class Lists(Net):
    """Parameters in a list and a dict, one of them scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ParameterList([torch.ones(3), torch.tensor(2.0)])
        self.shifts = nn.ParameterDict({"last": nn.Parameter(torch.zeros(1, 3))})

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) * self.scales[0] * self.scales[1] + self.shifts["last"]


class Double(Net):
    """In float64, and converts its inputs and weights itself."""

    def __init__(self) -> None:
        super().__init__()
        self.double()

    def forward(self, inputs: Tensor) -> Tensor:
        weight, bias = self.first.weight.float(), self.first.bias.float()
        hidden = torch.relu(nn.functional.linear(inputs, weight, bias))
        return nn.functional.linear(hidden, self.last.weight.float(), self.last.bias.float())


class Buffered(Net):
    """A running mean that it replaces instead of changing it in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * inputs.mean(0)
        return super().forward(inputs - self.mean)


WORKING = {
    "a scalar": Scalar,
    "changes its inputs": InPlace,
    "parameters in lists": Lists,
    "float64 that converts": Double,
    "replaces a buffer": Buffered,
    "normalised weights": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))),
    "in-place activation first": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 3)),
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("make", WORKING.values(), ids=WORKING)
def test_a_module_equals_itself_and_leaves_its_inputs_alone(make, batch, training):
    plain = make()
    model = GeneratedModel(make(), (6,), 3)
    weights = torch.cat([value.detach().flatten().float() for value in plain.parameters()])
    inputs = torch.randn(batch, 6)
    before = inputs.clone()
    buffers = {name: value.clone() for name, value in plain.named_buffers()}
    outputs, _ = model(weights, buffers, inputs, training)
    assert torch.equal(inputs, before)
    plain.train(training)
    torch.testing.assert_close(outputs, plain(inputs.clone()).float())


@pytest.mark.parametrize("make", WORKING.values(), ids=WORKING)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_several_vectors_of_weights_give_what_each_gives_alone(make, device, monkeypatch):
    model = GeneratedModel(make(), (6,), 3)
    if (
        device == "cuda" and make is not WORKING["normalised weights"]
    ):  # the way of a GPU, on the CPU; no vmap for those
        monkeypatch.setattr(model, "way", lambda *_: "vmap")
    weights, inputs = torch.randn(3, model.num_weights), torch.randn(4, 6)
    stacked = {name: torch.stack([value] * 3) for name, value in model.initial_buffers().items()}
    outputs, _ = model.bundle(weights, stacked, inputs, training=True)
    alone = [model(vector, model.initial_buffers(), inputs, True)[0] for vector in weights]
    torch.testing.assert_close(outputs, torch.stack(alone))


class InFloat64(Net):
    def __init__(self) -> None:
        super().__init__()
        self.double()

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.double())


class WithoutGradient(Net):
    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs)


class TupleInEvaluation(Net):
    def forward(self, inputs: Tensor) -> Tensor:
        outputs = super().forward(inputs)
        return outputs if self.training else (outputs, outputs)


class ClassesInEvaluation(Net):
    def forward(self, inputs: Tensor) -> Tensor:
        outputs = super().forward(inputs)
        return outputs if self.training else outputs.argmax(1)


class Integers(Net):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).round().long()


class TwoOnly(Net):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.reshape(2, 6))


class Clamped(Net):
    def forward(self, inputs: Tensor) -> Tensor:
        self.first.weight.data.clamp_(-0.01, 0.01)
        return super().forward(inputs)


class MaxNorm(Net):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(17, 6, max_norm=1.0)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.table((inputs[:, 0] * 16).long()))


class Remembering(Net):
    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.zeros(6)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.5 * self.mean + 0.5 * inputs.mean(0)
        return super().forward(inputs - self.mean)


class OwnGenerator(Net):
    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs + torch.rand(inputs.shape, generator=self.generator))


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, dtype=torch.cfloat))

    def forward(self, inputs: Tensor) -> Tensor:
        return (torch.fft.rfft(inputs)[:, None] * self.weight).abs().sum(2)


REFUSED = {
    "float64": (InFloat64, "(?s)cannot run on inputs.*float32: remove .double"),
    "no gradient": (WithoutGradient, "no gradient reaches the weights of WithoutGradient"),
    "a tuple in evaluation": (TupleInEvaluation, "returned a tuple .* in evaluation"),
    "classes in evaluation": (ClassesInEvaluation, r"returned shape \(5,\) .* in evaluation, not \(5, 3\)"),
    "integers": (Integers, "returned torch.int64"),
    "two samples only": (TwoOnly, r"cannot run on inputs of shape \(5, 6\)"),
    "clamps its weights": (Clamped, r"changes its weights \(first.weight\)"),
    "max_norm": (MaxNorm, "cannot run .* in training"),
    "state beside buffers": (Remembering, "(?s)other outputs for the same weights.*register_buffer"),
    "a generator of its own": (OwnGenerator, "(?s)other outputs for the same weights.*global random"),
    "complex": (Complex, r"(?s)complex parameters \(weight\).*view_as_complex"),
    "scripted": (lambda: torch.jit.script(Net()), "scripted"),
    "all scripted inside": (lambda: nn.Sequential(torch.jit.script(Net())), "scripted"),
}


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused_in_one_message_when_it_is_built(make, message):
    with pytest.raises(UserError, match=message):
        GeneratedModel(make(), (6,), 3)


def test_a_module_that_fails_on_a_training_batch_of_one_says_why():
    model = GeneratedModel(nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)), (6,), 3)
    assert "more than 1 value per channel" in model.fails_on_one
    assert GeneratedModel(Net(), (6,), 3).fails_on_one == ""


def test_weights_that_are_never_read_are_named():
    class Unread(Net):
        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.Linear(6, 2)

    assert GeneratedModel(Unread(), (6,), 3).unread == ("spare.weight", "spare.bias")
    assert GeneratedModel(Net(), (6,), 3).unread == ()


DRAWS = {
    "torch": lambda shape: torch.rand(shape),
    "numpy": lambda shape: torch.from_numpy(np.random.rand(*shape)).float(),
    "random": lambda shape: torch.full(shape, random.random()),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_draws_in_forward_come_from_the_seed_alone_and_leave_the_global_state(draw, training):
    class Noisy(Net):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs + draw(inputs.shape))

    model, inputs = GeneratedModel(Noisy(), (6,), 3), torch.zeros(4, 6)
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()
    first, again, other = (model(model.initial_weights(), {}, inputs, training, seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) is not training  # evaluation draws the same each time
    assert (before[0] == torch.get_rng_state()).all()
    assert before[1:] == (np.random.get_state()[1].tobytes(), random.getstate())
    assert model.way(CPU, training) == "loop"
