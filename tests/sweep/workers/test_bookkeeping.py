"""What the driver does for a report and for an ending does not grow with the number of trials; counted, not timed."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from bridge import Bridge
from optuna.storages.journal import JournalFileBackend

from hypercl.config import SweepFile
from hypercl.config.models import Resources
from hypercl.sweep.listener import Silent
from hypercl.sweep.results import TrialsTable, write_trials
from hypercl.sweep.results import files as outputs
from hypercl.sweep.study.gpu_budget import GpuBudget
from hypercl.sweep.workers import session as tuning
from hypercl.sweep.workers.gpu_meter import GpuMeter
from hypercl.sweep.workers.resources import Machine, fit_slots
from hypercl.sweep.workers.session import Heartbeat

TRIALS, EARLY = 2000, 20


class Work:
    """Counts what is read, written and made."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: Counter[str] = Counter()
        get_trials, append, row = optuna.Study.get_trials, JournalFileBackend.append_logs, outputs._row

        def counted_trials(*given, **more):
            found = get_trials(*given, **more)
            self.done["trials listed"] += len(found)
            return found

        def counted_records(backend, logs):
            self.done["records written"] += len(logs)
            append(backend, logs)

        def counted_row(*given):
            self.done["rows made"] += 1
            return row(*given)

        patch.setattr(optuna.Study, "get_trials", counted_trials)
        patch.setattr(JournalFileBackend, "append_logs", counted_records)
        patch.setattr(outputs, "_row", counted_row)

    def of(self, act: Callable[..., object], *given: object) -> Counter[str]:
        """What one call takes."""
        before = self.done.copy()
        act(*given)
        return self.done - before


def beating(bridge: Bridge, file: SweepFile) -> Heartbeat:
    write = partial(write_trials, bridge.folder, bridge.study, TrialsTable(file))
    meter = GpuMeter(bridge.study, 0.0, GpuBudget(), bridge.control)
    return Heartbeat(bridge.study, bridge.control, Silent(), write, meter)


def test_no_report_and_no_ending_takes_more_work_at_2000_trials_than_at_20(
    sweep_file: Callable[..., SweepFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reports: Callable[..., dict]
) -> None:
    work, clock = Work(monkeypatch), [0.0]
    monkeypatch.setattr(tuning.time, "monotonic", lambda: clock[0])
    search = f"search={{sampler: random, trials: {TRIALS}, include_base: false}}"
    file = sweep_file(search, "constraints={}", "pruner={name: none}")

    def trained(number: int) -> dict[str, Counter[str]]:
        config = bridge.start(f"ray-{number}")
        assert config["job"].number == number
        reported = work.of(bridge.result, config, reports(1, 0.3))
        ended = work.of(bridge.end, f"ray-{number}", "finished")
        clock[0] += 100.0
        return {"report": reported, "end": ended, "turn": work.of(heartbeat.on_step_begin, number, [])}

    bridge = Bridge(file, tmp_path)
    heartbeat = beating(bridge, file)
    early = [trained(number) for number in range(EARLY)][-1]
    bridge.study.optuna.add_trials([bridge.study.trials()[-1]] * (TRIALS - EARLY - 2))
    bridge = Bridge(file, tmp_path)
    heartbeat = beating(bridge, file)
    _, late = trained(TRIALS - 2), trained(TRIALS - 1)
    assert bridge.start("ray-last") == "FINISHED"

    assert early["report"] == late["report"] == {"records written": 1}
    assert early["end"] == late["end"]
    assert not late["end"]["trials listed"]
    assert early["turn"]["rows made"] == late["turn"]["rows made"] == 1
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == TRIALS + 1


def test_what_the_first_trial_to_finish_needs_of_a_gpu_is_told_and_said_once(
    sweep_file: Callable[..., SweepFile], tmp_path: Path
) -> None:
    bridge, told = Bridge(sweep_file("constraints={}"), tmp_path), list[str]()

    class Heard(Silent):
        def said(self, text: str) -> None:
            told.append(text)

    slots = fit_slots(Resources(), Machine(32, 1))
    meter = GpuMeter(bridge.study, 0.25, GpuBudget(), bridge.control)
    heartbeat = Heartbeat(bridge.study, bridge.control, Heard(), lambda: None, meter, lambda: None, slots.share_by)
    for number, result in enumerate([{"step": 1}, {"outcome": "finished", "gpu_need": None}, *[{"gpu_need": 0.1}] * 2]):
        trial = SimpleNamespace(trial_id=str(number), config=bridge.start(f"ray-{number}"))
        heartbeat.on_trial_result(number, [], trial, result)
    said = "resources.gpus: a trial needs 10% of a GPU's memory: from now on 10 share one"
    assert (told, slots.concurrent) == ([said], 10)
