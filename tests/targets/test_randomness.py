"""Dropout masks come from a seed; torch's global state is left as it was."""

import pytest
import torch
from torch import Tensor, nn

from hypercl.config.models.target import MLP
from hypercl.targets import GeneratedModel, build_target
from hypercl.targets.bundled import drawn_from

CPU = torch.device("cpu")


class OwnDropout(nn.Module):
    """As users write it: the functional form, and a draw without any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(30, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return self.layer(inputs)
        dropped = nn.functional.dropout(inputs, 0.5)
        return self.layer(dropped + torch.rand_like(dropped))


MODELS = {
    "a layer": lambda: GeneratedModel(nn.Sequential(nn.Dropout(0.5), nn.Linear(30, 4)), (30,), 4),
    "of a user's own": lambda: GeneratedModel(OwnDropout(), (30,), 4),
    "the mlp's": lambda: build_target(MLP(hidden=(20,), dropout=0.3), (30,), 4),
}
each_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


@each_model
def test_masks_are_a_function_of_the_seed(make):
    model, inputs = make(), torch.ones(6, 30)
    weights = model.initial_weights()
    torch.manual_seed(1)
    first = model(weights, {}, inputs, True, 11)[0]
    torch.manual_seed(2)
    assert torch.equal(model(weights, {}, inputs, True, 11)[0], first)
    assert not torch.equal(model(weights, {}, inputs, True, 12)[0], first)


@each_model
def test_the_global_state_is_neither_read_nor_moved(make):
    model, inputs = make(), torch.ones(6, 30)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    outputs, _ = model(model.initial_weights().requires_grad_(), {}, inputs, True, 11)
    outputs.sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_masks_come_from_the_global_state():
    model, inputs = MODELS["a layer"](), torch.ones(6, 30)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(model(model.initial_weights(), {}, inputs, True)[0])
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_the_state_is_put_back_after_an_error():
    before = torch.get_rng_state()

    def fail() -> None:
        with drawn_from(1, CPU):
            torch.rand(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_too():
    device = torch.device("cuda", 0)
    before = torch.get_rng_state(), torch.cuda.get_rng_state(device)
    draws = []
    for seed in (1, 1, 2):
        with drawn_from(seed, device):
            draws.append(torch.rand(5, device=device))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(device), before[1])
