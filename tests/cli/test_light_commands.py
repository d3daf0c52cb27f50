"""Commands that train nothing start at once: what they import is counted, not the seconds, which other work shares."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweep.made_sweep import SMALL, made_sweep

HEAVY = ("torch", "torchvision", "pandas", "sklearn", "matplotlib", "ray", "wandb")
CODE = """
import contextlib, io, sys
from hypercl.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    assert main(sys.argv[2:]) == 0
loaded = set(sys.argv[1].split(",")) & set(sys.modules)
sys.exit(f"loaded: {sorted(loaded)}" if loaded else 0)
"""


def loads_none_of(heavy: tuple[str, ...], *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, ",".join(heavy), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "method.beta"], ["schema"], ["init"]], ids=" ".join)
def test_what_tells_of_files_loads_no_library_of_training_or_sweeping(arguments: list[str]):
    loads_none_of((*HEAVY, "optuna", "numpy", "hypercl.sweep.study"), *arguments)


@pytest.mark.parametrize("arguments", [["--help"], ["sweep", "--help"], ["--version"]], ids=" ".join)
def test_help_loads_no_models_either(arguments: list[str]):
    loads_none_of((*HEAVY, "optuna", "numpy", "pydantic", "rich", "shtab"), *arguments)


def test_status_loads_optuna_alone(tmp_path: Path):
    made_sweep(tmp_path / "made", complete=3, running=1, text=SMALL)
    loads_none_of(HEAVY, "sweep", "--status", str(tmp_path / "made"))
    loads_none_of(HEAVY, "list", str(tmp_path))
