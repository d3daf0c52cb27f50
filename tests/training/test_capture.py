"""Steps that are recorded and replayed give what eager ones give, or the run says why they are eager.

A recorder is pretended: it holds what a CUDA graph holds, on the CPU (`tests/pretended_graph.py`).
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hypercl.config import Experiment, assign
from hypercl.methods import StepInfo
from hypercl.tasks import BundledBatches, Task, open_stream
from hypercl.tensors import leaves
from hypercl.training import Finished, Report, RunFolders, loop, run, run_together
from hypercl.training.bundle import Bundle
from hypercl.training.capture import CapturedSteps, capturing, rate_on
from hypercl.training.parts import Networks, seeds_of
from hypercl.training.recorder import RECORDERS
from tests.every_step import CASES, EAGER, NONE, REPLAY, experiment
from tests.pretended_gpu import DEVICE, pretended_gpu
from tests.pretended_graph import PretendedRecorder
from tests.training.test_run import equal, final_state

CPU = torch.device("cpu")
SAME = "recorded, equal to eager steps bit for bit"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Task]:
    stream = open_stream(experiment().tasks, tmp_path_factory.mktemp("data"), offline=True)
    return [stream.task(index) for index in range(3)]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU has one."""
    monkeypatch.setitem(RECORDERS, "cpu", PretendedRecorder)


def taken(
    learner: Bundle, setting: Experiment, tasks: Sequence[Task], outcomes: dict[int, str] | None, count: int = 5
) -> tuple[Any, list[float]]:
    """The state and the losses after some steps of the last task, recorded if there is a place for the outcome."""
    state = learner.start_task(learner.init(), 2)
    context, losses = learner.task_context(state, 2), list[Any]()
    sources = [BundledBatches(tasks[at], setting.training.batch_size, seeds_of(setting)) for at in learner.trains_on(2)]

    def batches(step: int) -> list[tuple[Tensor, Tensor]]:
        return [source(step) for source in sources]

    steps = learner if outcomes is None else CapturedSteps(learner, batches, PretendedRecorder(CPU), outcomes)
    for step in range(count):
        lr = rate_on(torch.device("cuda"), 1e-3 * 0.9**step)
        state, loss = steps.step(state, context, batches(step), StepInfo(2, step, lr))
        losses.append(loss)
    return state, [value.tolist() for loss in losses for value in loss.values()]


@pytest.mark.parametrize("case", CASES)
def test_a_methods_steps_are_recorded_with_the_same_result_or_say_why_not(case: str, tasks: list[Task]) -> None:
    setting, outcomes = experiment(*CASES[case]), dict[int, str]()
    learner = Networks.of(setting, CPU).bundle(setting, [setting.training.replicas])
    replays = PretendedRecorder.replays
    (eager, expected), (state, losses) = (taken(learner, setting, tasks, there) for there in (None, outcomes))
    assert outcomes == {2: f"eager: {EAGER[case]}" if case in EAGER else SAME}
    assert equal(list(leaves(state)), list(leaves(eager)))
    assert losses == expected
    assert PretendedRecorder.replays - replays == (0 if case in EAGER else 3 + 4)


def test_replicas_in_groups_are_one_recording(tasks: list[Task]) -> None:
    setting, outcomes = experiment("training.replicas=3"), dict[int, str]()
    learner = Networks.of(setting, CPU).bundle(setting, [2, 1])
    before = PretendedRecorder.recordings
    (eager, expected), (state, losses) = (taken(learner, setting, tasks, there) for there in (None, outcomes))
    assert equal(list(leaves(state)), list(leaves(eager)))
    assert losses == expected
    assert PretendedRecorder.recordings == before + 1


