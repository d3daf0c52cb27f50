"""How a stream is divided into tasks."""

import pytest

from hypercl.config import ConfigError, loads
from hypercl.config.models.tasks import ImageFolder, ImportedStream, SplitDigits


def tasks_of(text, *overrides):
    return loads(f"experiment: {{tasks: {{{text}}}}}", "file.yaml", overrides).experiment.tasks


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("name: split_digits", (2,) * 5),
        ("name: split_mnist, num_tasks: 2, classes_per_task: 5", (5, 5)),
        ("name: split_fashion_mnist, classes_per_task: [2, 3, 5]", (2, 3, 5)),
        ("name: split_cifar10, num_tasks: 2, classes_per_task: [4, 3]", (4, 3)),
        ("name: split_cifar100", (10,) * 10),
        ("name: split_cifar100, classes_per_task: 5", (5,) * 10),
        ("name: image_folder, path: birds, classes_per_task: [50, 10]", (50, 10)),
        ("name: import, path: 'a:b', input_shape: [3], num_tasks: 2, classes_per_task: 2", (2, 2)),
    ],
)
def test_tasks_have_a_number_of_classes_or_one_each(text, classes):
    assert tasks_of(text).classes == classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: split_digits, num_tasks: 6", "6 tasks of 2 classes are 12 classes, and there are 10"),
        ("name: split_mnist, classes_per_task: [5, 6]", "2 tasks of 5 and 6 classes are 11 classes, and there are 10"),
        ("name: split_cifar100, classes_per_task: 11", "10 tasks of 11 classes are 110 classes, and there are 100"),
        ("name: split_digits, num_tasks: 4, classes_per_task: [2, 3]", "lists 2 tasks and num_tasks is 4"),
        ("name: split_digits, classes_per_task: 0", "give one whole number of classes, 1 or more"),
        ("name: split_digits, classes_per_task: 1", "leaves nothing to learn in scenario task"),
        ("name: split_digits, classes_per_task: []", "give one whole number of classes, 1 or more"),
        ("name: split_digits, classes_per_task: [2, true]", "give one whole number of classes, 1 or more"),
        ("name: split_digits, classes_per_task: many", "give one whole number of classes, 1 or more"),
        ("name: image_folder, path: x", "experiment.tasks.num_tasks: missing key"),
        ("name: permuted_mnist, classes_per_task: 2", "unknown key"),
        (
            "name: import, path: 'a:b', input_shape: [3], num_tasks: 2, classes_per_task: 2, kwargs: {train: true}",
            "train must not be given",
        ),
    ],
)
def test_tasks_that_cannot_be_are_refused_with_the_numbers(text, message):
    with pytest.raises(ConfigError) as caught:
        tasks_of(text)
    assert message in str(caught.value)
    assert len(caught.value.problems) <= 2


def test_an_editor_marks_no_list_without_a_number_of_tasks():
    for model in (ImageFolder, ImportedStream, SplitDigits):
        assert "num_tasks" not in model.model_json_schema().get("required", [])
    assert "classes_per_task" in ImageFolder.model_json_schema()["required"]


def test_what_is_written_out_says_both_and_is_read_again():
    stream = tasks_of("name: split_digits, classes_per_task: [2, 3, 5]")
    assert stream.num_tasks == 3
    assert type(stream).model_validate(stream.model_dump(mode="json")) == stream
