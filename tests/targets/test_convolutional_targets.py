"""LeNet, ZenkeNet and the wide residual network: sizes, layouts, dropout."""

import pytest
import torch
from hypnettorch.mnets.wide_resnet import WRN
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from hypercl.config import UserError
from hypercl.config.models.target import MLP, LeNet, ResNet18, WideResNet, ZenkeNet
from hypercl.targets import build_target, count_weights


@pytest.mark.parametrize(
    ("config", "shape", "outputs", "weights"),
    [
        (LeNet(), (1, 28, 28), 10, 431_080),
        (LeNet(channels=(10, 20), hidden=50), (1, 28, 28), 10, 21_840),
        (LeNet(channels=(192, 192), hidden=1000), (3, 32, 32), 10, 5_747_394),
        (ZenkeNet(), (3, 32, 32), 60, 1_276_508),
        (WideResNet(), (3, 32, 32), 10, 36_479_194),
        (ResNet18(), (3, 32, 32), 10, 11_173_962),
        (ResNet18(stem="large"), (3, 224, 224), 1000, 11_689_512),
    ],
    ids=["lenet", "small lenet", "lenet for cifar", "zenkenet", "wrn-28-10", "resnet18", "resnet18 for imagenet"],
)
def test_a_published_network_has_its_published_size(config, shape, outputs, weights):
    assert count_weights(config, shape, outputs) == weights


@pytest.mark.parametrize(("blocks", "width"), [(1, 2), (2, 3)])
def test_a_wide_resnet_is_as_large_as_hypnettorchs(blocks, width):
    theirs = WRN(num_classes=7, n=blocks, k=width, use_bias=False, use_fc_bias=True, no_weights=True, verbose=False)
    assert count_weights(WideResNet(blocks=blocks, width=width), (3, 32, 32), 7) == theirs.num_params


def test_lenet_is_two_convolutions_with_pooling_and_a_hidden_layer():
    model = build_target(LeNet(channels=(3, 4), hidden=5), (2, 17, 20), 6)
    inputs, weights = torch.randn(7, 2, 17, 20), torch.randn(model.num_weights) / 5
    w1, b1, w2, b2, w3, b3, w4, b4 = model.split(weights).values()
    hidden = functional.max_pool2d(functional.conv2d(inputs, w1, b1).relu(), 2)
    hidden = functional.max_pool2d(functional.conv2d(hidden, w2, b2).relu(), 2)
    hidden = (hidden.flatten(1) @ w3.T + b3).relu()
    torch.testing.assert_close(model(weights, {}, inputs, True)[0], hidden @ w4.T + b4)


def test_zenkenet_has_the_papers_layout():
    model = build_target(ZenkeNet(conv_dropout=0.0, dropout=0.0), (3, 32, 32), 6)
    inputs, weights = torch.randn(2, 3, 32, 32), torch.randn(model.num_weights) / 20
    parts = list(model.split(weights).values())
    hidden = inputs
    for layer in range(4):
        same = layer % 2 == 0
        hidden = functional.conv2d(hidden, parts[2 * layer], parts[2 * layer + 1], padding=int(same)).relu()
        hidden = hidden if same else functional.max_pool2d(hidden, 2)
    assert hidden.shape == (2, 64, 6, 6)
    hidden = (hidden.flatten(1) @ parts[8].T + parts[9]).relu()
    assert hidden.shape == (2, 512)
    assert not model.random
    torch.testing.assert_close(model(weights, {}, inputs, True)[0], hidden @ parts[10].T + parts[11])


def test_a_wide_resnet_halves_the_image_twice_and_normalises_before_it_convolves():
    module = build_target(WideResNet(blocks=2, width=1), (3, 16, 16), 5).module
    images = torch.randn(2, 3, 16, 16)
    sizes = []
    for block in module.blocks:
        block.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[1:])))
    module(images)
    assert sizes == [(16, 16, 16)] * 2 + [(32, 8, 8)] * 2 + [(64, 4, 4)] * 2
    first = module.blocks[0].eval()
    inputs = torch.randn(2, 16, 16, 16)
    residual = first.conv1(first.norm1(inputs).relu())
    torch.testing.assert_close(first(inputs), inputs + first.conv2(first.norm2(residual).relu()))
    widened = module.blocks[2].eval()
    nn.init.zeros_(widened.conv2.weight)
    torch.testing.assert_close(widened(inputs), widened.shortcut(widened.norm1(inputs).relu()))


