import pytest

from hypercl.config.models.tasks import (
    ImageFolder,
    ImportedStream,
    PermutedFashionMNIST,
    PermutedMNIST,
    SplitCIFAR,
    SplitCIFAR10,
    SplitCIFAR100,
    SplitDigits,
    SplitFashionMNIST,
    SplitMNIST,
)
from hypercl.tasks import Shape, shape_of


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (SplitDigits(num_tasks=3), Shape((1, 8, 8), (2, 2, 2))),
        (SplitDigits.model_validate({"classes_per_task": [2, 3, 5]}), Shape((1, 8, 8), (2, 3, 5))),
        (SplitMNIST(), Shape((1, 28, 28), (2,) * 5)),
        (SplitFashionMNIST(num_tasks=2, classes_per_task=5), Shape((1, 28, 28), (5, 5))),
        (PermutedMNIST(num_tasks=100), Shape((1, 32, 32), (10,) * 100)),
        (PermutedMNIST(padding=0), Shape((1, 28, 28), (10,) * 10)),
        (PermutedFashionMNIST(), Shape((1, 32, 32), (10,) * 10)),
        (SplitCIFAR(), Shape((3, 32, 32), (10,) * 6)),
        (SplitCIFAR10(), Shape((3, 32, 32), (2,) * 5)),
        (SplitCIFAR100(), Shape((3, 32, 32), (10,) * 10)),
        (ImageFolder(path="x", num_tasks=2, classes_per_task=(4, 3)), Shape((3, 32, 32), (4, 3))),
        (ImageFolder(path="x", num_tasks=1, classes_per_task=4, size=64, mode="grey"), Shape((1, 64, 64), (4,))),
        (ImportedStream(path="a:b", num_tasks=2, classes_per_task=3, input_shape=(7,)), Shape((7,), (3, 3))),
    ],
)
def test_the_shape_follows_from_the_settings(config, shape):
    assert shape_of(config) == shape


def test_heads_are_as_wide_as_their_tasks_have_classes():
    shape = Shape((1, 8, 8), (2, 3, 5))
    assert shape.heads == (slice(0, 2), slice(2, 5), slice(5, 10))
    assert shape.num_outputs == 10
    assert shape.num_tasks == 3


def test_in_scenario_domain_all_tasks_share_the_outputs():
    shape = Shape((1, 8, 8), (2, 3, 5), "domain")
    assert shape.heads == (slice(0, 2), slice(0, 3), slice(0, 5))
    assert shape.num_outputs == 5


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_every_stream_knows_its_scenario(scenario):
    for config in (SplitDigits, SplitMNIST, PermutedMNIST, SplitCIFAR, SplitCIFAR10, SplitCIFAR100):
        assert shape_of(config(scenario=scenario)).scenario == scenario


def test_tasks_that_are_given_may_share_their_outputs():
    shape = shape_of(SplitDigits(heads="shared"))
    assert shape.heads == (slice(0, 2),) * 5
    assert shape.num_outputs == 2


def test_of_a_stream_without_end_the_first_task_is_known():
    config = ImportedStream(path="a:b", classes_per_task=3, input_shape=(7,), scenario="domain")
    assert shape_of(config) == Shape((7,), (3,), "domain")
