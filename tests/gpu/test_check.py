"""The check of a CUDA machine, rehearsed on this one."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.gpu import checking

FEW = ("hnet, Gram", "er")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCL_GPU_CHECK", "pretend")
    monkeypatch.setattr(checking, "CASES", {case: checking.CASES[case] for case in FEW})
    monkeypatch.setattr(checking, "TIMED", ("quickstart",))
    monkeypatch.setattr(checking, "SMALL", "quickstart")
    monkeypatch.setattr(checking, "REPLICAS", (1, 2))
    monkeypatch.setattr(checking, "BETAS", (0.1, 0.2))


def asked(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    code = checking.main(["--out", str(folder), "--data-dir", str(folder), *options])
    return code, json.loads((folder / "check.json").read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_every_stage_answers_or_says_why_it_was_skipped(tmp_path: Path) -> None:
    code, found = asked(tmp_path)
    assert code == 0, (tmp_path / "check.log").read_text()
    assert list(found) == [stage.__name__ for stage in checking.STAGES]
    skipped = {name for name, each in found.items() if each["status"] == "skipped"}
    assert skipped == {"marked_tests", "split_cifar"}
    assert all(found[name]["why"] for name in skipped)
    assert found["no_waits"]["cases"] == len(FEW)
    assert found["captured"]["outcomes"] == {"recorded, equal to eager steps bit for bit": len(FEW)}
    assert found["captured"]["milliseconds"]["quickstart"] > 0
    assert found["step_times"]["quickstart"] > 0
    assert set(found["replica_times"]) >= {"1", "2"}
    assert 0 < found["split_mnist"]["final_accuracy"] < 1


@pytest.mark.usefixtures("small")
def test_a_stage_that_fails_ends_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(check: checking.Check) -> dict[str, Any]:
        raise RuntimeError(f"no such GPU: {check.device}")

    monkeypatch.setattr(checking, "STAGES", (broken, checking.machine))
    code, found = asked(tmp_path)
    assert code == 1
    assert found["broken"]["why"] == "RuntimeError: no such GPU: pretended:0"
    assert found["machine"]["torch"] == torch.__version__
    assert "Traceback" in (tmp_path / "check.log").read_text()


@pytest.mark.usefixtures("small")
def test_no_stage_begins_once_time_is_up(tmp_path: Path) -> None:
    _, found = asked(tmp_path, "--minutes", "0")
    assert {each["why"] for each in found.values()} == {"no time was left"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so(tmp_path: Path) -> None:
    script = Path(checking.__file__).parent / "check"
    environment = {name: value for name, value in os.environ.items() if name != "HYPERCL_GPU_CHECK"}
    done = subprocess.run([script], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 2
    assert "HYPERCL_GPU_CHECK=pretend" in done.stderr
