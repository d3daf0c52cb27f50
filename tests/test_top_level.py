"""What lies at the top of the repository."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
NAMED = {"pyproject.toml", "README.md", "LICENSE", "CITATION.cff"}
ROOMS = {"hypercl", "search_spaces", "launch", "tests", "docs"}


@pytest.mark.skipif(not (shutil.which("git") and (HERE / ".git").exists()), reason="not a checkout")
def test_the_top_level_holds_what_a_reader_looks_for_and_dot_files() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=HERE, capture_output=True, check=True).stdout.decode()
    top = {path.partition("/")[0] for path in tracked.split("\0") if path}
    assert {name for name in top if not name.startswith(".")} == NAMED | ROOMS
