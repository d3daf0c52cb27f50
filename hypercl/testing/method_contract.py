"""The contract of a method: inherit `MethodContract` and name the method."""

import inspect
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from hypercl.config import UserError
from hypercl.methods import Learner, State
from hypercl.tensors import random_state_kept
from hypercl.testing.case import STEPS, TASKS, Case, decided, experiment_of, scenarios_of
from hypercl.testing.guard import (
    copied,
    difference,
    doubled,
    no_stream_opened,
    non_tensors,
    of_replica,
    part_like,
)
from hypercl.training import read, write

SEEDS = (5, 6)
TOLERANCE = 1e-9


class MethodContract:
    """Tests of every method, in every scenario that it claims, on small networks and scikit-learn's digits.

    Example:
        class TestMine(MethodContract):
            method = {"name": "import", "path": "mine:MyLearner", "kwargs": {"alpha": 0.1}}

    An import path is searched beside the test file, in the working directory, and among installed packages.
    """

    method: ClassVar[Mapping[str, Any]]
    """The section `method`."""
    sections: ClassVar[Mapping[str, Any]] = {}
    """Other sections, replacing the contract's, such as `{"hypernet": {"name": "full", "hidden": [8]}}`."""
    scenarios: ClassVar[tuple[str, ...] | None] = None
    """Scenarios to test; None tests all that the method claims."""
    first_steps: ClassVar[int] = 50
    """Steps, of 16 samples, in which it must learn to distinguish two digits."""
    least_accuracy: ClassVar[float] = 0.9
    """Validation accuracy that it must reach on them."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Runs each test once per scenario."""
        try:
            claimed = self.scenarios or scenarios_of(self.method, self.sections, _import_paths(type(self)))
        except UserError:
            claimed = ["task"]  # whose tests then report the problem
        metafunc.parametrize("scenario", claimed)

    def test_learns_a_first_task(self, scenario: str) -> None:
        case = _case(type(self), scenario)
        learner = case.learner()
        state = case.taught(learner, learner.init(), 0, self.first_steps)
        inputs, labels = case.validation(0)
        if scenario == "task":
            predictions = learner.predictor(state, 0)(inputs).argmax(-1)
        else:
            predictions = decided(learner, state, 1, inputs).outputs - case.tasks[0].head.start
        accuracy = float((predictions == labels).float().mean())
        assert accuracy >= self.least_accuracy, (
            f"after {self.first_steps} steps of its first task {accuracy:.0%} of the validation data is right; "
            f"required: {self.least_accuracy:.0%} (first_steps and least_accuracy of the contract)"
        )

    def test_all_randomness_comes_from_its_seed(self, scenario: str) -> None:
        case = _case(type(self), scenario)
        with random_state_kept(seed=2):
            learner = case.learner()
            problem = difference(case.taught(learner, learner.init(), 0), case.course.first)
        assert not problem, (
            f"two runs of one training.seed differ ({problem}): draw with hypercl.seeds.generator(seed, purpose, task, "
            "step), with the seeds of spec.seeds"
        )
        problem = difference(case.learner(1).init(), case.learner(2).init())
        assert problem, "two seeds begin with the same state: draw what is random in init from spec.seeds"

    def test_holds_tensors_only(self, scenario: str) -> None:
        """Also during training: `Case` checks after each task's start, steps and end."""
        assert not non_tensors(_case(type(self), scenario).course.both)

    def test_a_checkpoint_keeps_its_state_bit_for_bit(self, scenario: str, tmp_path: Path) -> None:
        case = _case(type(self), scenario)
        for name, state in {"in a task": case.course.half, "after two tasks": case.course.both}.items():
            write(tmp_path / name, state)
            problem = difference(read(tmp_path / name), state)
            assert not problem, f"{name}, a checkpoint changes when written and read back: {problem}"

    def test_resumes_from_its_state_alone(self, scenario: str) -> None:
        """A new learner continues in the middle of the second task and ends with the same state."""
        case = _case(type(self), scenario)
        learner, half = case.learner(), copied(case.course.half)
        state = case.ended(learner, case.stepped(learner, half, 1, range(2, STEPS)), 1)
        problem = difference(state, case.course.both)
        assert not problem, (
            f"a new learner that resumes from the state ends elsewhere: {problem}. Whatever steps change belongs in "
            "the state; what task_context returns must be derived from it"
        )

    def test_an_interrupted_run_equals_an_uninterrupted_one(self, scenario: str, tmp_path: Path) -> None:
        """Interrupted between two tasks, in the middle of one, and after the last."""
        case = _case(type(self), scenario)
        case.course  # noqa: B018 - reports first what a checkpoint cannot save
        whole, last = case.run(tmp_path / "whole")
        again, resumed = case.run(tmp_path / "interrupted", 2, 3, 2 * TASKS)
        problem = difference(resumed, last) or difference(again, whole, name="summary")
        assert not problem, f"an interrupted run differs from an uninterrupted one: {problem}"

    def test_start_task_and_end_task_do_not_modify_their_input(self, scenario: str) -> None:
        case = _case(type(self), scenario)
        learner = case.learner()
        before, kept = copied(case.course.first), case.course.first
        state = case.stepped(learner, learner.start_task(before, 1), 1, range(2))
        problem = difference(before, kept)
        assert not problem, f"start_task shares tensors that steps modify: clone them ({problem})"
        kept = copied(state)
        case.ended(learner, state, 1)
        problem = difference(state, kept)
        assert not problem, f"end_task modifies its input state: {problem}"

    def test_predicts_from_its_inference_state_alone(self, scenario: str) -> None:
        case = _case(type(self), scenario)
        learner, state = case.learner(), case.course.both
        part = learner.inference_state(state)
        problem = difference(part, part_like(state, part))
        assert not problem, f"inference_state must be a part of the state: {problem}"
        for task in range(2):
            inputs, _ = case.validation(task)
            logits, from_part = (learner.predictor(source, task)(inputs) for source in (state, part))
            problem = difference(from_part, logits, name=f"the prediction of task {task}")
            assert not problem, f"predictions from inference_state differ from those of the whole state: {problem}"
        if scenario != "task":
            inputs, _ = case.validation(0)
            decisions, from_part = (decided(learner, source, 2, inputs).outputs for source in (state, part))
            assert not difference(decisions, from_part), "decisions from inference_state differ from the state's"

    def test_continues_from_a_restored_inference_state(self, scenario: str) -> None:
        """As after early stopping, which restores the inference state of the best check before the task ends."""
        case = _case(type(self), scenario)
        learner, state = case.learner(), case.course.half
        restored = {**state, **copied(learner.inference_state(state))}
        left, right = (case.taught(learner, case.ended(learner, start, 1), 2, 1) for start in (state, restored))
        problem = difference(left, right)
        assert not problem, (
            f"restoring inference_state before the task's end leads elsewhere: {problem}. Whatever end_task and the "
            "next start_task need belongs in inference_state, or in other keys of the state"
        )

    def test_outputs_have_the_documented_shapes(self, scenario: str) -> None:
        """Predictions; decisions without the task's identity; inputs that a method generates."""
        case = _case(type(self), scenario)
        learner, state = case.learner(), case.course.both
        for task in range(2):
            inputs, _ = case.validation(task)
            logits = learner.predictor(state, task)(inputs)
            shape = (len(inputs), len(case.tasks[task].classes))
            assert logits.shape == shape, (
                f"predictor of task {task} gives {list(logits.shape)}, not (samples, classes of the task) {shape}"
            )
        if scenario != "task":
            _require_decisions(case, learner, state)
        replayed = learner.replayed(state, 0, 3)
        if replayed is not None:
            shape = (3, *case.validation(0)[0].shape[1:])
            assert replayed.shape == shape, f"replayed gives {list(replayed.shape)}, not (count, *input_shape) {shape}"
            assert 0 <= replayed.min() <= replayed.max() <= 1, "replayed inputs must lie in 0 .. 1"

    def test_each_replica_equals_its_single_run_or_is_refused(self, scenario: str) -> None:
        """In float64, where differences in summation order stay below 1e-9."""
        case = _case(type(self), scenario)
        reason = type(case.learner()).no_replicas
        if reason:
            with pytest.raises(UserError, match="cannot be trained together") as caught:
                case.learner(replicas=2)
            assert reason in str(caught.value)
        else:
            _require_single_runs(case, scenario)

    def test_reads_only_the_data_it_is_given(self, scenario: str) -> None:
        """Batches of tasks seen so far, the task's training data at its end, and no stream."""
        case = _case(type(self), scenario)
        case.tasks  # noqa: B018 - read before the guard is active
        with no_stream_opened():
            learner = case.learner()
            state = case.taught(learner, case.taught(learner, learner.init(), 0), 1)
            learner.predictor(state, 0)(case.validation(0)[0])
        problem = difference(state, case.course.both)
        assert not problem, f"under the guard it learns differently: {problem}"


