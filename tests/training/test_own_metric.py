"""A metric of the user's own: what it is given, what it may answer, and where its value goes."""

from pathlib import Path

import pytest

from hypercl.config import ConfigError, UserError, loads
from hypercl.config.models import Imported
from hypercl.training import RunFolders, RunSummary, run
from hypercl.training.own_metric import try_metrics
from hypercl.training.replicas import mean_of

MODULE = """
def worst_task(run, share=1.0):
    return share * min(run.accuracies[-1])


def word(run):
    return "good"


def final_accuracy(run):
    return run.metrics["final_accuracy"]
"""
TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [4]}
  hypernet: {chunk_size: 50, task_embedding: 2, chunk_embedding: 2}
  training: {iterations: 2}
space: {method.beta: {log_uniform: [1e-4, 1]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "users_metrics.py").write_text(MODULE)
    return tmp_path


def metric(name: str, **kwargs: float) -> Imported:
    return Imported.model_validate({"import": f"users_metrics:{name}", "kwargs": kwargs})


def test_a_run_holds_its_value_on_each_data_set_and_of_each_seed(folder: Path) -> None:
    experiment = loads(TEXT, "x", ["training.replicas=2"]).experiment
    place = RunFolders(folder / "run", folder, True, (folder,))
    list(run(experiment, place, test=True, metrics=[metric("worst_task", share=0.5)]))
    summary = RunSummary.read(folder / "run")
    assert summary is not None
    for seed in summary.seeds:
        for data in ("validation", "test"):
            worst = min(seed.metrics[data]["final_accuracy_per_task"].values())
            assert seed.value(f"{data}/worst_task") == 0.5 * worst
    measures = summary.measures()
    assert measures["validation/worst_task"] == pytest.approx(
        sum(seed.value("validation/worst_task") or 0.0 for seed in summary.seeds) / 2
    )
    assert "spread/validation/worst_task" in measures
    assert not [name for name in measures if "test/" in name]


def test_without_test_data_it_is_given_none(folder: Path) -> None:
    place = RunFolders(folder / "run", folder, True, (folder,))
    *_, last = run(loads(TEXT, "x").experiment, place, metrics=[metric("worst_task")])
    assert list(last.summary.metrics) == ["validation"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("word", "returned 'good'"), ("missing", "has no 'missing'")],
)
def test_what_is_no_number_is_refused_before_anything_is_trained(folder: Path, name: str, message: str) -> None:
    try_metrics([metric("worst_task")], [folder], tasks=3)
    with pytest.raises(UserError, match=f"objective: .*{message}"):
        try_metrics([metric(name)], [folder], tasks=3)


def test_of_a_seed_that_diverged_nobody_knows_the_worst() -> None:
    tasks = {"final_accuracy_per_task": {"task_1": 0.5}}
    each = [{"final_accuracy": 0.5, "mine": 0.3, **tasks}, {"final_accuracy": None, "mine": None, **tasks}]
    means, spread = mean_of(each, (1,))
    assert (means["final_accuracy"], means["mine"], list(spread)) == (0.25, None, ["final_accuracy"])


def test_it_is_named_by_its_function_and_never_as_another() -> None:
    file = loads(TEXT, "x", ["objective={maximize: [validation/final_accuracy, {import: 'users_metrics:worst_task'}]}"])
    assert [goal.metric for goal in file.objective.goals] == ["validation/final_accuracy", "validation/worst_task"]
    assert hash(file.objective) == hash(file.objective.model_copy())
    for wrong in ("{maximize: {import: 'users_metrics:final_accuracy'}}", "{maximize: {path: x}}", "{maximize: wrong}"):
        with pytest.raises(ConfigError) as caught:
            loads(TEXT, "x", [f"objective={wrong}"])
        assert {problem.path.split(".")[0] for problem in caught.value.problems} == {"objective"}