def test_a_recorded_step_costs_the_host_few_calls(tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    setting, outcomes = experiment(*CASES["hnet, Gram"]), dict[int, str]()
    counted: list[int] = []

    class Launched(PretendedRecorder):
        def record(self, function: Any) -> Any:
            replay = super().record(function)

            def one_call() -> None:
                kernels, before = gpu.kernels.copy(), sum(gpu.kernels.values())
                replay()
                counted.append(sum(gpu.kernels.values()) - before)
                gpu.kernels = kernels

            return one_call

    with pretended_gpu() as gpu:
        monkeypatch.setitem(RECORDERS, DEVICE.type, Launched)
        learner = Networks.of(setting, DEVICE).bundle(setting, [1])
        state = learner.start_task(learner.init(), 2)
        context, source = learner.task_context(state, 2), BundledBatches(tasks[2].to(DEVICE), 8, [1])
        steps = capturing(learner, setting, lambda step: [source(step)], DEVICE, outcomes)
        for step in range(4):
            batches = [source(step)]
            gpu.reset()
            state, _ = steps.step(state, context, batches, StepInfo(2, step, rate_on(DEVICE, 1e-3)))
        assert outcomes == {2: SAME}
        assert sum(gpu.kernels.values()) <= 4  # inputs, labels and rate in, losses out
        assert not gpu.waits
        assert not gpu.copies
        assert counted[-1] > 50


class Odd:
    """A learner whose step does what a recording cannot repeat."""

    def __init__(self, what: str) -> None:
        self.what, self.calls = what, 0

    def not_recordable(self, context: Any, task: int) -> str:
        del context, task
        return ""

    def step(self, state: Any, context: Any, batches: Any, info: StepInfo) -> Any:
        del context
        inputs, weights = batches[0][0], state["weights"]
        match self.what:
            case "reads its position":
                weights += info.step
            case "reads its rate":
                weights += float(torch.as_tensor(info.lr))
            case "reads memory of the host":
                weights += inputs.new_full((), float(np.sqrt(info.step)))
            case "decides by a value":
                weights += 1 if float(weights.sum()) > 3 else 2
            case "draws":
                weights += torch.rand(3, generator=torch.Generator().manual_seed(info.step))
            case "draws at every second call":
                self.calls += 1
                weights += info.drawn(lambda at: torch.full((3,), float(at.step))) if self.calls % 2 else 1
            case "replaces its state":
                state = {**state, "weights": weights + 1, str(len(state)): torch.ones(1)}
            case _:
                weights += inputs.mean() * info.lr + info.drawn(lambda at: torch.full((3,), float(at.step)))
        return state, {"task": state["weights"].sum().reshape(1)}


def odd_steps(what: str, count: int = 6) -> tuple[list[float], dict[int, str]]:
    learner: Any = Odd(what)
    outcomes, state = dict[int, str](), {"weights": torch.ones(3)}

    def batches(step: int) -> list[tuple[Tensor, Tensor]]:
        return [(torch.full((1, 4), float(step)), torch.zeros(1, 4))]

    steps, losses = CapturedSteps(learner, batches, PretendedRecorder(CPU), outcomes), list[Tensor]()
    for step in range(count):
        state, loss = steps.step(state, [None], batches(step), StepInfo(0, step, 0.5**step))
        losses.append(loss["task"])
    return [float(loss) for loss in losses], outcomes


def test_what_a_step_is_given_and_draws_is_new_at_each_replay() -> None:
    weights, expected = 1.0, list[float]()
    for step in range(6):
        weights += step * 0.5**step + step
        expected.append(3 * weights)
    assert odd_steps("nothing odd") == (expected, {0: SAME})


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("reads its position", "a recorded step differs by"),
        ("reads its rate", "the host waits"),
        ("reads memory of the host", "a recorded step differs by"),
        ("decides by a value", "the host waits"),
        ("draws", "a draw in a stream"),
        ("replaces its state", "changes what its state holds"),
    ],
)
def test_a_step_that_cannot_be_repeated_is_found_and_left_eager(what: str, why: str) -> None:
    losses, outcomes = odd_steps(what)
    eager: Any = Odd(what)
    state: Any = {"weights": torch.ones(3)}
    expected: list[float] = []
    for step in range(6):
        batches = [(torch.full((1, 4), float(step)), torch.zeros(1, 4))]
        state, loss = eager.step(state, None, batches, StepInfo(0, step, 0.5**step))
        expected.append(float(loss["task"]))
    assert losses == expected
    assert outcomes[0].startswith("eager: ")
    assert why in outcomes[0]


def test_draws_that_are_not_those_of_every_step_are_found() -> None:
    _, outcomes = odd_steps("draws at every second call")
    assert outcomes == {0: "eager: RuntimeError: a step does not draw as often as the one before it"}


def test_a_difference_within_the_tolerance_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[CapturedSteps.__module__], "TOLERANCE", 10.0)
    _, outcomes = odd_steps("reads its position")
    assert outcomes[0].startswith("recorded, equal to eager steps within 0.")


