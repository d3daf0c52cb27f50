import sys

import pytest
import torch
from torch import nn

from hypercl.config import UserError
from hypercl.config.models.target import LSTM, MLP, ImportedTarget, ResNet32, Transformer
from hypercl.targets import build_target, count_weights
from hypercl.targets.networks import ResNet

TARGETS = {
    "mlp": (MLP(hidden=(20, 10), activation="tanh"), (1, 8, 8), 64 * 20 + 20 + 210 + 66),
    "linear": (MLP(hidden=()), (1, 8, 8), 64 * 6 + 6),
    "resnet32": (ResNet32(), (3, 32, 32), 468_540 - 54 * 65),
    "lstm": (LSTM(hidden=(5,)), (1, 8, 8), 4 * 5 * 14 + 36),
    "transformer": (Transformer(width=8, layers=1), (1, 8, 8), 16 * 8 + 8 + 32 + 872 + 16 + 54),
    "import": (ImportedTarget(path="torchvision.models:resnet18"), (3, 32, 32), 11_179_590),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_built_and_counted_alike(name):
    config, shape, num_weights = TARGETS[name]
    model = build_target(config, shape, 6)
    assert model.num_weights == num_weights
    assert count_weights(config, shape, 6) == num_weights
    outputs, _ = model(model.initial_weights(), model.initial_buffers(), torch.randn(3, *shape), True)
    assert outputs.shape == (3, 6)
    assert (model.output_of() >= 0).sum() % 6 == 0


@pytest.mark.parametrize(
    ("hidden", "pixels", "outputs", "num_weights"),
    [((400, 400), 28, 10, 478_410), ((1000, 1000), 32, 100, 2_126_100), ((1000, 1000), 32, 1000, 3_027_000)],
    ids=["split_mnist", "permuted_mnist", "permuted_mnist_100"],
)
def test_the_papers_mlps_have_the_papers_sizes(hidden, pixels, outputs, num_weights):
    assert count_weights(MLP(hidden=hidden), (1, pixels, pixels), outputs) == num_weights


def test_the_papers_resnet_has_468540_weights():
    assert count_weights(ResNet32(), (3, 32, 32), 60) == 468_540


def test_counting_takes_no_memory_for_weights():
    assert count_weights(MLP(hidden=(1_000_000, 1_000_000)), (1, 8, 8), 10) == 1_000_076_000_010


def test_counting_falls_back_to_the_cpu_where_a_constructor_reads_values(tmp_path):
    (tmp_path / "reading_net.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Linear):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__(4, num_classes)\n"
        "        self.norm = self.weight.abs().sum().item()\n"
    )
    assert count_weights(ImportedTarget(path="reading_net:Net"), (4,), 3, [tmp_path]) == 15


def test_a_count_is_kept(tmp_path):
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "counted_net.py").write_text(
        "import torch\nmade = []\ndef net(num_classes):\n    made.append(1)\n"
        "    return torch.nn.Linear(4, num_classes)\n"
    )
    config = ImportedTarget(path="counted_net:net")
    assert [count_weights(config, (4,), outputs, [folder]) for outputs in (3, 3, 5)] == [15, 15, 25]
    assert len(sys.modules["counted_net"].made) == 2


def test_constants_of_a_module_are_the_same_in_every_process(tmp_path):
    (tmp_path / "frozen_net.py").write_text(
        "import torch\n"
        "def net(num_classes):\n"
        "    frozen = torch.nn.Linear(4, 5).requires_grad_(False)\n"
        "    return torch.nn.Sequential(frozen, torch.nn.Linear(5, num_classes))\n"
    )
    config = ImportedTarget(path="frozen_net:net")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = build_target(config, (4,), 3, [tmp_path])
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    second = build_target(config, (4,), 3, [tmp_path])
    assert torch.equal(first.module.state_dict()["0.weight"], second.module.state_dict()["0.weight"])
    assert list(first.shapes) == ["1.weight", "1.bias"]


def test_a_resnet_without_images_is_refused():
    with pytest.raises(UserError, match=r"resnet32 reads images .* not inputs of shape \(64,\)"):
        build_target(ResNet32(), (64,), 6)


def test_a_head_by_name_must_be_there():
    config = ImportedTarget(path="torchvision.models:resnet18", head="classifier")
    with pytest.raises(UserError, match=r"(?s)no linear layer 'classifier'.*fc \(512 to 6\)"):
        build_target(config, (3, 32, 32), 6)


def test_resnet32_has_the_papers_layout():
    module = ResNet(3, 60, blocks=5)
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 31
    assert all(layer.bias is not None and layer.kernel_size == (3, 3) for layer in convolutions)
    assert [layer.out_channels for layer in convolutions] == [16] * 11 + [32] * 10 + [64] * 10
    assert [place for place, layer in enumerate(convolutions) if layer.stride == (2, 2)] == [11, 21]
    assert len([layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]) == 31


def test_a_type_a_shortcut_takes_every_second_pixel_and_pads_channels_on_both_sides():
    block = ResNet(3, 60, blocks=5).blocks[5]
    images = torch.randn(2, 16, 8, 8)
    shortcut = block.shortcut(images)
    assert shortcut.shape == (2, 32, 4, 4)
    assert torch.equal(shortcut[:, 8:24], images[:, :, ::2, ::2])
    assert not shortcut[:, :8].any()
    assert not shortcut[:, 24:].any()


def test_a_block_whose_residual_is_zero_passes_its_shortcut_on():
    module = ResNet(3, 6, blocks=1).eval()
    block = module.blocks[1]
    nn.init.zeros_(block.norm2.weight)
    images = torch.rand(2, 16, 8, 8)
    assert torch.equal(block(images), block.shortcut(images))


def test_an_mlp_is_linear_layers_with_an_activation_between():
    model = build_target(MLP(hidden=(5, 4), activation="tanh"), (1, 2, 3), 2)
    inputs = torch.randn(7, 1, 2, 3)
    weights = torch.randn(model.num_weights)
    w1, b1, w2, b2, w3, b3 = model.split(weights).values()
    hidden = torch.tanh(torch.tanh(inputs.flatten(1) @ w1.T + b1) @ w2.T + b2)
    torch.testing.assert_close(model(weights, {}, inputs, True)[0], hidden @ w3.T + b3)


def test_a_target_of_more_weights_than_can_be_counted_is_told() -> None:
    with pytest.raises(UserError, match=r"target: mlp is too large for inputs of shape \(1000000, 1000000, 1000000\)"):
        count_weights(MLP(), (10**6, 10**6, 10**6), 10)
