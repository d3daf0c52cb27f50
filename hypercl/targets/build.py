"""From the section `target` to a network that takes its weights as an argument."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy  # pyright: ignore[reportUnknownVariableType]

from hypercl.config import UserError
from hypercl.config.models import (
    LSTM,
    MLP,
    ImportedTarget,
    LeNet,
    ResNet18,
    ResNet32,
    Transformer,
    WideResNet,
    ZenkeNet,
)
from hypercl.targets.generated import GeneratedModel, find_head, generated_parameters
from hypercl.targets.modulated import modulate
from hypercl.targets.networks import (
    LeNetModule,
    MLPNet,
    ResNet,
    WideResNetModule,
    ZenkeNetModule,
    require_images,
    resnet18,
)
from hypercl.targets.sequences import LSTMNet, TransformerNet
from hypercl.tensors import random_state_kept
from hypercl.user_code import user_code


def import_module_of(config: ImportedTarget, num_outputs: int, import_paths: Sequence[Path]) -> nn.Module:
    """Calls what an import path names, with the number of outputs.

    Raises:
        UserError: it is not found, importing or calling it failed, it would download weights, or it returns no
            `nn.Module`.
    """
    if config.outputs in config.kwargs:
        raise UserError(
            f"target.kwargs: '{config.outputs}' is the number of outputs, which the stream determines ({num_outputs}): "
            "remove it from target.kwargs"
        )
    with user_code("target.path", config.path, import_paths) as make, _no_downloads(config.path):
        try:
            module = make(**config.kwargs, **{config.outputs: num_outputs})
        except TypeError as error:
            if f"'{config.outputs}'" not in str(error):
                raise
            raise UserError(
                f"target.path: {config.path} failed: {type(error).__name__}: {error}\n"
                "    fix:     set target.outputs to the keyword that takes the number of outputs"
            ) from error
    if not isinstance(module, nn.Module):
        raise UserError(f"target.path: {config.path} returned a {type(module).__name__}, not a torch.nn.Module")
    return module


@contextmanager
def _no_downloads(path: str) -> Generator[None]:
    def refuse(url: str, *_: Any, **__: Any) -> None:
        raise UserError(
            f"target.path: {path} tries to download weights from {url}: weights are generated, so remove the keyword "
            "that asks for trained ones from target.kwargs"
        )

    download = torch.hub.download_url_to_file
    torch.hub.download_url_to_file = refuse
    try:
        yield
    finally:
        torch.hub.download_url_to_file = download


AnyTarget = MLP | LeNet | ZenkeNet | ResNet18 | ResNet32 | WideResNet | LSTM | Transformer | ImportedTarget

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""Name and shape of each generated tensor, in the order of the flat vector."""

_shapes: dict[tuple[str, tuple[int, ...], int, tuple[str, ...], bool], Shapes] = {}


def build_target(
    config: AnyTarget,
    input_shape: tuple[int, ...],
    num_outputs: int,
    import_paths: Sequence[Path] = (),
    modulated: bool = False,
) -> GeneratedModel:
    """The target of a section `target`, on the CPU.

    Frozen parameters and initial buffers, which are not generated, are drawn from a fixed seed of torch, NumPy and
    `random`, so that two processes hold the same constants; the global random state is not changed.

    Args:
        config: the section.
        input_shape: of one input, (channels, height, width).
        num_outputs: outputs of the target, all heads together.
        import_paths: folders searched for an import path, before installed packages.
        modulated: whether its layers have gains and shifts (`hypercl.targets.modulated`).

    Raises:
        UserError: the module cannot be found, built, or run on such inputs (images too small, for example); it has
            nothing to generate; it does not return (batch, num_outputs); `target.head` is not a linear layer with that
            number of outputs.
    """
    with random_state_kept(seed=0):
        module = _module(config, input_shape, num_outputs, import_paths, modulated)
    head = config.head if isinstance(config, ImportedTarget) else None
    return GeneratedModel(module, input_shape, num_outputs, head)