def test_on_a_device_without_a_recorder_and_where_it_is_not_wanted_the_learner_itself_takes_the_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = experiment()
    learner = Networks.of(setting, CPU).bundle(setting, [1])
    assert capturing(learner, setting, lambda _: [], CPU, {}) is learner
    assert rate_on(CPU, 0.1) == 0.1
    monkeypatch.setitem(RECORDERS, "cpu", PretendedRecorder)
    assert capturing(learner, assign(setting, {"training.capture": False}), lambda _: [], CPU, {}) is learner
    assert capturing(learner, setting, lambda _: [], CPU, {}) is not learner
    assert rate_on(CPU, 0.1) == float(np.float32(0.1)) != 0.1


RUNS = {
    "hnet": ("training.schedule=cosine", "training.clip_norm=1.0"),
    "replicas": ("training.replicas=2",),
    "changing by task": ("by_task={training.optimizer.lr: [0.01, 0.003, 0.001], method.beta: [0, 0.1, 1]}",),
    "stopped early": ("training.early_stopping={patience: 1, checks: 4}",),
    "tir": (f"method={{name: hnet_tir, {REPLAY}}}", "tasks.scenario=class"),
    "er": ("method={name: er, budget: 40}", NONE),
}
ITERATIONS = ("training.iterations=5", "training.threads=1", "training.device=cpu", "training.optimizer.lr=0.01")


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize("what", RUNS)
def test_a_run_is_the_same_recorded_eager_and_interrupted(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = experiment(*ITERATIONS, *RUNS[what])
    recorded, eager, cut = (RunFolders(tmp_path / name, tmp_path) for name in ("recorded", "eager", "cut"))
    *_, whole = run(setting, recorded)
    *_, plain = run(assign(setting, {"training.capture": False}), eager)
    monkeypatch.setattr(loop, "SECONDS_PER_TICK", -1.0)
    for stop in (3, 8):
        with closing(run(setting, cut)) as progress:
            _stopped_at(progress, stop)
    *_, resumed = run(setting, cut)
    assert isinstance(whole, Finished)
    assert isinstance(plain, Finished)
    assert isinstance(resumed, Finished)
    assert whole.summary.capture == {"1": SAME, "2": SAME, "3": SAME}
    assert "capture" not in plain.summary.plain()
    states = [final_state(place.folder) for place in (recorded, eager, cut)]
    assert states[0]["capture"] == {0: SAME, 1: SAME, 2: SAME}
    for state in states:
        state.pop("capture")
    assert equal(states[0], states[1])
    assert equal(states[0], states[2])


def _stopped_at(progress: Iterator[Any], iteration: int) -> None:
    for item in progress:
        if not isinstance(item, Report) and getattr(item, "iteration", -1) >= iteration:
            return
    raise AssertionError("the run ended before")


@pytest.mark.usefixtures("recorder")
def test_trials_of_a_bundle_with_rates_of_their_own_are_recorded_together(tmp_path: Path) -> None:
    rates = (0.01, 0.003)
    settings = [assign(experiment(*ITERATIONS), {"training.optimizer.lr": rate}) for rate in rates]
    found: list[Any] = []
    for capture in ("auto", False):
        places = [RunFolders(tmp_path / f"{capture} {rate}", tmp_path) for rate in rates]
        views = run_together([assign(one, {"training.capture": capture}) for one in settings], places)
        ends: list[Any] = []
        while len(ends) < len(views):
            for view in views:
                ends += [item for item in [next(view, None)] if isinstance(item, Finished)]
        found.append((ends, [final_state(place.folder) for place in places]))
    (recorded, states), (_, eager) = found
    for end in recorded:
        assert end.summary.capture.keys() == {"1", "2", "3"}
        assert all(how.startswith("recorded") for how in end.summary.capture.values())
    for state, expected in zip(states, eager, strict=True):
        for left, right in zip(leaves(state["state"]), leaves(expected["state"]), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("recorder")
def test_your_own_target_is_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "users_net.py").write_text(
        "from torch import nn\n\n\n"
        "def make(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    setting = experiment(*ITERATIONS, "target={name: import, path: 'users_net:make'}")
    *_, last = run(setting, RunFolders(tmp_path / "run", tmp_path, import_paths=(tmp_path,)))
    assert isinstance(last, Finished)
    why = "eager: the target is your own code, which may do what a recording does not repeat"
    assert last.summary.capture == {"1": why, "2": why, "3": why}
