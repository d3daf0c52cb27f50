"""A method on a small stream of real images, in one scenario."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypercl.config import Experiment, assign, loads
from hypercl.config.models import ALL, ImportedMethod, Method, kind_of, models_in
from hypercl.config.reading import dump
from hypercl.methods import Batch, Decision, Learner, State, StepInfo, imported_class, last_decision
from hypercl.tasks import BundledBatches, Samples, Task, TaskStream, open_stream
from hypercl.tensors import random_state_kept
from hypercl.testing.guard import OwnData, copied, is_exact, non_tensors, require_seen
from hypercl.training import Checkpoints, Report, RunFolders, RunSummary, build_learner, run

CPU = torch.device("cpu")
TASKS, STEPS = 3, 4
LR = 1e-2
_MEASURED = ("seconds", "peak_memory_bytes")
_DATA = Path("data")  # never read: the digits come with scikit-learn
_HYPERNET = {"name": "chunked", "hidden": [6], "chunk_size": 200, "task_embedding": 4, "chunk_embedding": 3}


def experiment_of(method: Mapping[str, Any], sections: Mapping[str, Any], scenario: str) -> Experiment:
    """Three tasks of two digits, a small network, few steps; `sections` replace the defaults.

    Raises:
        ConfigError: with every problem.
    """
    generated = getattr(_model_of(method), "generated", None)
    content = {
        "tasks": {"name": "split_digits", "num_tasks": TASKS, "scenario": scenario},
        "target": {"name": "mlp", "hidden": [12]},
        **({"hypernet": _HYPERNET} if generated else {}),
        "method": dict(method),
        "training": {"iterations": STEPS, "batch_size": 16, "optimizer": {"name": "adam", "lr": LR}},
        **sections,
    }
    file = loads(dump({"experiment": content}), "the contract's experiment")
    return assign(file.experiment, {"training.threads": 1, "training.device": "cpu"})


def scenarios_of(method: Mapping[str, Any], sections: Mapping[str, Any], import_paths: Sequence[Path]) -> list[str]:
    """The scenarios that a method claims, in the order of the documentation.

    Raises:
        UserError: a method by import path cannot be imported.
    """
    model = _model_of(method)
    claimed = getattr(model, "scenarios", ALL)
    if model is ImportedMethod:
        imported = experiment_of(method, sections, "task").method
        assert isinstance(imported, ImportedMethod)
        claimed = imported_class(imported, import_paths).scenarios
    return [scenario for scenario in ("task", "domain", "class") if scenario in claimed]


def _model_of(method: Mapping[str, Any]) -> Any:
    return next((model for model in models_in(Method) if kind_of(model) == method.get("name")), None)


@dataclass(frozen=True)
class Course:
    """States during two tasks."""

    first: State
    """After the first task."""
    half: State
    """In the middle of the second."""
    both: State
    """After both."""


@dataclass(frozen=True)
class Case:
    """An experiment and the operations of the contract on it."""

    experiment: Experiment
    import_paths: tuple[Path, ...]

    def learner(self, seed: int = 1, replicas: int = 1) -> Learner:
        """A new learner."""
        changed = assign(self.experiment, {"training.seed": seed, "training.replicas": replicas})
        return build_learner(changed, CPU, self.import_paths)

    @cached_property
    def tasks(self) -> list[Task]:
        """The stream's tasks; it has no test data."""
        stream: TaskStream = open_stream(self.experiment.tasks, _DATA, True, self.import_paths)
        return [stream.task(index) for index in range(TASKS)]

    def validation(self, task: int) -> Batch:
        """Inputs and labels of a task's validation data."""
        split = self.tasks[task].validation
        images, labels = split[torch.arange(len(split))]
        return self.tasks[task].inputs(images), labels

    @cached_property
    def course(self) -> Course:
        """Two tasks, learned by one learner, with torch's global generator at seed 1; nothing should draw from it."""
        with random_state_kept(seed=1):
            learner = self.learner()
            first = self.taught(learner, learner.init(), 0)
            kept = copied(first)
            half = self.stepped(learner, learner.start_task(first, 1), 1, range(2))
            return Course(kept, copied(half), self.ended(learner, self.stepped(learner, half, 1, range(2, STEPS)), 1))

    def taught(self, learner: Learner, state: State, task: int, steps: int = STEPS) -> State:
        """The state after learning one more task."""
        return self.ended(learner, self.stepped(learner, learner.start_task(state, task), task, range(steps)), task)

    def stepped(
        self, learner: Learner, state: State, task: int, steps: Sequence[int], seeds: Sequence[int] = (1,)
    ) -> State:
        """The state after some steps of a started task; in float64 if the state is."""
        self._require_tensors(state, f"start_task of task {task}")
        exact = is_exact(state)
        require_seen(learner.trains_on(task), task)
        streams = [BundledBatches(self.tasks[index], 16, seeds) for index in learner.trains_on(task)]
        context = learner.task_context(state, task)
        for step in steps:
            batches = [stream(step) for stream in streams]
            if len(seeds) == 1:
                batches = [(inputs[0], labels[0]) for inputs, labels in batches]
            if exact:
                batches = [(inputs.double(), labels) for inputs, labels in batches]
            state, _ = learner.step(state, context, batches, StepInfo(task, step, LR))
        self._require_tensors(state, f"a step of task {task}")
        return state

    def ended(self, learner: Learner, state: State, task: int) -> State:
        """The state after a task's end."""
        data = OwnData(Samples(self.tasks[task]), task, is_exact(state))
        state = learner.end_task(state, task, data)
        data.close()
        self._require_tensors(state, f"end_task of task {task}")
        return state

    def _require_tensors(self, state: State, after: str) -> None:
        problems = non_tensors(state)
        assert not problems, (
            f"a state is nested dicts of tensors, all that a checkpoint saves; after {after} {problems}: use "
            "torch.tensor(...), or compute it in task_context"
        )

    def run(self, folder: Path, *stops: int) -> tuple[dict[str, Any], State]:
        """A run with two reports per task, evaluated on test data: its summary without times, and its last state.

        It is interrupted and resumed at the reports of the steps `stops`.
        """
        folders = RunFolders(folder, _DATA, offline=True, import_paths=self.import_paths)
        for stop in (*stops, None):
            with closing(run(self.experiment, folders, test=True, reports_per_task=2)) as progress:
                for item in progress:
                    if isinstance(item, Report) and item.step == stop:
                        break
        summary = RunSummary.read(folder)
        content = Checkpoints(folder / "checkpoints").newest()
        assert content is not None
        assert summary is not None
        return {key: value for key, value in summary.plain().items() if key not in _MEASURED}, content["state"]


def decided(learner: Learner, state: State, met: int, inputs: Tensor) -> Decision:
    """The decision of a learner's last pass."""
    return last_decision(learner.task_inferences(state, met), inputs)
