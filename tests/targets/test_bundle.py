"""A bundle gives, member for member, what calls one after the other give."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small

from hypercl.config import UserError
from hypercl.config.models.target import MLP, LeNet, ResNet32, ZenkeNet
from hypercl.targets import GeneratedModel, build_target

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Counting(nn.Module):
    """A tied layer, and buffers that are changed in place and replaced."""

    calls: Tensor
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.second.weight = self.first.weight
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(5))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
            self.mean = 0.9 * self.mean + 0.1 * inputs.mean(0)
        return self.head(torch.tanh(self.second(torch.tanh(self.first(inputs - self.mean)))))


class Branching(nn.Module):
    """Asks for a value, which torch.vmap does not have."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs if inputs.sum() > 0 else -inputs


IMAGE = (3, 32, 32)
MODELS = {
    "mlp": (lambda: build_target(MLP(hidden=(7, 6)), (2, 3), 4), "stacked", "stacked"),
    "mlp without hidden layers": (lambda: build_target(MLP(hidden=()), (5,), 4), "stacked", "stacked"),
    "mlp with dropout": (lambda: build_target(MLP(hidden=(7,), dropout=0.5), (5,), 4), "loop", "stacked"),
    "mlp with normalisation": (lambda: build_target(MLP(hidden=(7,), batch_norm=True), (5,), 4), "vmap", "vmap"),
    "a user's own": (lambda: GeneratedModel(Counting(), (5,), 3), "vmap", "vmap"),
    "not to be vmapped": (
        lambda: GeneratedModel(nn.Sequential(nn.Linear(5, 3), Branching()), (5,), 3),
        "loop",
        "loop",
    ),
    "lenet": (lambda: build_target(LeNet(), (1, 28, 28), 4), "loop", "loop"),
    "resnet": (lambda: build_target(ResNet32(), IMAGE, 4), "loop", "loop"),
    "zenkenet": (lambda: build_target(ZenkeNet(), (3, 12, 12), 4), "loop", "loop"),
}
each_model = pytest.mark.parametrize("name", MODELS)
each_mode = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
each_input = pytest.mark.parametrize("shared", [True, False], ids=["shared inputs", "own inputs"])


