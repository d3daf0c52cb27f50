import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small, resnet18

from hypercl.config import UserError
from hypercl.targets import GeneratedModel


class Tied(nn.Module):
    """Two layers that share a matrix, a buffer that counts calls in training, one that is replaced, a frozen layer."""

    calls: Tensor
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6, bias=False)
        self.second.weight = self.first.weight
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.head = nn.Linear(6, 4)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
            self.mean = 0.9 * self.mean + 0.1 * inputs.mean(0)
        hidden = torch.tanh(self.first(inputs.flatten(1) - self.mean))
        return self.head(self.frozen(torch.tanh(self.second(hidden))))


class Dropping(nn.Module):
    """Draws random numbers without a dropout layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.dropout(self.layer(inputs.flatten(1)), 0.5, self.training)


MODULES = {
    "resnet18": (lambda: resnet18(num_classes=6), (3, 33, 32), 6),
    "mobilenet_v3_small": (lambda: mobilenet_v3_small(num_classes=6, dropout=0.0), (3, 32, 32), 6),
    "tied weights and buffers": (Tied, (6,), 4),
}
each_module = pytest.mark.parametrize("name", MODULES)


def built(name: str) -> tuple[nn.Module, GeneratedModel, Tensor]:
    """A module, another instance of it behind `GeneratedModel`, and inputs. The two hold different parameters."""
    make, shape, outputs = MODULES[name]
    torch.manual_seed(1)
    plain, wrapped = make(), make()
    if isinstance(plain, Tied):
        wrapped.frozen.load_state_dict(plain.frozen.state_dict())
    return plain, GeneratedModel(wrapped, shape, outputs), torch.randn(4, *shape)


def flat(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters() if p.requires_grad])


@each_module
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_given_a_modules_own_parameters_outputs_and_buffers_are_the_modules(name, training):
    plain, model, inputs = built(name)
    buffers = {key: buffer.clone() for key, buffer in plain.named_buffers()}
    outputs, after = model(flat(plain), buffers, inputs, training)
    plain.train(training)
    torch.testing.assert_close(outputs, plain(inputs), rtol=0, atol=0)
    assert list(after) == [key for key, _ in plain.named_buffers()]
    for key, buffer in plain.named_buffers():
        assert torch.equal(after[key], buffer), key


@each_module
def test_gradients_reach_the_flat_vector(name):
    plain, model, inputs = built(name)
    weights = flat(plain).requires_grad_()
    model(weights, model.initial_buffers(), inputs, True)[0].square().sum().backward()
    plain.train()
    plain(inputs).square().sum().backward()
    expected = torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None])
    torch.testing.assert_close(weights.grad, expected)


@each_module
def test_training_changes_neither_the_buffers_given_nor_the_module(name):
    _, model, inputs = built(name)
    kept = {key: tensor.clone() for key, tensor in model.module.state_dict().items()}
    buffers = model.initial_buffers()
    before = {key: buffer.clone() for key, buffer in buffers.items()}
    _, after = model(torch.randn(model.num_weights), buffers, inputs, True)
    assert all(torch.equal(buffers[key], before[key]) for key in buffers)
    assert any(not torch.equal(after[key], before[key]) for key in buffers)
    assert all(torch.equal(tensor, kept[key]) for key, tensor in model.module.state_dict().items())
    assert not any(buffer.requires_grad for buffer in after.values())


def test_evaluation_returns_the_buffers_it_was_given():
    _, model, inputs = built("tied weights and buffers")
    buffers = model.initial_buffers()
    assert model(model.initial_weights(), buffers, inputs, False)[1] is buffers


def test_a_tied_weight_is_generated_once_and_a_frozen_one_not():
    _, model, _ = built("tied weights and buffers")
    assert list(model.shapes) == ["first.weight", "first.bias", "head.weight", "head.bias"]
    assert model.num_weights == 36 + 6 + 24 + 4
    assert torch.equal(model.initial_weights(), flat(model.module))


def test_the_parts_are_views_of_the_flat_vector():
    _, model, _ = built("tied weights and buffers")
    weights = torch.arange(float(model.num_weights))
    parts = model.split(weights)
    assert {name: part.shape for name, part in parts.items()} == model.shapes
    assert torch.equal(torch.cat([part.flatten() for part in parts.values()]), weights)
    parts["head.bias"].zero_()
    assert not weights[-4:].any()
    assert model.split(torch.zeros(3, model.num_weights))["head.weight"].shape == (3, 4, 6)


def test_a_weight_of_the_head_belongs_to_its_output_and_no_other_does():
    _, model, _ = built("tied weights and buffers")
    owners = model.split(model.output_of())
    assert (owners["first.weight"] == -1).all()
    assert owners["head.bias"].tolist() == [0, 1, 2, 3]
    assert owners["head.weight"].tolist() == [[unit] * 6 for unit in range(4)]


@each_module
def test_changing_a_heads_own_weights_changes_its_output_alone(name):
    _, model, inputs = built(name)
    weights, buffers = model.initial_weights(), model.initial_buffers()
    changed = weights + (model.output_of() == 1)
    before, after = (model(w, buffers, inputs, False)[0] for w in (weights, changed))
    assert (before != after).any(0).tolist() == [unit == 1 for unit in range(model.num_outputs)]


@pytest.mark.parametrize(
    ("module", "shape", "outputs", "expected"),
    [
        (Dropping, (4,), 3, True),
        (lambda: mobilenet_v3_small(num_classes=3), (3, 32, 32), 3, True),
        (lambda: mobilenet_v3_small(num_classes=3, dropout=0.0), (3, 32, 32), 3, False),
        (Tied, (6,), 4, False),
    ],
    ids=["functional", "layer", "layer that drops nothing", "none"],
)
def test_a_model_knows_whether_it_draws_random_numbers(module, shape, outputs, expected):
    assert GeneratedModel(module(), shape, outputs).random is expected


def test_wrapping_a_module_leaves_the_random_state_alone():
    module = Dropping()
    before = torch.get_rng_state()
    GeneratedModel(module, (4,), 3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("module", "shape", "outputs", "message"),
    [
        (nn.Linear(4, 3).requires_grad_(False), (4,), 3, "no parameter of Linear requires a gradient"),
        (nn.Linear(4, 3), (5,), 3, r"Linear cannot run on inputs of shape \(2, 5\)"),
        (nn.Linear(4, 3), (4,), 6, r"Linear returned shape \(2, 3\) .* not \(2, 6\)"),
        (nn.Linear(4, 3), (2, 4), 3, r"Linear returned shape \(2, 2, 3\)"),
        (nn.LSTM(4, 3), (5, 4), 3, "LSTM returned a tuple"),
    ],
    ids=["all frozen", "other inputs", "too few outputs", "too many axes", "a tuple"],
)
def test_a_module_that_cannot_be_a_target_is_refused_with_the_reason(module, shape, outputs, message):
    with pytest.raises(UserError, match=message):
        GeneratedModel(module, shape, outputs)
