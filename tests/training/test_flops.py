"""What training costs in floating-point operations, counted without changing a number."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from test_run import equal, experiment, final_state, summary_of
from torch.utils._python_dispatch import _get_current_dispatch_mode

from hypercl.config import Experiment
from hypercl.methods import StepInfo
from hypercl.training import Report, RunFolders, Tick, loop, run
from hypercl.training.flops import counted_step, step_
from hypercl.training.run_state import RunState

NOW = StepInfo(0, 0, 0.1)
PLAIN = ("hypernet.name=none", "method.name=finetune")
SHORT = ("training.iterations=3",)
DIRECT = ("method.regularizer.form=direct",)


def trained(setting: Experiment, folder: Path) -> dict[str, Any]:
    return summary_of(run(setting, RunFolders(folder, folder), reports_per_task=1))


def counted(setting: Experiment, folder: Path) -> list[int]:
    """Operations of a step of each task."""
    found = trained(setting, folder)
    assert found["flops"] == sum(found["flops_per_task"])
    assert set(found["iterations_per_task"]) == {setting.training.iterations}
    return [each // setting.training.iterations for each in found["flops_per_task"]]


def test_a_perceptron_costs_what_the_formula_says(tmp_path: Path) -> None:
    layers = [64 * 20, 20 * 12, 12 * 6]
    forward, by_weights, by_inputs = sum(layers), sum(layers), sum(layers[1:])
    found = counted(experiment(*PLAIN, *SHORT, "target.hidden=[20,12]"), tmp_path)
    assert found == [2 * 16 * (forward + by_weights + by_inputs)] * 3


def test_each_earlier_task_adds_the_same_to_the_direct_form(tmp_path: Path) -> None:
    first, second, third, fourth = counted(experiment(*SHORT, *DIRECT, "tasks.num_tasks=4"), tmp_path)
    assert first < second < third
    assert fourth - third == third - second


def test_all_replicas_are_counted(tmp_path: Path) -> None:
    one = counted(experiment(*SHORT, *DIRECT), tmp_path / "one")
    assert counted(experiment(*SHORT, *DIRECT, "training.replicas=3"), tmp_path / "three") == [3 * each for each in one]


def test_a_product_in_place_and_one_with_a_vector_are_counted() -> None:
    class Products:
        def step(self, state: dict, context: Any, batches: Any, info: StepInfo) -> Any:
            del context, batches, info
            matrix, vector = torch.ones(3, 5), torch.ones(5)
            state["w"].addmm_(torch.ones(2, 4), torch.ones(4, 3)).add_(matrix.mv(vector)).add_(vector.dot(vector))
            return state, {}

    assert counted_step(Products(), {"w": torch.zeros(2, 3)}, None, [], NOW)[2] == 2 * (2 * 4 * 3 + 3 * 5 + 5)


class Shy:
    """A learner whose step fails under a counter, when it has changed its state already."""

    def step(self, state: dict, context: Any, batches: Any, info: StepInfo) -> Any:
        del context, batches, info
        state["w"]["of"] += 1
        state["w"]["steps"] = state["w"].get("steps", torch.zeros(())) + 1
        if _get_current_dispatch_mode() is not None:
            raise RuntimeError("not under a mode\nand more")
        return state, {}


def test_a_step_that_cannot_be_counted_is_made_all_the_same_and_once() -> None:
    run_state = RunState({"w": {"of": torch.zeros(2)}})
    for task, steps in enumerate((2, 1)):
        for _ in range(steps):
            step_(run_state, Shy(), None, [], StepInfo(task, 0, 0.1))
        run_state.spent.append(steps)
    assert run_state.state["w"]["of"].tolist() == [3, 3]
    assert run_state.state["w"]["steps"] == 3
    assert run_state.flops is None
    assert run_state.uncounted == "a step cannot be made under the counter: RuntimeError: not under a mode"


def test_what_cannot_be_counted_is_null_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no counter")

    monkeypatch.setattr("hypercl.training.flops._Counter", broken)
    found = trained(experiment(*PLAIN, *SHORT), tmp_path)
    assert (found["flops"], found["flops_per_task"]) == (None, [None] * 3)
    assert found["why"] == {"flops": "a step cannot be made under the counter: RuntimeError: no counter"}


def test_an_error_of_the_method_itself_is_still_raised() -> None:
    class Broken:
        def step(self, state: dict, context: Any, batches: Any, info: StepInfo) -> Any:
            raise ValueError("of the method")

    with pytest.raises(ValueError, match="of the method"):
        counted_step(Broken(), {"w": torch.zeros(1)}, None, [], NOW)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("training.replicas=2",),
        PLAIN,
        ("hypernet.name=none", "method.name=si"),
        ("tasks.scenario=class", "method.name=hnet_tir"),
        ("tasks.scenario=class", "hypernet.name=none", "method.name=er"),
    ],
    ids=["hnet", "replicas", "own weights", "si", "tir", "er"],
)
def test_counting_changes_no_number(options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = experiment(*options, *SHORT, "tasks.num_tasks=2")
    with_counter = trained(setting, tmp_path / "with")
    monkeypatch.setattr(loop, "step_", uncounted)
    without = trained(setting, tmp_path / "without")
    assert with_counter["flops"] > 0
    assert without["flops"] is None
    left, right = final_state(tmp_path / "with"), final_state(tmp_path / "without")
    assert all(equal(left[part], right[part]) for part in ("state", "matrices", "inferred"))
    assert left["state"]


def uncounted(run_state: RunState, learner: Any, context: Any, batches: Any, info: StepInfo) -> Any:
    run_state.state, losses = learner.step(run_state.state, context, batches, info)
    return losses


def test_a_resumed_run_has_cost_what_an_uninterrupted_one_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting, cut = experiment("training.iterations=6"), RunFolders(tmp_path / "cut", tmp_path)
    items = list(run(setting, RunFolders(tmp_path / "whole", tmp_path), reports_per_task=2))
    told = [item.flops or 0 for item in items if isinstance(item, Report)]
    monkeypatch.setattr(loop, "SECONDS_PER_TICK", -1.0)
    while not (cut.folder / "summary.json").exists():
        with closing(run(setting, cut, reports_per_task=2)) as progress:
            ticks = 0
            for item in progress:
                ticks += isinstance(item, Tick)
                if ticks == 10:
                    break
    summary = summary_of(run(setting, cut, reports_per_task=2))
    assert summary["flops"] == summary_of(iter(items))["flops"] == told[-1]
    first, *_ = summary["flops_per_task"]
    assert told[:2] == [first // 2, first]
    assert told == sorted(told)
