from pathlib import Path

import pytest
import torch
from stream_contract import StreamContract, same_split

from hypercl.config import UserError, loads
from hypercl.config.models.tasks import SplitDigits
from hypercl.tasks import NoTestData, guard_test_data, open_leaking, open_stream, open_with_test, shape_of
from hypercl.training import RunFolders, run


def digits(**changes):
    return SplitDigits(**{"num_tasks": 2, "skip": 3, **changes})


class TestPartOfAStream(StreamContract):
    config = staticmethod(digits)


def test_a_part_of_a_stream_holds_what_the_whole_holds_there(tmp_path):
    whole, part = (open_with_test(config, tmp_path, True) for config in (SplitDigits(), digits()))
    for index in range(2):
        mine, its = part.task(index), whole.task(3 + index)
        assert mine.classes == its.classes
        assert same_split(mine.train, its.train)
        assert same_split(mine.validation, its.validation)
        assert same_split(part.test(index), whole.test(3 + index))
    assert part.task(1).head == slice(2, 4)


def test_tasks_of_unequal_size_are_counted_from_the_first_one(tmp_path):
    config = SplitDigits(classes_per_task=(2, 3, 1, 4), skip=1, scenario="class")
    assert config.num_tasks == 3
    assert shape_of(config).classes == (3, 1, 4)
    assert open_stream(config, tmp_path, True).task(0).classes == ("2", "3", "4")


@pytest.mark.parametrize(
    ("section", "fragment"),
    [
        ("{name: split_digits, skip: 4, num_tasks: 2}", "6 tasks of 2 classes are 12 classes, and there are 10"),
        ("{name: split_cifar, skip: 8, num_tasks: 4}", "a skip of 8 leaves 3 of the 11 tasks, not 4"),
        ("{name: split_digits, skip: 1, num_tasks: 2, classes_per_task: [2, 2]}", "after a skip of 1"),
        (
            "{name: import, path: 'a:b', skip: 1, classes_per_task: 2, input_shape: [1, 8, 8], scenario: domain}",
            "skip needs num_tasks",
        ),
    ],
)
def test_a_part_that_is_not_there_is_refused(section, fragment):
    with pytest.raises(UserError, match=fragment.replace("(", r"\(")):
        loads(f"experiment: {{tasks: {section}}}", "x.yaml")


def test_a_leaking_stream_is_judged_by_test_data_and_by_nothing_else_changed(tmp_path):
    leaking, honest = open_leaking(SplitDigits(), tmp_path, True), open_with_test(SplitDigits(), tmp_path, True)
    for index in range(5):
        assert same_split(leaking.task(index).validation, honest.test(index))
        assert same_split(leaking.task(index).train, honest.task(index).train)
    with pytest.raises(NoTestData):
        leaking.test(0)


def test_while_something_is_tuned_no_test_data_can_be_opened(tmp_path):
    with guard_test_data() as guard:
        open_stream(SplitDigits(), tmp_path, True)
        guard.check()
        with pytest.raises(NoTestData, match="opened once, by the final step"):
            open_with_test(SplitDigits(), tmp_path, True)
        with pytest.raises(NoTestData):
            guard.check()
    assert len(open_with_test(SplitDigits(), tmp_path, True).test(0))


PEEKING = Path(__file__).parents[1] / "testing"


@pytest.mark.parametrize("method", ["Peeking", "PeekingQuietly"])
def test_a_users_method_that_reads_test_data_while_tuning_ends_its_run(tmp_path, method):
    text = f"experiment: {{tasks: {{name: split_digits, num_tasks: 2}}, training: {{iterations: 2}}, \
        method: {{name: import, path: 'users_methods:{method}'}}}}"
    place = RunFolders(tmp_path / "run", tmp_path, import_paths=(PEEKING,))
    with pytest.raises(NoTestData, match="a method gets its task's training data only"):
        list(run(loads(text, "x.yaml").experiment, place))
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_leaking_run_reads_test_data_where_others_read_validation_data(tmp_path):
    text = "experiment: {tasks: {name: split_digits, num_tasks: 2}, training: {iterations: 60}}"
    experiment = loads(text, "x.yaml").experiment
    *_, leaked = run(experiment, RunFolders(tmp_path / "leak", tmp_path), leak=True)
    *_, honest = run(experiment, RunFolders(tmp_path / "honest", tmp_path), test=True)
    found = leaked.summary.plain()["validation"]
    assert found["final_accuracy"] == honest.summary.plain()["test"]["final_accuracy"]
    assert "test" not in leaked.summary.plain()
    assert torch.isfinite(torch.tensor(found["forgetting"]))
