import copy

import pytest
import torch

from hypercl.config import UserError
from hypercl.config.models import MLP, ResNet32
from hypercl.targets import build_target, weight_shapes


@pytest.mark.parametrize(("config", "shape"), [(MLP(hidden=(6, 5)), (1, 4, 4)), (ResNet32(), (3, 8, 8))])
def test_a_gain_and_a_shift_of_zero_change_nothing(config, shape):
    plain, modulated = build_target(config, shape, 4), build_target(config, shape, 4, modulated=True)
    assert weight_shapes(config, shape, 4, modulated=True) == tuple(
        (name, tuple(size)) for name, size in modulated.shapes.items()
    )
    added = {name: size for name, size in modulated.shapes.items() if ".modulation." in name}
    assert {name: size for name, size in modulated.shapes.items() if name not in added} == plain.shapes
    inputs = torch.rand(3, *shape)
    before, _ = plain(plain.initial_weights(), plain.initial_buffers(), inputs, training=False)
    after, _ = modulated(modulated.initial_weights(), modulated.initial_buffers(), inputs, training=False)
    torch.testing.assert_close(after, before)
    assert not any(name.startswith("head") for name in added)


def test_each_hidden_unit_is_scaled_and_shifted_before_its_activation():
    model = build_target(MLP(hidden=(3,)), (2,), 2, modulated=True)
    parts = model.split(torch.randn(model.num_weights, generator=torch.Generator().manual_seed(1)))
    inputs = torch.randn(5, 2)
    hidden = inputs @ parts["layers.0.weight"].T + parts["layers.0.bias"]
    hidden = torch.relu((1 + parts["layers.0.modulation.gain"]) * hidden + parts["layers.0.modulation.shift"])
    expected = hidden @ parts["layers.1.weight"].T + parts["layers.1.bias"]
    weights = torch.cat([part.flatten() for part in parts.values()])
    torch.testing.assert_close(model(weights, {}, inputs, training=True)[0], expected)
    both = model.bundle(torch.stack([weights, weights]), {}, inputs, training=True)[0]
    torch.testing.assert_close(both, torch.stack([expected, expected]))


def test_a_copy_of_the_module_has_gains_and_shifts_of_its_own():
    module = build_target(MLP(hidden=(3,)), (2,), 2, modulated=True).module
    other = copy.deepcopy(module)
    inputs = torch.randn(5, 2)
    before = module(inputs)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if "modulation" in name:
                parameter.add_(1)
    assert torch.equal(module(inputs), before)
    assert not torch.equal(other(inputs), before)


def test_a_target_without_hidden_layers_is_refused():
    with pytest.raises(UserError, match="no linear layer or convolution before its outputs"):
        build_target(MLP(hidden=()), (2,), 2, modulated=True)