@pytest.mark.parametrize(("config", "smallest"), [(LeNet(), 16), (ZenkeNet(), 10)], ids=["lenet", "zenkenet"])
def test_images_that_are_too_small_are_refused_with_the_sizes(config, smallest):
    build_target(config, (1, smallest, smallest), 4)
    with pytest.raises(UserError, match=rf"{config.name} needs .* {smallest} x {smallest} pixels, not {smallest} x 8"):
        build_target(config, (1, smallest, 8), 4)
    with pytest.raises(UserError, match=f"at least {smallest} x {smallest}"):
        count_weights(config, (1, smallest - 1, smallest), 4)


@pytest.mark.parametrize("config", [LeNet(), ZenkeNet(), WideResNet(blocks=1, width=1)], ids=lambda each: each.name)
def test_inputs_that_are_no_images_are_refused(config):
    with pytest.raises(UserError, match=rf"{config.name} reads images .* not inputs of shape \(64,\)"):
        build_target(config, (64,), 6)


def test_zenkenet_drops_whole_channels_and_single_hidden_units():
    module = build_target(ZenkeNet(conv_dropout=0.4, dropout=0.7), (3, 16, 16), 4).module.train()
    channels, units = torch.ones(200, 32, 3, 3), torch.ones(200, 512)
    dropped = module.conv_dropout(channels)
    assert ((dropped == 0).flatten(2).all(2) == (dropped == 0).flatten(2).any(2)).all()
    assert float((dropped == 0).float().mean()) == pytest.approx(0.4, abs=0.05)
    assert float((module.dropout(units) == 0).float().mean()) == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (ZenkeNet(conv_dropout=0.0), (3, 16, 16)),
        (ZenkeNet(dropout=0.0), (3, 16, 16)),
        (LeNet(channels=(3, 3), hidden=20, dropout=0.5), (1, 16, 16)),
        (WideResNet(blocks=1, width=1, dropout=0.3), (3, 8, 8)),
        (MLP(hidden=(30, 20), dropout=0.5), (1, 4, 4)),
    ],
    ids=["zenkenet units", "zenkenet channels", "lenet", "wide_resnet", "mlp"],
)
def test_dropout_changes_answers_in_training_alone(config, shape):
    model = build_target(config, shape, 4)
    assert model.random
    weights, buffers, inputs = model.initial_weights(), model.initial_buffers(), torch.rand(8, *shape)
    first, second = (model(weights, buffers, inputs, True, seed)[0] for seed in (1, 2))
    assert not torch.equal(first, second)
    first, second = (model(weights, buffers, inputs, False, seed)[0] for seed in (1, 2))
    assert torch.equal(first, second)


def test_an_mlp_with_batch_norm_normalises_before_each_activation():
    model = build_target(MLP(hidden=(5, 4), batch_norm=True, activation="tanh"), (1, 2, 3), 2)
    inputs, weights = 3 + torch.randn(7, 1, 2, 3), torch.randn(model.num_weights)
    layers = model.split(weights)
    hidden = inputs.flatten(1)
    for layer in range(2):
        made = hidden @ layers[f"layers.{layer}.weight"].T + layers[f"layers.{layer}.bias"]
        scaled = (made - made.mean(0)) / (made.var(0, unbiased=False) + 1e-5).sqrt()
        hidden = torch.tanh(scaled * layers[f"norms.{layer}.weight"] + layers[f"norms.{layer}.bias"])
    outputs, buffers = model(weights, model.initial_buffers(), inputs, True)
    torch.testing.assert_close(outputs, hidden @ layers["layers.2.weight"].T + layers["layers.2.bias"])
    assert buffers["norms.0.running_mean"].abs().sum() > 0
    assert (model.output_of() >= 0).sum() == 2 * 5


@pytest.mark.parametrize("option", [{"dropout": 0.1}, {"batch_norm": True}])
def test_an_mlp_without_hidden_layers_has_nothing_to_drop_or_normalise(option):
    with pytest.raises(ValidationError, match="hidden is \\[\\]"):
        MLP(hidden=(), **option)
