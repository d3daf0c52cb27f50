"""scikit-learn's 8x8 digits in tasks of some classes: the data comes with the package."""

import torch

from hypercl.config.models.tasks import SplitDigits
from hypercl.seeds import derive
from hypercl.tasks.inputs import Scaled
from hypercl.tasks.source import Source
from hypercl.tasks.split_stream import SplitStream, class_groups
from hypercl.tasks.validation import hold_out

TEST_SHARE = 0.2
HIGHEST_PIXEL = 16
DIGITS = tuple(str(digit) for digit in range(10))


def open_split_digits(config: SplitDigits, with_test: bool) -> SplitStream:
    """The test set is a fixed stratified fifth, independent of every seed of the settings."""
    train, test = _halves()
    return SplitStream(config, class_groups(config, train, test if with_test else None), Scaled(HIGHEST_PIXEL))


def _halves() -> tuple[Source, Source]:
    # Imported here: scikit-learn takes a second and 60 MB that a run on other data does not need.
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(digits).to(torch.int64)
    train, test = hold_out(labels, DIGITS, TEST_SHARE, derive("split_digits", "test"))
    # Indexing copies: the training half holds no test image, not even one that no row points at.
    return Source(images[train], labels[train], DIGITS), Source(images[test], labels[test], DIGITS)
