"""Networks whose weights are trained themselves."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from hypercl.hypernets import OwnWeights
from hypercl.targets import AnyTarget, GeneratedModel, build_target, draw_weights


def own_weights(
    config: AnyTarget, input_shape: tuple[int, ...], num_outputs: int, num_weights: int, import_paths: Sequence[Path]
) -> OwnWeights:
    """What stands in a hypernetwork's place for a target of so many weights, drawn as its module does."""

    def draw(seed: int) -> Tensor:
        return draw_weights(config, input_shape, num_outputs, seed, import_paths)

    return OwnWeights(num_weights, draw)


def plain_network(
    config: AnyTarget,
    input_shape: tuple[int, ...],
    num_outputs: int,
    device: torch.device,
    import_paths: Sequence[Path] = (),
) -> tuple[GeneratedModel, OwnWeights]:
    """A network and its weights.

    Args:
        config: which network.
        input_shape: of one input.
        num_outputs: how many outputs.
        device: where it computes.
        import_paths: folders in which an import path is looked for, before what is installed.

    Raises:
        UserError: it cannot be found, built or run on such inputs.
    """
    target = build_target(config, input_shape, num_outputs, import_paths).to(device)
    return target, own_weights(config, input_shape, num_outputs, target.num_weights, import_paths)