def draw_weights(
    config: AnyTarget,
    input_shape: tuple[int, ...],
    num_outputs: int,
    seed: int,
    import_paths: Sequence[Path] = (),
    modulated: bool = False,
) -> Tensor:
    """Initial weights by the module's own initialisation, (num_weights,); arguments as of `build_target`.

    The seed is that of torch, NumPy and `random` while the module is built; the global state is not changed.
    """
    with random_state_kept(seed):
        module = _module(config, input_shape, num_outputs, import_paths, modulated)
    return torch.cat([parameter.detach().flatten() for parameter in generated_parameters(module).values()])


def count_weights(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, import_paths: Sequence[Path] = ()
) -> int:
    """The number of weights to generate for a section `target`; raises as `weight_shapes`."""
    return sum(prod(shape) for _, shape in weight_shapes(config, input_shape, num_outputs, import_paths))


def weight_shapes(
    config: AnyTarget,
    input_shape: tuple[int, ...],
    num_outputs: int,
    import_paths: Sequence[Path] = (),
    modulated: bool = False,
) -> Shapes:
    """The tensors to generate for a section `target`, if possible without allocating them; arguments as above.

    Raises:
        UserError: the module cannot be found or built, or has more weights than can be counted.
    """
    key = (config.model_dump_json(), tuple(input_shape), num_outputs, tuple(map(str, import_paths)), modulated)
    if key not in _shapes:
        with random_state_kept():
            try:
                with torch.device("meta"):
                    module = _module(config, input_shape, num_outputs, import_paths, modulated)
            except RuntimeError as error:  # the number of elements overflows
                raise UserError(
                    f"target: {config.name} is too large for inputs of shape {tuple(input_shape)}: {error}"
                ) from error
            except UserError:  # a constructor that reads values fails on the meta device
                module = _module(config, input_shape, num_outputs, import_paths, modulated)
        generated = generated_parameters(module).items()
        _shapes[key] = tuple((name, tuple(parameter.shape)) for name, parameter in generated)
    return _shapes[key]


def _module(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, import_paths: Sequence[Path], modulated: bool
) -> nn.Module:
    module = _plain_module(config, input_shape, num_outputs, import_paths)
    if not modulated:
        return module
    head = config.head if isinstance(config, ImportedTarget) else None
    try:
        outputs = find_head(module, num_outputs, head)[1]
    except UserError:  # what makes the outputs is no linear layer
        outputs = None
    return modulate(module, outputs)


def _plain_module(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, import_paths: Sequence[Path]
) -> nn.Module:
    match config:
        case ImportedTarget():
            return _complete(import_module_of(config, num_outputs, import_paths), input_shape)
        case MLP():
            return MLPNet(config, input_shape, num_outputs)
        case LeNet():
            return LeNetModule(config, input_shape, num_outputs)
        case ZenkeNet():
            return ZenkeNetModule(config, input_shape, num_outputs)
        case WideResNet():
            return WideResNetModule(config, input_shape, num_outputs)
        case LSTM():
            return LSTMNet(config, input_shape, num_outputs)
        case Transformer():
            return TransformerNet(config, input_shape, num_outputs)
        case ResNet18():
            return resnet18(config, input_shape, num_outputs)
        case ResNet32():
            require_images(config.name, input_shape)
            return ResNet(input_shape[0], num_outputs, blocks=5)


def _complete(module: nn.Module, input_shape: tuple[int, ...]) -> nn.Module:
    """The module; one with lazy layers (`nn.LazyLinear`) runs once, which creates their parameters."""
    if any(map(is_lazy, [*module.parameters(), *module.buffers()])):
        with torch.no_grad():
            try:
                module.eval()(torch.zeros(2, *input_shape))
            except Exception as error:
                raise UserError(
                    f"target: {type(module).__name__} has lazy layers and cannot run on inputs of shape "
                    f"{(2, *input_shape)}: {error}"
                ) from error
        module.train()
    return module
