"""A user's own method by import path: found, checked before training, searched."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hypercl.cli import main
from hypercl.config import Experiment, UserError, check_sweep, loads
from hypercl.sweep import SweepOptions
from hypercl.sweep.checks import check_own_code
from hypercl.training import RunFolders, build_learner, run
from hypercl.user_code import keep_code

HERE = Path(__file__).parent
TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [8]}
  method: {name: import, path: "users_methods:Pulled", kwargs: {alpha: 0.1}}
  training: {iterations: 4, batch_size: 8, optimizer: {lr: 1e-2}, threads: 1}
space:
  method.kwargs.alpha: {log_uniform: [1e-3, 10]}
search: {trials: 2}
resources: {cpus: 1}
"""


def experiment(*overrides: str) -> Experiment:
    return loads(TEXT, "x", overrides).experiment


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a user's own file and method, not importable from elsewhere."""
    text = (HERE / "users_methods.py").read_text(encoding="utf-8")
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "mine_of_a_user.py").write_text(text)
    file = tmp_path / "spaces" / "mine.yaml"
    file.write_text(TEXT.replace("users_methods", "mine_of_a_user"))
    monkeypatch.chdir(tmp_path)
    yield file
    sys.modules.pop("mine_of_a_user", None)


def test_its_keywords_are_given_to_the_class() -> None:
    states = []
    for alpha in (0.0, 0.0, 5.0):
        learner = build_learner(experiment(f"method.kwargs.alpha={alpha}"), torch.device("cpu"), [HERE])
        state = learner.start_task(learner.init(), 1)
        state["old"] = {name: value + 1 for name, value in state["old"].items()}
        grads = {name: torch.zeros_like(value) for name, value in state["theta"].items()}
        states.append(learner._protected(state, None, grads, type("Now", (), {"task": 1})).grads["weights"])
    assert torch.equal(states[0], states[1])
    assert not states[0].any()
    torch.testing.assert_close(states[2], torch.full_like(states[2], -5.0))


def test_it_trains_the_targets_own_weights_unless_a_hypernetwork_is_given() -> None:
    assert experiment().hypernet.name == "none"
    assert experiment("hypernet={name: full}").hypernet.name == "full"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("method.path=users_method:Pulled", r"method.path: there is no module 'users_method'"),
        ("method.path=users_methods:Puled", "did you mean 'Pulled'"),
        ("method.path=users_methods:LearnerSpec", "is a class, not a subclass of hypercl.methods.Learner"),
        ("method.kwargs={alhpa: 1}", r"(?s)does not accept these.*'alhpa'.*allowed: alpha.*did you mean 'alpha'"),
        ("method.kwargs={spec: 1}", "multiple values for argument 'spec'"),
        (
            "method.kwargs={alpha: -1}",
            r"(?s)users_methods:Pulled failed: ValueError: alpha is -1.*users_methods.py:\d+",
        ),
        ("method={name: import, path: 'users_methods:Unsure'}", "lacks inference_state, init"),
        (
            "method={name: import, path: 'users_methods:Dated'}",
            "defines memory, knowledge, deciders.*\n.*rename memory to task_context, knowledge to inference_state, "
            "deciders to task_inferences",
        ),
        ("tasks.scenario=domain,method={name: import, path: 'users_methods:Alone'}", "only in class, task"),
        ("training.replicas=2,method={name: import, path: 'users_methods:Alone'}", "means over all replicas"),
        ("hypernet={name: full},tasks.scenario=class", "cannot predict without the task's identity"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(change: str, message: str, tmp_path: Path) -> None:
    given = experiment(*change.split(",", 1) if change.startswith(("tasks", "training", "hypernet")) else [change])
    with pytest.raises(UserError, match=message):
        next(run(given, RunFolders(tmp_path / "run", Path("data"), True, (HERE,))))
    assert not (tmp_path / "run").exists()


def test_an_old_name_beside_the_new_one_is_the_users_own() -> None:
    method = experiment("method={name: import, path: 'users_methods:Renamed'}")
    assert build_learner(method, torch.device("cpu"), [HERE])


def test_a_space_may_vary_a_keyword_and_no_other(tmp_path: Path) -> None:
    check_sweep(loads(TEXT, "x"), "x")
    other = loads(TEXT.replace("kwargs.alpha: {log", "kwargs.alhpa: {log"), "x", ["search.include_base=false"])
    check_sweep(other, "x")  # reads no code
    with pytest.raises(UserError, match=r"(?s)'alhpa'.*did you mean 'alpha'"):
        check_own_code(other, SweepOptions(tmp_path, tmp_path, import_paths=(HERE,)))


def test_its_module_is_kept_with_the_results(tmp_path: Path) -> None:
    keep_code(experiment(), [HERE], tmp_path)
    assert (tmp_path / "code" / "users_methods.py").read_text() == (HERE / "users_methods.py").read_text()


def test_it_is_trained_from_a_file_and_trains_again_without_its_own(mine: Path, tmp_path: Path) -> None:
    assert main(["train", str(mine)]) == 0
    (mine.parent / "mine_of_a_user.py").unlink()
    del sys.modules["mine_of_a_user"]
    kept = tmp_path / "results" / "mine" / "runs" / "seed-1" / "config.yaml"
    assert main(["train", str(kept), "--name", "again"]) == 0


def test_a_mistake_mended_leaves_nothing_behind(mine: Path) -> None:
    own = mine.parent / "mine_of_a_user.py"
    sound = own.read_text()
    own.write_text("import a_package_nobody_has\n" + sound)
    assert main(["train", str(mine)]) == 2
    own.write_text(sound)
    assert main(["train", str(mine)]) == 0


def test_a_sweep_tells_a_mistake_before_it_starts(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--set", "method.path=mine_of_a_user:Unsure", "--set", "method.kwargs={}", "--set", "space=null"]
    space = ["--set", "space={training.optimizer.lr: {uniform: [0.001, 0.1]}}"]
    assert main(["sweep", str(mine), *given, *space]) == 2
    assert "lacks inference_state" in capsys.readouterr().err
    assert not (mine.parent / "results" / "mine" / "study.journal").exists()


@pytest.mark.slow
def test_its_keywords_are_swept(mine: Path, tmp_path: Path) -> None:
    assert main(["sweep", str(mine), "--cpus", "2"]) == 0
    results = tmp_path / "results" / "mine"
    rows = (results / "trials.csv").read_text().splitlines()
    assert len(rows) == 3
    assert "method.kwargs.alpha" in rows[0]
    assert (results / "code" / "mine_of_a_user.py").exists()
