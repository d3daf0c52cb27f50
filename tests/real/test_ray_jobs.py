"""Sweeps submitted as jobs to a Ray cluster: `ray start --head` on this machine, submit, stop, submit again."""

import csv
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from heads import ROOT, environment_of, head, submit

KEY = "0123456789abcdef" * 2 + "01234567"
QUICKSTART = [sys.executable, "launch/sweep.py", "search_spaces/quickstart.yaml"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def trained(results: Path) -> int:
    """Trials of the quickstart that are complete or were stopped early."""
    with (results / "quickstart" / "trials.csv").open() as file:
        return sum(row["state"] in ("complete", "pruned") for row in csv.DictReader(file))


@pytest.mark.parametrize("authenticated", [False, True], ids=["open", "with a token"])
def test_a_submitted_sweep_that_is_stopped_goes_on_when_submitted_again(tmp_path: Path, authenticated: bool) -> None:
    results = tmp_path / "results"
    with head(environment_of(tmp_path / "token" if authenticated else None)) as environment:
        environment["WANDB_API_KEY"] = KEY

        def hypercl(*words: str) -> tuple[int, str]:
            command = [sys.executable, "-m", "hypercl", "submit", *words]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr

        sweep = [str(ROOT / "search_spaces" / "quickstart.yaml"), "--set", "training.iterations=200"]
        sweep += ["--no-final", "--results", str(results), "--trials"]
        if authenticated:
            without = {key: value for key, value in environment.items() if not key.startswith("RAY_AUTH")}
            command = [sys.executable, "-m", "hypercl", "submit", "--list"]
            refused = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
            assert (refused.returncode, "needs RAY_AUTH_MODE=token" in refused.stderr) == (2, True)

        code, said = hypercl(*sweep, "400", "--detach")
        assert code == 0, said
        job = said.split()[1]
        deadline = time.monotonic() + 300
        while not list(results.glob("quickstart/trials/*/metrics.jsonl")):
            assert time.monotonic() < deadline, hypercl("--status", job)[1]
            time.sleep(0.5)
        code, said = hypercl(*sweep, "400")
        assert (code, "is in use by process" in said) == (2, True), said
        code, said = hypercl("--list")
        assert re.findall(r"^quickstart-\w+ +(\w+)", said, re.MULTILINE) == ["running", "failed"], said
        assert KEY not in said + hypercl("--status", job)[1]
        assert not any(KEY in file.read_text(errors="replace") for file in results.rglob("*") if file.is_file())

        code, said = hypercl("--stop", job)
        assert (code, "interrupted: " in said) == (0, True), said
        assert list(results.glob("quickstart/trials/*/checkpoints/*"))
        trials = trained(results) + 2
        code, said = hypercl(*sweep, str(trials))
        assert (code, "resumed" in said) == (0, True), said
        assert f"{trials} trials are trained" in said
    assert trained(results) == trials
    assert (results / "quickstart" / "best.yaml").exists()


def test_a_submitted_sweep_refuses_to_leave_its_results_in_rays_copy_of_the_folder() -> None:
    with head(environment_of(None)) as environment:
        refused = submit(environment, QUICKSTART)
    assert refused.returncode != 0
    assert "--results with an absolute path" in refused.stdout
