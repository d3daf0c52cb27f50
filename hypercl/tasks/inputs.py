"""From images to the float inputs of a target, on the images' device."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from hypercl.seeds import generator


@dataclass(frozen=True)
class Scaled:
    """Pixels divided by their maximum: inputs in 0 .. 1."""

    highest: int
    """The maximum of a pixel."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.to(torch.float32) / self.highest


@dataclass(frozen=True)
class Normalized:
    """Pixels scaled to 0 .. 1, then (x - mean) / std for each channel.

    In channels-last memory format: on two CPU cores ResNet-32 then predicts 1.5 and trains 1.1 to 1.2 times as fast.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    _constants: dict[torch.device, tuple[Tensor, Tensor]] = field(
        default_factory=dict[torch.device, tuple[Tensor, Tensor]], compare=False, repr=False
    )

    def __call__(self, images: Tensor) -> Tensor:
        factor, shift = self._on(images.device)
        return images.to(torch.float32, memory_format=torch.channels_last) * factor - shift

    def undo(self, inputs: Tensor) -> Tensor:
        """The pixels of inputs, in 0 .. 1 where the inputs are of images."""
        factor, shift = self._on(inputs.device)
        return (inputs + shift) / (255 * factor)

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
"""With the statistics of ImageNet, which the paper's code uses for CIFAR in training and testing."""


@dataclass(frozen=True)
class AsTheyAre:
    """A user's float inputs."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.to(torch.float32)


@dataclass(frozen=True)
class Permuted:
    """Black borders added, then all pixels permuted by the task's order; scaled to 0 .. 1.

    Only the order is kept, computed on first use: a permuted task has no separate images. Task 0 keeps the order of the
    pixels.
    """

    task: int
    padding: int
    """Pixels added on each side."""
    order_seed: int
    _orders: dict[tuple[torch.device, int], Tensor] = field(
        default_factory=dict[tuple[torch.device, int], Tensor], compare=False, repr=False
    )

    def __call__(self, images: Tensor) -> Tensor:
        padded = functional.pad(images, (self.padding,) * 4)
        if self.task > 0:
            pixels = padded.flatten(1)
            padded = pixels.index_select(1, self._order(pixels.shape[1], images.device)).reshape(padded.shape)
        return padded.to(torch.float32) / 255

    def undo(self, inputs: Tensor) -> Tensor:
        """The padded images (n, 1, height, width) of inputs, in 0 .. 1."""
        if self.task == 0:
            return inputs
        pixels = inputs.flatten(1)
        order = self._order(pixels.shape[1], inputs.device)
        return torch.empty_like(pixels).index_copy_(1, order, pixels).reshape(inputs.shape)

    def _order(self, pixels: int, device: torch.device) -> Tensor:
        """The padded pixel of each input, int64, (pixels,)."""
        key = (device, pixels)
        if key not in self._orders:
            order = torch.randperm(pixels, generator=generator(self.order_seed, "permutation", self.task))
            self._orders[key] = order.to(device)
        return self._orders[key]


def as_images(transform: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """The images of inputs, (n, *input_shape), in 0 .. 1, with permuted pixels back in order and normalised ones as
    they were.

    `transform` is `Task.inputs`.
    """
    return transform.undo(inputs) if isinstance(transform, Permuted | Normalized) else inputs


@dataclass(frozen=True)
class FlipAndCrop:
    """Half of the images mirrored left to right, then each cropped at random from its copy with a black border."""

    padding: int = 4
    """Pixels of the border: the maximum shift of an image in each direction."""

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Augmented copies of images, uint8, (n, channels, height, width); `random` is on their device."""
        count, channels, height, width = images.shape
        device = images.device
        shifts = 2 * self.padding + 1
        top, left = torch.randint(shifts, (2, count, 1), generator=random, device=device)
        mirrored = torch.randint(2, (count, 1), generator=random, device=device, dtype=torch.bool)
        rows = top + torch.arange(height, device=device)
        columns = left + torch.arange(width, device=device)
        columns = torch.where(mirrored, width + shifts - 2 - columns, columns)
        padded = functional.pad(images, (self.padding,) * 4)
        pixels = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
        index = pixels.reshape(count, 1, -1).expand(-1, channels, -1)
        return padded.flatten(2).gather(2, index).reshape(images.shape)


@dataclass(frozen=True)
class Form:
    """The common size and mode of all images."""

    size: tuple[int, int]
    """Height and width in pixels."""
    mode: Literal["rgb", "grey"]
    resized: bool
    """Whether images of another size are resized to cover this one and cropped at the centre, or refused."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: (channels, height, width)."""
        return 3 if self.mode == "rgb" else 1, *self.size

    def read(self, path: Path) -> np.ndarray:
        """The pixels of a file, uint8, (channels, height, width).

        Transparency becomes white, 16-bit grey is divided by 257, photos are rotated by their EXIF data, of an
        animation the first frame is read.

        Raises:
            ValueError: the file cannot be read as an image, or has another size; the message is a phrase.
        """
        try:
            with Image.open(path) as file:
                image = self._converted(ImageOps.exif_transpose(file))
        except Exception as error:  # Pillow raises many kinds for broken files, SyntaxError among them
            raise ValueError(f"cannot be read as an image: {error}") from error
        return self._fitted(image)

    def pixels(self, image: Image.Image) -> np.ndarray:
        """As `read`, of an image in memory."""
        return self._fitted(self._converted(image))

    def _converted(self, image: Image.Image) -> Image.Image:
        return _opaque(image).convert("RGB" if self.mode == "rgb" else "L")

    def _fitted(self, image: Image.Image) -> np.ndarray:
        height, width = self.size
        if self.resized:
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        elif image.size != (width, height):
            raise ValueError(f"is {image.height} x {image.width} pixels and should be {height} x {width}")
        pixels = np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _opaque(image: Image.Image) -> Image.Image:
    """An image of eight bits a channel without transparency."""
    if image.mode.startswith("I"):  # 16 or 32 bits: Pillow would cut off at 255
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError("its pixels are 32-bit integers of unknown range")
        return Image.fromarray(np.round(pixels / 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
