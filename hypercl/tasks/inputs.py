"""From images to the float inputs of a target, on the device where the images are."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from hypercl.seeds import generator
from hypercl.tasks.stream import Shape, Split, Task, TaskStream


@dataclass(frozen=True)
class Scaled:
    """Pixels divided by their largest value: inputs in 0 .. 1."""

    highest: int
    """The largest value of a pixel."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.to(torch.float32) / self.highest


@dataclass(frozen=True)
class Normalized:
    """Pixels scaled to 0 .. 1, then (x - mean) / std for each channel.

    Channels lie last in memory: on two CPU cores ResNet-32 then predicts 1.5 times and trains 1.1 to 1.2 times as fast.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    _constants: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, images: Tensor) -> Tensor:
        factor, shift = self._on(images.device)
        return images.to(torch.float32, memory_format=torch.channels_last) * factor - shift

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._constants:
            mean = torch.tensor(self.mean, dtype=torch.float64).reshape(-1, 1, 1)
            std = torch.tensor(self.std, dtype=torch.float64).reshape(-1, 1, 1)
            self._constants[device] = (
                (1 / (255 * std)).to(device=device, dtype=torch.float32),
                (mean / std).to(device=device, dtype=torch.float32),
            )
        return self._constants[device]


IMAGENET = Normalized(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""By the statistics of ImageNet: what the paper's code uses for CIFAR, in training and in testing."""


@dataclass(frozen=True)
class AsTheyAre:
    """Inputs that were made elsewhere."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.to(torch.float32)


@dataclass(frozen=True)
class Permuted:
    """Black borders added, then all pixels put in an order of the task's own; scaled to 0 .. 1.

    Only the order is kept, and made when first needed: a permuted task has no images of its own. Task 0 keeps the
    order of the pixels.
    """

    task: int
    padding: int
    """Pixels added on each side."""
    order_seed: int
    _orders: dict[tuple[torch.device, int], Tensor] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, images: Tensor) -> Tensor:
        padded = functional.pad(images, (self.padding,) * 4)
        if self.task > 0:
            pixels = padded.flatten(1)
            padded = pixels.index_select(1, self._order(pixels.shape[1], images.device)).reshape(padded.shape)
        return padded.to(torch.float32) / 255

    def undo(self, inputs: Tensor) -> Tensor:
        """The padded images (n, 1, height, width) that inputs stand for, in 0 .. 1."""
        if self.task == 0:
            return inputs
        pixels = inputs.flatten(1)
        order = self._order(pixels.shape[1], inputs.device)
        return torch.empty_like(pixels).index_copy_(1, order, pixels).reshape(inputs.shape)

    def _order(self, pixels: int, device: torch.device) -> Tensor:
        """Which padded pixel stands at each place, int64, (pixels,)."""
        key = (device, pixels)
        if key not in self._orders:
            order = torch.randperm(pixels, generator=generator(self.order_seed, "permutation", self.task))
            self._orders[key] = order.to(device)
        return self._orders[key]


def as_images(made_by: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """The images that a task's inputs in 0 .. 1 stand for, pixels that were permuted back in their order.

    Args:
        made_by: what makes the task's inputs of images: `Task.inputs`.
        inputs: (n, *input_shape).
    """
    return made_by.undo(inputs) if isinstance(made_by, Permuted) else inputs


class PartOfStream(TaskStream):
    """The tasks of a stream from one of them on. What a task holds does not depend on whether others are left out."""

    def __init__(self, whole: TaskStream, skip: int) -> None:
        self._whole, self._skip = whole, skip

    @property
    def shape(self) -> Shape:
        return replace(self._whole.shape, classes=self._whole.shape.classes[self._skip :])

    def task(self, index: int) -> Task:
        found = self._whole.task(self._place(index))
        return replace(found, index=index, head=self.shape.heads[index])

    def test(self, index: int) -> Split:
        return self._whole.test(self._place(index))

    def _place(self, index: int) -> int:
        if index < 0:
            raise IndexError(f"the stream has no task {index}")
        return self._skip + index


class LeakingStream(TaskStream):
    """A stream whose validation data is its test data: what tuning on the test set would see."""

    def __init__(self, whole: TaskStream) -> None:
        self._whole = whole

    @property
    def shape(self) -> Shape:
        return self._whole.shape

    def task(self, index: int) -> Task:
        return replace(self._whole.task(index), validation=self._whole.test(index))
