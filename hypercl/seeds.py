"""Randomness without state: every draw is a function of the run's seed and of what it is for.

A batch, a mask or an initial weight depends on (seed, purpose, task, step) alone, so a resumed run needs no stored
generator to equal an uninterrupted one.
"""

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(*keys: int | str) -> int:
    """A 63-bit seed from a sequence of keys: `derive(seed, "batches", task)`."""
    digest = blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*keys: int | str, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A fresh generator seeded by a sequence of keys."""
    import torch  # here, since `derive` alone is read by commands that train nothing

    return torch.Generator(device=device).manual_seed(derive(*keys))
