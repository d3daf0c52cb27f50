"""The bridge to Ray, without Ray: what is handed out, and what the study is told."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bridge import Bridge
from optuna.trial import TrialState

from hypercl.config import Experiment, SweepFile
from hypercl.sweep.listener import Silent
from hypercl.sweep.study.outcome import Outcome, outcome_of
from hypercl.sweep.workers.deaths import Death


@pytest.fixture
def bridge(sweep_file: Callable[..., SweepFile], tmp_path: Path) -> Callable[..., Bridge]:
    def build(*overrides: str, **more: Any) -> Bridge:
        return Bridge(sweep_file(*overrides), tmp_path, **more)

    return build


def test_exactly_the_budget_is_handed_out(bridge: Callable[..., Bridge]) -> None:
    one = bridge("search.trials=3")
    for name in "abc":
        assert one.start(name)["job"].number >= 0
    assert one.start("d") is None
    for name in "abc":
        one.end(name, "finished")
    assert one.start("d") == "FINISHED"


def test_a_failed_trial_is_replaced(bridge: Callable[..., Bridge]) -> None:
    one = bridge("search.trials=1")
    one.start("a")
    one.end("a", "failed", why="Traceback ...\nValueError: x")
    assert one.start("b")["job"].number > 0
    one.end("b", "finished")
    assert one.start("c") == "FINISHED"
    assert one.study.trials()[0].state == TrialState.FAIL


def test_infeasible_suggestions_are_told_inside_suggest_and_cost_nothing(bridge: Callable[..., Bridge]) -> None:
    one = bridge("search.trials=8", "search.include_base=false", "constraints.compression_ratio.max=0.5")
    for name in range(8):
        job = one.start(str(name))["job"]
        assert job.experiment["hypernet"]["task_embedding"] == 4
    told = [trial for trial in one.study.trials() if trial.state.is_finished()]
    assert all(outcome_of(trial).kind == "infeasible" for trial in told)
    assert {round(trial.constraints["compression_ratio"], 6) for trial in told} <= {0.6, 2.2}
    assert told
    assert one.study.trained == 0


def test_fifty_infeasible_suggestions_in_a_row_stop_the_sweep(bridge: Callable[..., Bridge]) -> None:
    one = bridge("constraints.compression_ratio.max=0.1")
    assert one.start("a") == "FINISHED"
    assert one.control.reason == "infeasible"
    assert one.study.record().counts() == {"infeasible": 50, "trained": 0}


def test_the_decision_to_stop_is_written_before_it_is_answered(bridge: Callable[..., Bridge], reports: Any) -> None:
    one = bridge()
    first, second = one.start("a"), one.start("b")
    assert one.result(first, reports(8, 0.9)) == "CONTINUE"
    assert one.result(second, reports(8, 0.1)) == "STOP"
    number = second["job"].number
    assert one.study.trials()[number].state == TrialState.RUNNING
    assert one.study.decided(number) == Outcome("pruned", "pruned at step 8 (2 tasks learned)", seconds=1.0)
    one.searcher.on_trial_complete("b", reports(8, 0.1))
    trial = one.study.trials()[number]
    assert (trial.state, trial.value, trial.last_step) == (TrialState.PRUNED, 0.1, 8)


def test_reports_that_never_arrived_are_made_up_for_from_the_history(
    bridge: Callable[..., Bridge], reports: Any
) -> None:
    one = bridge()
    first, second = one.start("a"), one.start("b")
    one.result(first, reports(8, 0.9))
    history = tuple((step, 0.1) for step in range(1, 9))
    assert one.result(second, reports(9, 0.1, history)) == "STOP"
    number = second["job"].number
    assert list(one.study.reported(number)) == list(range(1, 9))


@pytest.mark.parametrize(("outcome", "kind"), [("diverged", "diverged"), ("failed", "failed")])
def test_each_bad_end_is_told_as_what_it_was(bridge: Callable[..., Bridge], outcome: str, kind: str) -> None:
    one = bridge()
    one.start("a")
    one.end("a", outcome, why="because")
    told = outcome_of(one.study.trials()[0])
    assert (told.kind, told.why) == (kind, "because")


def test_an_objective_that_is_not_a_number_is_a_divergence(bridge: Callable[..., Bridge]) -> None:
    one = bridge()
    one.start("a")
    one.end("a", "finished", (("validation/final_accuracy", math.nan), ("validation/forgetting", 0.1)))
    trial = one.study.trials()[0]
    assert trial.state == TrialState.PRUNED
    assert trial.constraints["diverged"] == 1.0


def test_a_complete_trial_keeps_what_is_said_of_its_replicas(bridge: Callable[..., Bridge]) -> None:
    one = bridge()
    one.start("a")
    one.end("a", "finished", (("validation/final_accuracy", 0.4),), why="seed 2 diverged")
    told = outcome_of(one.study.trials()[0])
    assert (told.kind, told.value, told.why) == ("complete", 0.4, "seed 2 diverged")


def test_a_summary_without_the_objective_is_a_failure(bridge: Callable[..., Bridge]) -> None:
    one = bridge()
    one.start("a")
    one.end("a", "finished", (("validation/forgetting", 0.1),))
    assert "validation/final_accuracy" in outcome_of(one.study.trials()[0]).why


@pytest.mark.parametrize("result", [None, {}, {"outcome": "interrupted"}, {"step": 3, "value": 0.2}])
def test_a_trial_that_ends_for_another_reason_stays_running(bridge: Callable[..., Bridge], result: Any) -> None:
    one = bridge()
    one.start("a")
    one.searcher.on_trial_complete("a", result)
    assert one.study.trials()[0].state == TrialState.RUNNING


def test_failures_in_a_row_stop_the_sweep_and_a_success_in_between_does_not(bridge: Callable[..., Bridge]) -> None:
    one = bridge("search.max_failed=2", "search.trials=20")
    for name, outcome in enumerate(["failed", "finished", "failed"]):
        one.start(str(name))
        one.end(str(name), outcome, why=f"reason {name}")
    assert one.control.reason is None
    one.start("x")
    one.end("x", "failed", why="reason x")
    assert one.control.reason == "failed"
    assert one.control.stop_file.exists()
    assert one.control.first_failure == "reason 0"
    assert one.start("y") == "FINISHED"


def test_a_network_that_cannot_be_built_is_a_failure_not_a_crash(bridge: Callable[..., Bridge]) -> None:
    def broken(_experiment: Experiment, _paths: Any) -> Any:
        raise ZeroDivisionError("no layer fits")

    one = bridge("search.max_failed=3", sizes=broken)
    assert one.start("a") == "FINISHED"
    assert one.study.record().counts() == {"failed": 3, "trained": 0}
    assert "no layer fits" in one.control.first_failure


def test_a_trial_without_memory_on_a_part_of_a_gpu_gets_more_of_it_as_do_those_that_follow(
    bridge: Callable[..., Bridge],
) -> None:
    one = bridge()
    one.slots.gpus = 0.25
    first, second = one.start("a")["job"], one.start("b")["job"]
    one.end("a", "out_of_memory", why="CUDA out of memory")
    assert one.start("a")["job"] == replace(first, takes={"CPU": 1.0, "GPU": 0.5})
    one.end("b", "out_of_memory", why="CUDA out of memory")  # it had a quarter
    assert one.start("b")["job"] == replace(second, takes={"CPU": 1.0, "GPU": 0.5})
    one.end("b", "out_of_memory", why="CUDA out of memory")
    assert one.start("b")["job"].takes["GPU"] == 1.0
    one.end("a", "finished")
    one.end("b", "out_of_memory", why="CUDA out of memory")
    assert one.start("b")["job"].fewer_at_once
    assert one.start("c") is None


def test_a_trial_out_of_memory_is_tried_once_more_alone_with_fewer_replicas_at_once(
    bridge: Callable[..., Bridge],
) -> None:
    one = bridge()
    first, _ = one.start("a")["job"], one.start("b")
    one.end("a", "out_of_memory", why="cannot allocate")
    assert one.start("c") is None
    one.end("b", "finished")
    assert one.start("c")["job"] == replace(first, fewer_at_once=True, processes=1)
    assert one.start("d") is None
    one.end("c", "out_of_memory", why="cannot allocate")
    trial = one.study.trials()[first.number]
    assert (trial.state, trial.constraints["out_of_memory"]) == (TrialState.PRUNED, 1.0)
    assert outcome_of(trial).why == "out of memory: cannot allocate, also when it ran alone"
    assert not one.start("e")["job"].fewer_at_once


@pytest.mark.parametrize(
    ("cause", "restarts", "told"),
    [
        ("process", 3, "its process died; it is resumed from its checkpoint"),
        ("stalled", 1, "why it died; it is resumed from its checkpoint"),
        ("node", 10, "why it died; it is resumed on another from its checkpoint"),
    ],
)
def test_a_trial_that_died_is_restarted_as_often_as_the_cause_says_and_it_is_told(
    cause: Any, restarts: int, told: str, bridge: Callable[..., Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Silent, "said", lambda _, text: said.append(text))
    one = bridge()
    number = one.start("0")["job"].number
    for restart in range(restarts + 1):
        assert one.study.trial(number).state == TrialState.RUNNING
        one.searcher.deaths[number] = Death(cause, "why it died")
        one.searcher.on_trial_complete(str(restart), error=True)
        if restart < restarts:
            assert one.start(str(restart + 1))["job"].number == number
    assert said == [f"trial {number}: {told}"] * restarts
    if cause == "node":
        assert (one.control.reason, one.control.exit_code) == ("machine", 74)
    else:
        assert outcome_of(one.study.trial(number)) == Outcome("failed", "why it died")


def test_a_fault_of_the_machine_leaves_the_trial_as_it_is_and_stops_the_sweep(bridge: Callable[..., Bridge]) -> None:
    one = bridge("search.max_failed=1")
    one.start("a"), one.start("b")
    one.end("a", "machine", why="node-7: there is no device 'cuda' here")
    one.searcher.on_trial_complete("b", error=True)
    assert one.start("c") == "FINISHED"
    assert [trial.state for trial in one.study.trials()[:2]] == [TrialState.RUNNING] * 2
    assert (one.control.reason, one.control.machine) == ("machine", "node-7: there is no device 'cuda' here")


def test_leftovers_come_first_but_never_beyond_the_budget(bridge: Callable[..., Bridge]) -> None:
    killed = bridge("search.trials=3")
    numbers = [killed.start(name)["job"].number for name in "abc"]
    killed.end("a", "finished")
    one = bridge("search.trials=2")
    assert one.start("d")["job"].number == numbers[1]
    assert one.start("e") is None
    one.end("d", "finished")
    assert one.start("e") == "FINISHED"
    assert one.study.record().counts()["running"] == 1


def test_nothing_is_suggested_once_the_sweep_is_stopping(bridge: Callable[..., Bridge]) -> None:
    one = bridge()
    one.control.stop("sigint")
    assert one.start("a") == "FINISHED"
    assert one.control.stop_file.exists()
