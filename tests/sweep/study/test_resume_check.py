"""A file edited between two runs of a sweep."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hypercl.config import SweepFile, UserError
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study.resume_check import check_same

Files = Callable[..., SweepFile]


@pytest.mark.parametrize(
    "change",
    [
        "search.trials=99",
        "search.max_failed=1",
        "search.retries=0",
        "pruner.name=median",
        "resources.max_concurrent=1",
        "resources.gpus=0",
        "logging={wandb: {project: x}}",
        "name=other",
        "training.device=cpu",
    ],
)
def test_budget_pruning_machine_and_logging_may_change(sweep_file: Files, tmp_path: Path, change: str) -> None:
    write_sweep(tmp_path, sweep_file(), "test")
    check_same(tmp_path, sweep_file(change))


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("method.beta=0.02", "experiment.method.beta: 0.01 -> 0.02"),
        ("tasks.num_tasks=4", "experiment.tasks.num_tasks: 5 -> 4"),
        ("search.fidelity={training.iterations: 0.1}", "search.fidelity: .not there. -> training.iterations: 0.1"),
        (
            "space={method.beta: {uniform: [0, 1]}}",
            r"space.hypernet.task_embedding: choice: .4, 8, 16. -> \(not there\)",
        ),
        ("objective={minimize: validation/forgetting}", "objective.minimize"),
        ("pruner.reports_per_task=2", "pruner.reports_per_task: 4 -> 2"),
        ("resources.cpus=2", "resources.cpus: auto -> 2"),
        ("constraints.compression_ratio.max=2", "constraints.compression_ratio.max: 1.0 -> 2.0"),
    ],
)
def test_what_makes_trials_incomparable_is_refused_and_shown(
    sweep_file: Files, tmp_path: Path, change: str, shown: str
) -> None:
    write_sweep(tmp_path, sweep_file(), "test")
    with pytest.raises(UserError, match=shown) as error:
        check_same(tmp_path, sweep_file(change))
    assert "another --name" in str(error.value)


def test_a_new_folder_is_anyones(sweep_file: Files, tmp_path: Path) -> None:
    check_same(tmp_path, sweep_file())


@pytest.mark.parametrize(
    ("left", "lost"),
    [
        (("study.journal",), "sweep.yaml"),
        (("sweep.yaml",), "study.journal"),
        ((), "sweep.yaml and study.journal"),
        (("sweep.yaml", "study.journal"), ""),
        (("sweep.yaml", "study.json"), ""),
    ],
)
def test_trials_without_their_file_or_their_study_are_not_gone_on_with(
    sweep_file: Files, tmp_path: Path, left: tuple[str, ...], lost: str
) -> None:
    (tmp_path / "trials" / "0").mkdir(parents=True)
    (tmp_path / "trials" / "0" / "metrics.jsonl").touch()
    if "sweep.yaml" in left:
        write_sweep(tmp_path, sweep_file(), "test")
    for name in set(left) - {"sweep.yaml"}:
        (tmp_path / name).touch()
    if not lost:
        check_same(tmp_path, sweep_file())
        return
    with pytest.raises(UserError, match=f"holds trials, and no {lost}: .*\n    fix:     restore"):
        check_same(tmp_path, sweep_file())