def given_to(model: GeneratedModel, bundle: int, shared: bool) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Weights, buffers of different values and inputs, in float64."""
    random = torch.Generator().manual_seed(1)
    weights = torch.stack([model.initial_weights().double()] * bundle)
    weights += 0.1 * torch.randn(weights.shape, generator=random, dtype=torch.float64)
    buffers = {
        name: torch.stack([value.double() + 0.1 * index if value.is_floating_point() else value + index
                           for index in range(bundle)])
        for name, value in model.initial_buffers().items()
    }  # fmt: skip
    shape = (4, *model.input_shape) if shared else (bundle, 4, *model.input_shape)
    return weights.requires_grad_(), buffers, torch.randn(shape, generator=random, dtype=torch.float64)


def one_by_one(model, weights, buffers, inputs, training, seeds) -> tuple[Tensor, dict[str, Tensor]]:
    each = inputs if inputs.dim() > len(model.input_shape) + 1 else [inputs] * len(weights)
    passes = [
        model(weights[i], {name: value[i] for name, value in buffers.items()}, each[i], training, seeds[i])
        for i in range(len(weights))
    ]
    return torch.stack([out for out, _ in passes]), {n: torch.stack([b[n] for _, b in passes]) for n in buffers}


@each_model
@each_mode
@each_input
def test_outputs_gradients_and_buffers_are_those_of_calls_one_by_one(name, training, shared):
    model = MODELS[name][0]()
    weights, buffers, inputs = given_to(model, 3, shared)
    seeds = (3, 1, 4)
    outputs, after = model.bundle(weights, buffers, inputs, training, seeds)
    expected, expected_after = one_by_one(model, weights, buffers, inputs, training, seeds)
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-11)
    assert after.keys() == buffers.keys()
    torch.testing.assert_close(after, expected_after, rtol=1e-10, atol=1e-11)
    assert not any(value.requires_grad for value in after.values())
    toward = torch.randn_like(outputs)
    grads = [torch.autograd.grad(out, weights, toward)[0] for out in (outputs, expected)]
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-10)


@each_model
def test_buffers_given_are_never_modified(name):
    model = MODELS[name][0]()
    weights, buffers, inputs = given_to(model, 2, False)
    before = {key: value.clone() for key, value in buffers.items()}
    after = model.bundle(weights, buffers, inputs, True, (1, 2))[1]
    assert all(torch.equal(buffers[key], before[key]) for key in before)
    assert all(not torch.equal(after[key], before[key]) for key in before)
    assert model.bundle(weights, buffers, inputs, False)[1] is buffers


@each_model
def test_the_way_is_the_one_that_was_measured_to_be_quickest(name):
    make, training, evaluation = MODELS[name]
    model = make()
    assert (model.way(CPU, True), model.way(CPU, False)) == (training, evaluation)
    model.require_bundle(CPU)


def test_on_a_gpu_convolutions_are_vmapped_and_dropout_still_goes_one_by_one():
    resnet, zenkenet = MODELS["resnet"][0](), MODELS["zenkenet"][0]()
    assert resnet.way(CUDA, True) == "vmap"
    assert (zenkenet.way(CUDA, True), zenkenet.way(CUDA, False)) == ("loop", "vmap")
    resnet.require_bundle(CUDA)
    zenkenet.require_bundle(CUDA)


def test_each_member_has_dropout_masks_of_its_own_seed():
    model = MODELS["mlp with dropout"][0]()
    weights, buffers, inputs = given_to(model, 2, True)
    same = torch.stack([weights[0], weights[0]])
    outputs = model.bundle(same, buffers, inputs, True, (1, 2))[0]
    assert not torch.equal(outputs[0], outputs[1])
    assert torch.equal(model.bundle(same, buffers, inputs, True, (2, 2))[0][0], outputs[1])


def test_a_layer_that_cannot_be_replicated_is_refused_by_name_where_a_loop_does_not_pay():
    model = GeneratedModel(nn.Sequential(nn.Linear(5, 3), nn.Sequential(Branching())), (5,), 3)
    with pytest.raises(UserError, match=r"layer '1\.0' \(Branching\).*\n.*training\.replicas=1"):
        model.require_bundle(CUDA)


def test_the_hooks_that_find_the_layer_are_taken_away():
    model = GeneratedModel(nn.Sequential(nn.Linear(5, 3), Branching()), (5,), 3)
    model.require_bundle(CPU)
    assert model.way(CPU, False) == "loop"
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.module.modules())


def test_a_functional_convolution_counts_as_one():
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(3, 1, 4))

        def forward(self, inputs: Tensor) -> Tensor:
            return nn.functional.conv1d(inputs, self.kernel).flatten(1)

    assert GeneratedModel(Functional(), (1, 4), 3).way(CPU, True) == "loop"


def test_vmapped_convolutions_with_statistics_agree_too():
    """What a GPU does with a module of torchvision, here on the CPU."""
    from hypercl.targets.bundled import vmapped

    model = GeneratedModel(mobilenet_v3_small(num_classes=3, dropout=0.0), IMAGE, 3)
    weights, buffers, inputs = given_to(model, 2, False)
    model.module.train(True)
    outputs, after = vmapped(model.module, model.split(weights) | buffers, tuple(buffers), inputs, shared=False)
    expected, expected_after = one_by_one(model, weights, buffers, inputs, True, (None, None))
    torch.testing.assert_close(outputs, expected, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(after, expected_after, rtol=1e-8, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    bundle=st.integers(1, 4),
    batch=st.integers(1, 4),
    hidden=st.lists(st.integers(1, 5), max_size=3),
    shared=st.booleans(),
)
def test_any_mlp_in_any_bundle(bundle, batch, hidden, shared):
    model = build_target(MLP(hidden=tuple(hidden)), (2, 2), 3)
    weights = torch.randn(bundle, model.num_weights, dtype=torch.float64)
    inputs = torch.randn(*(() if shared else (bundle,)), batch, 2, 2, dtype=torch.float64)
    expected, _ = one_by_one(model, weights, {}, inputs, True, [None] * bundle)
    torch.testing.assert_close(model.bundle(weights, {}, inputs, True)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@each_model
@each_mode
def test_on_a_gpu_outputs_and_buffers_are_those_of_calls_one_by_one(name, training):
    model = MODELS[name][0]()
    if name == "not to be vmapped":
        with pytest.raises(UserError, match="cannot be replicated on a GPU"):
            model.require_bundle(torch.device("cuda"))
        return
    weights, buffers, inputs = given_to(model, 3, False)
    weights, inputs = weights.detach().to(CUDA), inputs.to(CUDA)
    buffers = {key: value.to(CUDA) for key, value in buffers.items()}
    model.to(CUDA)
    found = model.bundle(weights, buffers, inputs, training, (3, 1, 4))
    expected = one_by_one(model, weights, buffers, inputs, training, (3, 1, 4))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)
