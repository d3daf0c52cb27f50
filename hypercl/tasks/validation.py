"""The validation split: held out of a task's training data, alike in every trial."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hypercl.config import UserError


def hold_out(labels: Tensor, classes: Sequence[str], share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Splits samples at random within each class.

    Args:
        labels: int64, (samples,): 0 .. len(classes) - 1.
        classes: names of the classes.
        share: part of each class to hold out; at least one sample a class is, and at least one stays.
        seed: the same seed gives the same split; take it from the settings of the stream, not from a run's seed.

    Returns:
        Places of the samples that stay and of those held out, each in rising order.

    Raises:
        UserError: a class has fewer than two samples.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    random = torch.Generator().manual_seed(seed)
    for label, name in enumerate(classes):
        places = (labels == label).nonzero().flatten()
        if len(places) < 2:
            raise UserError(
                f"tasks: class '{name}' has {len(places)} training samples, and a validation split needs two a class\n"
                "    fix: give it more, or leave the class out"
            )
        count = min(max(1, round(share * len(places))), len(places) - 1)
        held[places[torch.randperm(len(places), generator=random)[:count]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()
