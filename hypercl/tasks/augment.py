"""Augmentation of training batches, for all samples at once and on their device."""

from dataclasses import dataclass

import torch
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
