"""Images that a trained model is to classify: their size, and how the stream makes inputs of them; no data is read."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hypercl.config import UserError
from hypercl.config.models import ImageFolder, PermutedTasks, SplitCIFAR, SplitCIFAR10, SplitCIFAR100, Stream
from hypercl.tasks.inputs import IMAGENET, Form, Permuted, Scaled
from hypercl.tasks.stream import shape_of


def form_of(config: Stream) -> Form:
    """The size and mode that images are brought to: resized to cover the size, and cropped at the centre.

    Raises:
        UserError: the inputs of the stream are no images.
    """
    shape = shape_of(config).input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UserError(f"inputs of this stream have shape {shape}: they are no images")
    border = 2 * config.padding if isinstance(config, PermutedTasks) else 0
    return Form((shape[1] - border, shape[2] - border), "rgb" if shape[0] == 3 else "grey", resized=True)


def inputs_of(config: Stream, task: int) -> Callable[[Tensor], Tensor]:
    """From images, uint8 (n, channels, height, width), to the inputs of a task; a user's own stream is taken to scale
    them to 0 .. 1."""
    match config:
        case PermutedTasks(padding=padding, order_seed=seed):
            return Permuted(config.skip + task, padding, seed)
        case SplitCIFAR() | SplitCIFAR10() | SplitCIFAR100() | ImageFolder(mode="rgb"):
            return IMAGENET
        case _:
            return Scaled(255)


def read_files(files: Sequence[Path], form: Form) -> Tensor:
    """uint8, (files, channels, height, width).

    Raises:
        UserError: a file cannot be read as an image.
    """
    pixels: list[np.ndarray] = []
    for file in files:
        try:
            pixels.append(form.read(file))
        except ValueError as error:
            raise UserError(f"{file} {error}") from None
    return torch.from_numpy(np.stack(pixels))