def _require_decisions(case: Case, learner: Learner, state: State) -> None:
    """Decisions after two tasks are outputs, and tasks, seen so far."""
    inputs, _ = case.validation(0)
    seen = max(task.head.stop for task in case.tasks[:2])
    decision = decided(learner, state, 2, inputs)
    outputs, tasks = decision.outputs, decision.tasks
    assert outputs.shape == (len(inputs),), f"decisions are {list(outputs.shape)}, not (samples,)"
    assert outputs.dtype == torch.int64, f"decisions are {outputs.dtype}, not int64 indices of outputs"
    assert 0 <= outputs.min() <= outputs.max() < seen, (
        f"outputs {int(outputs.min())} to {int(outputs.max())} were predicted; those of the tasks seen "
        f"are 0 to {seen - 1}"
    )
    if tasks is not None:
        assert tasks.shape == (len(inputs),), f"inferred tasks are {list(tasks.shape)}, not (samples,)"
        assert 0 <= tasks.min() <= tasks.max() < 2, "an unseen task was inferred"


def _require_single_runs(case: Case, scenario: str) -> None:
    """Each of two replicas equals a single run of its seed."""
    bundle = case.learner(SEEDS[0], len(SEEDS))
    state = _taught_exactly(case, bundle, SEEDS)
    inputs = case.validation(0)[0].double()
    for index, seed in enumerate(SEEDS):
        single = case.learner(seed)
        expected = _taught_exactly(case, single, (seed,))
        predictions = bundle.predictor(state, 1)(inputs)[index], single.predictor(expected, 1)(inputs)
        problem = difference(of_replica(state, index), expected, TOLERANCE)
        problem = problem or difference(*predictions, TOLERANCE, "the prediction of task 1")
        if scenario != "task":
            outputs = decided(bundle, state, 2, inputs).outputs[index]
            expected_outputs = decided(single, expected, 2, inputs).outputs
            problem = problem or difference(outputs, expected_outputs, name="the decision")
        assert not problem, (
            f"replica {index} differs from a single run of its seed: {problem}. With several replicas, all tensors "
            "of a state have a leading replica axis; a method that does not support this sets `no_replicas`"
        )


def _taught_exactly(case: Case, learner: Learner, seeds: tuple[int, ...]) -> State:
    """The state after two tasks of three steps each, in float64."""
    state = doubled(learner.init())
    for task in range(2):
        state = doubled(learner.start_task(state, task))
        state = case.ended(learner, case.stepped(learner, state, task, range(3), seeds), task)
    return state


@cache
def _case(contract: type[MethodContract], scenario: str) -> Case:
    """The case that a contract's tests share in a scenario."""
    return Case(experiment_of(contract.method, contract.sections, scenario), _import_paths(contract))


def _import_paths(contract: type[MethodContract]) -> tuple[Path, ...]:
    """The folder of the test's file and the working directory."""
    file = getattr(sys.modules.get(contract.__module__), "__file__", None) or inspect.getfile(contract)
    return (Path(file).resolve().parent, Path.cwd())
