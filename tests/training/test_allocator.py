"""What is freed is kept, measured in pages that the system has to give."""

import json
import platform
import subprocess
import sys

import pytest

MEASURED = """
import json, resource
from pathlib import Path
import torch
from hypercl.training.memory import give_back_freed_memory, keep_freed_memory
def pages():
    def use():
        torch.ones(40_000_000, dtype=torch.uint8)
    for _ in range(20):  # until the heap has grown to a place for it
        use()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        use()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
at_first = pages()
keep_freed_memory()
kept = pages()
torch.ones(200_000_000, dtype=torch.uint8)
before = resident()
give_back_freed_memory()
print(json.dumps({"pages at first": at_first, "pages": kept, "given back": before - resident()}))
"""


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    """In a process of its own."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc can be told")
    found = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def test_what_was_kept_is_given_back_when_asked(measured: dict[str, int]) -> None:
    assert measured["given back"] > 150_000_000


def test_tensors_made_again_and_again_take_no_new_pages(measured: dict[str, int]) -> None:
    assert measured["pages"] < 1000
    assert measured["pages at first"] > 10_000
