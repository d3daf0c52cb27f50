"""From the section `target` to a network that takes its weights as an argument."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from hypercl.config import UserError
from hypercl.config.models.target import MLP, ImportedTarget, LeNet, ResNet32, WideResNet, ZenkeNet
from hypercl.targets.generated import GeneratedModel, generated_parameters
from hypercl.targets.images import require_images
from hypercl.targets.imported import import_module_of
from hypercl.targets.lenet import LeNetModule
from hypercl.targets.mlp import MLPNet
from hypercl.targets.resnet import ResNet
from hypercl.targets.wide_resnet import WideResNetModule
from hypercl.targets.zenkenet import ZenkeNetModule

AnyTarget = MLP | LeNet | ZenkeNet | ResNet32 | WideResNet | ImportedTarget

_counts: dict[tuple[str, tuple[int, ...], int, tuple[str, ...]], int] = {}


def build_target(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, import_paths: Sequence[Path] = ()
) -> GeneratedModel:
    """The target of a settings section, on the CPU.

    What the module does not let be generated (frozen parameters, initial buffers) is drawn from a fixed seed, so that
    two processes hold the same constants; the global random state is left as it was.

    Args:
        config: which network.
        input_shape: of one input, (channels, height, width).
        num_outputs: outputs of the target, all heads together.
        import_paths: folders in which an import path is looked for, before what is installed.

    Raises:
        UserError: the module cannot be found, built, or run on such inputs (images that are too small, say); nothing
            in it can be generated; it does not return (batch, num_outputs); `target.head` is not a linear layer with
            so many outputs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = _module(config, input_shape, num_outputs, import_paths)
    head = config.head if isinstance(config, ImportedTarget) else None
    return GeneratedModel(module, input_shape, num_outputs, head)


def draw_weights(
    config: AnyTarget,
    input_shape: tuple[int, ...],
    num_outputs: int,
    seed: int,
    import_paths: Sequence[Path] = (),
) -> Tensor:
    """The weights that the module of a settings section begins with, by its own initialisation: (num_weights,).

    Args:
        config: which network.
        input_shape: of one input.
        num_outputs: outputs of the target, all heads together.
        seed: of torch's random numbers while the module is built; the global state is left as it was.
        import_paths: folders in which an import path is looked for, before what is installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = _module(config, input_shape, num_outputs, import_paths)
    return torch.cat([parameter.detach().flatten() for parameter in generated_parameters(module).values()])


def count_weights(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, import_paths: Sequence[Path] = ()
) -> int:
    """Weights to be generated for the target of a settings section; no memory is taken for them where that works.

    Raises:
        UserError: the module cannot be found or built, or has more weights than can be counted.
    """
    key = (config.model_dump_json(), tuple(input_shape), num_outputs, tuple(map(str, import_paths)))
    if key not in _counts:
        with torch.random.fork_rng(devices=[]):
            try:
                with torch.device("meta"):
                    module = _module(config, input_shape, num_outputs, import_paths)
            except RuntimeError as error:  # torch cannot even count the numbers of a tensor
                raise UserError(
                    f"target: {config.name} is too large for inputs of shape {tuple(input_shape)}: {error}"
                ) from error
            except UserError:  # a constructor that reads values cannot run without any
                module = _module(config, input_shape, num_outputs, import_paths)
        _counts[key] = sum(parameter.numel() for parameter in generated_parameters(module).values())
    return _counts[key]


def _module(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, import_paths: Sequence[Path]
) -> nn.Module:
    match config:
        case ImportedTarget():
            return import_module_of(config, num_outputs, import_paths)
        case MLP():
            return MLPNet(config, input_shape, num_outputs)
        case LeNet():
            return LeNetModule(config, input_shape, num_outputs)
        case ZenkeNet():
            return ZenkeNetModule(config, input_shape, num_outputs)
        case WideResNet():
            return WideResNetModule(config, input_shape, num_outputs)
        case ResNet32():
            require_images(config.name, input_shape)
            return ResNet(input_shape[0], num_outputs, blocks=5)
