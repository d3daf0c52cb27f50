"""Augmentation of training batches, for all samples at once and on their device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class FlipAndCrop:
    """Half of the images mirrored left to right, then each cut at a random place out of a black border around it."""

    padding: int = 4
    """Pixels of the border: an image moves by at most so many in each direction."""

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Augmented copies.

        Args:
            images: uint8, (n, channels, height, width).
            random: the only randomness; on the images' device.
        """
        count, channels, height, width = images.shape
        device = images.device
        places = 2 * self.padding + 1
        top, left = torch.randint(places, (2, count, 1), generator=random, device=device)
        mirrored = torch.randint(2, (count, 1), generator=random, device=device, dtype=torch.bool)
        rows = top + torch.arange(height, device=device)
        columns = left + torch.arange(width, device=device)
        columns = torch.where(mirrored, width + places - 2 - columns, columns)
        padded = functional.pad(images, (self.padding,) * 4)
        pixels = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
        index = pixels.reshape(count, 1, -1).expand(-1, channels, -1)
        return padded.flatten(2).gather(2, index).reshape(images.shape)


@dataclass(frozen=True)
class Form:
    """What every image becomes."""

    size: tuple[int, int]
    """Height and width in pixels."""
    mode: Literal["rgb", "grey"]
    resized: bool
    """Whether another size is resized to cover this one and cut at the centre, or is a mistake."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: (channels, height, width)."""
        return 3 if self.mode == "rgb" else 1, *self.size

    def read(self, path: Path) -> np.ndarray:
        """The pixels of a file, uint8, (channels, height, width).

        What is transparent becomes white, 16-bit grey is divided by 257, a turned photo is turned upright (EXIF), of an
        animation the first picture counts.

        Raises:
            ValueError: the file cannot be read as an image, or has another size; says so in a phrase.
        """
        try:
            with Image.open(path) as file:
                image = _opaque(ImageOps.exif_transpose(file)).convert("RGB" if self.mode == "rgb" else "L")
        except Exception as error:  # Pillow raises many kinds for broken files, SyntaxError among them
            raise ValueError(f"cannot be read as an image: {error}") from error
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
            raise ValueError("its pixels are whole numbers of 32 bits, whose range is not known")
        return Image.fromarray(np.round(pixels / 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is not known")
    if not image.has_transparency_data:
        return image
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
