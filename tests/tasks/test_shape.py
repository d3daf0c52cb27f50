import pytest

from hypercl.config.tasks import PermutedMNIST, SplitCIFAR, SplitDigits, SplitMNIST
from hypercl.tasks import Shape, shape_of
from hypercl.tasks.shape import head_of


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (SplitDigits(num_tasks=3), Shape(3, (1, 8, 8), 2, 6)),
        (SplitMNIST(), Shape(5, (1, 28, 28), 2, 10)),
        (PermutedMNIST(num_tasks=100), Shape(100, (1, 32, 32), 10, 1000)),
        (PermutedMNIST(padding=0), Shape(10, (1, 28, 28), 10, 100)),
        (SplitCIFAR(), Shape(6, (3, 32, 32), 10, 60)),
    ],
)
def test_the_shape_follows_from_the_settings(config, shape):
    assert shape_of(config) == shape
    assert head_of(1, shape) == slice(shape.outputs_per_task, 2 * shape.outputs_per_task)
