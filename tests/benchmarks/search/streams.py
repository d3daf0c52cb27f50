"""Small streams for the recorded problems, by import path."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from torchvision.datasets import MNIST


def permuted_digits(root: Path, train: bool, num_tasks: int) -> list[tuple[np.ndarray, np.ndarray]]:  # noqa: ARG001
    """scikit-learn's digits, every fifth one held out as test data; the pixels of each task in another order.

    Returns:
        Images, uint8 (n, 1, 8, 8), and labels of each task; the first one keeps the order of the pixels.
    """
    digits = load_digits()
    held = np.arange(len(digits.target)) % 5 == 0
    rows = held != train
    pixels, labels = np.rint(digits.data[rows] * (255 / 16)).astype(np.uint8), digits.target[rows]
    random = np.random.default_rng(42)
    orders = [np.arange(64), *(random.permutation(64) for _ in range(num_tasks - 1))]
    return [(pixels[:, order].reshape(-1, 1, 8, 8), labels) for order in orders]


def small_mnist(root: Path, train: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """MNIST at half its size, 14 x 14 pixels with a black margin of one, in five tasks of two digits; the first 2,000
    training and 500 test images of each.

    Returns:
        Images, uint8 (n, 1, 16, 16), and labels of each task.
    """
    mnist = MNIST(str(root), train=train)
    images = mnist.data.numpy().reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).round().astype(np.uint8)
    images, labels = np.pad(images, ((0, 0), (1, 1), (1, 1)))[:, None], mnist.targets.numpy()
    rows = [np.flatnonzero(labels // 2 == task)[: 2000 if train else 500] for task in range(5)]
    return [(images[own], labels[own]) for own in rows]
