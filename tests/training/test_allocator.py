"""What is freed is kept, measured in pages that the system has to give."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from hypercl.training.memory import keep_freed_memory
{call}
def use():
    torch.ones(40_000_000, dtype=torch.uint8)
for _ in range(20):  # until the heap has grown to a place for it
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(call: str) -> int:
    found = subprocess.run([sys.executable, "-c", COUNT.format(call=call)], capture_output=True, text=True, check=True)
    return int(found.stdout)


KEPT = """
from pathlib import Path
import torch
from hypercl.training.memory import give_back_freed_memory, keep_freed_memory
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
keep_freed_memory()
torch.ones(200_000_000, dtype=torch.uint8)
kept = resident()
give_back_freed_memory()
print(kept - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_what_was_kept_is_given_back_when_asked() -> None:
    found = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 150_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_tensors_made_again_and_again_take_no_new_pages() -> None:
    assert pages("keep_freed_memory()") < 1000
    assert pages("") > 10_000
