"""What every stream of tasks must do: a test class to inherit."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from hypercl.config.models.stream import Stream
from hypercl.tasks import NoTestData, Split, Task, TaskStream, open_stream, open_with_test, shape_of


def same_split(one: Split, other: Split) -> bool:
    """Whether two splits hold the same images and labels in the same order."""
    images = torch.equal(one.images[one.rows], other.images[other.rows])
    return images and torch.equal(one.labels, other.labels)


class StreamContract:
    """Inherit it and give `config`, and `make_data` where the stream reads files."""

    config: ClassVar[Callable[..., Stream]]
    """Makes the settings of a short stream; keywords change them."""

    @pytest.fixture(scope="class")
    @classmethod
    def data_dir(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("data")
        cls.make_data(folder)
        return folder

    @staticmethod
    def make_data(folder: Path) -> None:
        """Puts small data into a folder."""

    @pytest.fixture(scope="class")
    @classmethod
    def stream(cls, data_dir: Path) -> TaskStream:
        return open_stream(cls.config(), data_dir, offline=True)

    @pytest.fixture(scope="class")
    @classmethod
    def tasks(cls, stream: TaskStream) -> list[Task]:
        return [stream.task(index) for index in range(stream.shape.num_tasks)]

    @pytest.fixture(scope="class")
    @classmethod
    def final(cls, data_dir: Path) -> TaskStream:
        return open_with_test(cls.config(), data_dir, offline=True)

    def test_the_shape_is_known_from_the_settings(self, stream: TaskStream) -> None:
        assert stream.shape == shape_of(self.config())
        assert stream.shape.num_outputs == sum(stream.shape.classes)

    def test_inputs_are_finite_and_of_the_shape_known_before(self, stream: TaskStream, tasks: list[Task]) -> None:
        for task in tasks:
            images, _ = task.train[torch.arange(3)]
            before = images.clone()
            inputs = task.inputs(images)
            assert inputs.dtype == torch.float32
            assert inputs.shape == (3, *stream.shape.input_shape)
            assert inputs.isfinite().all()
            assert torch.equal(images, before)

    def test_heads_are_disjoint_and_cover_all_outputs(self, stream: TaskStream, tasks: list[Task]) -> None:
        outputs = [output for task in tasks for output in range(task.head.start, task.head.stop)]
        assert outputs == list(range(stream.shape.num_outputs))

    def test_every_class_is_in_every_split_and_nothing_else(
        self, stream: TaskStream, tasks: list[Task], final: TaskStream
    ) -> None:
        for task, classes in zip(tasks, stream.shape.classes, strict=True):
            assert task.index == tasks.index(task)
            assert len(task.classes) == classes == task.head.stop - task.head.start
            for split in (task.train, task.validation, final.test(task.index)):
                assert split.images.dtype == torch.uint8
                assert split.labels.unique().tolist() == list(range(classes))
                assert len(split.rows) == len(split.labels)

    def test_train_and_validation_share_no_image_and_are_stratified(self, tasks: list[Task]) -> None:
        for task in tasks:
            train, held = set(task.train.rows.tolist()), set(task.validation.rows.tolist())
            assert not train & held
            for label in range(len(task.classes)):
                count = int((task.validation.labels == label).sum())
                everything = count + int((task.train.labels == label).sum())
                assert count == max(1, round(0.1 * everything))

    def test_opened_again_it_is_the_same(self, data_dir: Path, tasks: list[Task]) -> None:
        again = open_stream(self.config(), data_dir, offline=True)
        for task in reversed(tasks):
            other = again.task(task.index)
            assert same_split(task.train, other.train)
            assert same_split(task.validation, other.validation)
            images, _ = task.train[torch.arange(2)]
            assert torch.equal(task.inputs(images), other.inputs(images))

    def test_the_split_seed_moves_validation_and_not_the_test_set(
        self, data_dir: Path, tasks: list[Task], final: TaskStream
    ) -> None:
        other = open_with_test(self.config(split_seed=7), data_dir, offline=True)
        assert not torch.equal(other.task(0).validation.rows, tasks[0].validation.rows)
        assert same_split(other.test(0), final.test(0))

    def test_opened_with_test_data_the_tasks_are_the_same(self, tasks: list[Task], final: TaskStream) -> None:
        for task in tasks:
            assert same_split(task.train, final.task(task.index).train)
            assert same_split(task.validation, final.task(task.index).validation)

    def test_a_stream_for_tuning_has_no_test_data(self, stream: TaskStream) -> None:
        with pytest.raises(NoTestData):
            stream.test(0)

    def test_no_test_image_lies_in_what_a_stream_for_tuning_holds(self, tasks: list[Task], final: TaskStream) -> None:
        for task in tasks:
            split = final.test(task.index)
            held = {image.numpy().tobytes() for image in task.train.images}
            assert not any(image.numpy().tobytes() in held for image in split.images[split.rows])

    def test_a_task_beyond_the_end_is_an_index_error(self, stream: TaskStream, final: TaskStream) -> None:
        for index in (-1, stream.shape.num_tasks):
            with pytest.raises(IndexError):
                stream.task(index)
            with pytest.raises(IndexError):
                final.test(index)

    def test_how_images_become_inputs_can_be_sent_to_another_process(self, tasks: list[Task]) -> None:
        images, _ = tasks[-1].train[torch.arange(2)]
        assert torch.equal(pickle.loads(pickle.dumps(tasks[-1].inputs))(images), tasks[-1].inputs(images))
