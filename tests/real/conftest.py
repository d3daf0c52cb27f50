"""Real data: HYPERCL_DATA, or what lies beside the checkout in ../shared (unpacked once a session)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

UNPACK = Path(__file__).parents[3] / "shared" / "data" / "unpack.py"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNIST and CIFAR-10/100 as the shipped files expect them."""
    given = os.environ.get("HYPERCL_DATA")
    if given:
        return Path(given)
    assert UNPACK.exists(), "these tests need real data: set HYPERCL_DATA to a folder that holds MNIST and CIFAR"
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, str(UNPACK), str(folder)], check=True, capture_output=True)
    return folder
