"""A trial's process: every end of a run is an outcome."""

import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import pytest
import torch
from fake_training import FAULT, FakeTrainable, steps_of

from hypercl.config import Experiment, SweepFile, UserError
from hypercl.machine import MachineError
from hypercl.sweep.workers.job import TrialJob
from hypercl.sweep.workers.trainable import RunTrainable
from hypercl.training import RunSummary
from hypercl.training.progress import Diverged, Finished, Progress, Report


def test_a_run_is_its_reports_and_its_summary(job: TrialJob) -> None:
    *reports, last = steps_of(FakeTrainable({"job": job}))
    assert [report["step"] for report in reports] == list(range(1, 11))
    assert reports[-1]["value"] == pytest.approx(0.78)
    assert last["outcome"] == "finished"
    assert dict(last["metrics"])["validation/final_accuracy"] == pytest.approx(0.78)
    assert dict(last["metrics"])["compression_ratio"] == 0.5


def test_an_interrupted_run_goes_on_with_its_history(job: TrialJob) -> None:
    trainable = FakeTrainable({"job": job})
    for _ in range(3):
        trainable.step()
    job.stop_file.touch()
    assert trainable.step()["outcome"] == "interrupted"
    job.stop_file.unlink()
    trainable = FakeTrainable({"job": job})
    first, second, *_ = steps_of(trainable)
    assert (first["step"], [step for step, _ in first["history"]]) == (4, [1, 2, 3])
    assert second["history"] == ()


def test_a_trial_that_starts_while_the_sweep_stops_does_nothing(job: TrialJob) -> None:
    job.stop_file.touch()
    assert FakeTrainable({"job": job}).step()["outcome"] == "interrupted"
    assert not job.folder.exists()


def test_an_exception_of_the_code_is_an_outcome_with_its_traceback(
    job: TrialJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT, "raise")
    last = FakeTrainable({"job": job}).step()
    assert (last["done"], last["outcome"]) == (True, "failed")
    assert "broken on purpose in trial 3" in last["why"]
    assert (job.folder / "error.txt").read_text() == last["why"]


def raising(error: Exception) -> type[RunTrainable]:
    class Raising(RunTrainable):
        def start(self) -> Iterator[Progress]:
            raise error

    return Raising


@pytest.mark.parametrize(
    ("error", "outcome", "why"),
    [
        (Diverged(7, float("nan"), 1), "diverged", "the loss became nan at step 7 (task 2)"),
        (MemoryError("no room"), "out_of_memory", "no room"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), "out_of_memory", "DefaultCPUAllocator"),
        (UserError("MNIST is not there"), "failed", "MNIST is not there"),
        (MemoryError(), "out_of_memory", "MemoryError"),
        (MachineError("there is no device 'cuda' here"), "machine", "there is no device"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/results/x.pt"),
            "machine",
            "/results/x.pt: the disk is full",
        ),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "machine", "uncorrectable ECC"),
    ],
)
def test_each_error_has_its_outcome(job: TrialJob, error: Exception, outcome: str, why: str) -> None:
    last = raising(error)({"job": job}).step()
    assert last["outcome"] == outcome
    assert why in last["why"]


@pytest.mark.parametrize(("cluster", "outcome"), [(False, "machine"), (True, "blind")])
def test_missing_data_is_the_machines_affair_and_on_a_cluster_that_of_one_node(
    job: TrialJob, cluster: bool, outcome: str
) -> None:
    experiment = job.experiment | {"tasks": {"name": "split_mnist"}}
    last = RunTrainable({"job": replace(job, experiment=experiment, cluster=cluster)}).step()
    assert last["outcome"] == outcome
    assert "data set MNIST not found" in last["why"]
    assert gethostname() in last["why"]


def test_torch_running_out_of_memory_is_recognised(job: TrialJob) -> None:
    assert raising(torch.OutOfMemoryError("CUDA out of memory"))({"job": job}).step()["outcome"] == "out_of_memory"


def test_reusing_the_process_closes_the_stopped_run_first(job: TrialJob, tmp_path: Path) -> None:
    closed = []

    class Watched(FakeTrainable):
        def start(self) -> Iterator[Progress]:
            try:
                yield from super().start()
            finally:
                closed.append(self._job.number)

    trainable = Watched({"job": job})
    trainable.step()
    assert trainable.reset_config({"job": replace(job, number=4, folder=tmp_path / "trials" / "4")})
    assert closed == [3]
    assert trainable.step()["step"] == 1
    trainable.cleanup()
    assert closed == [3, 4]


def test_losses_and_reports_are_in_metrics_jsonl(job: TrialJob) -> None:
    list(steps_of(FakeTrainable({"job": job})))
    lines = (job.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(1, 11))


@pytest.mark.parametrize(("seconds", "drawn"), [(59.0, False), (60.0, True)])
def test_the_matrix_of_a_short_trial_is_not_drawn(job: TrialJob, seconds: float, drawn: bool) -> None:
    class Timed(FakeTrainable):
        def start(self) -> Iterator[Progress]:
            for item in super().start():
                yield replace(item, seconds=seconds) if isinstance(item, Report) else item

    list(steps_of(Timed({"job": job})))
    assert (job.folder / "accuracy_matrix.png").exists() == drawn
    assert (job.folder / "accuracy_matrix.csv").exists()


def test_a_trial_never_sees_a_gpu_it_was_not_given(job: TrialJob) -> None:
    import os

    os.environ["CUDA_VISIBLE_DEVICES"] = "0"
    FakeTrainable({"job": job})
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_the_experiment_reaches_the_run_as_it_was_written(job: TrialJob, sweep_file: Callable[..., SweepFile]) -> None:
    assert Experiment.model_validate(job.experiment) == sweep_file().experiment


BUNDLE = {
    "validation": {"final_accuracy": 0.4, "forward_transfer": None},
    "spread": {"validation": {"final_accuracy": 0.5}, "test": {"final_accuracy": 0.9}},
    "diverged_replicas": 1,
    "replicas": [
        {"seed": 1, "diverged": None, "validation": {"final_accuracy": 0.8}},
        {"seed": 2, "diverged": "seed 2: the loss became nan", "validation": {"final_accuracy": None}},
    ],
}


def test_a_trial_says_which_of_its_replicas_diverged(job: TrialJob) -> None:
    class Bundle(RunTrainable):
        def start(self) -> Iterator[Progress]:
            yield Finished(RunSummary.of(BUNDLE))

    last = Bundle({"job": job}).step()
    assert last["outcome"] == "finished"
    assert last["why"] == "counted as the worst, since diverged: seed 2: the loss became nan"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_share_of_a_gpu_that_is_not_there_is_no_training_on_the_cpu(job: TrialJob) -> None:
    last = RunTrainable({"job": replace(job, takes={"CPU": 1.0, "GPU": 0.25})}).step()
    assert last["outcome"] == "machine"
    assert "the trial has a share of a GPU" in last["why"]
