"""What is freed is kept, measured in pages that the system has to give."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from hypercl.training.allocator import keep_freed_memory
{call}
def use():
    torch.ones(40_000_000, dtype=torch.uint8)
for _ in range(3):
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(call: str) -> int:
    found = subprocess.run([sys.executable, "-c", COUNT.format(call=call)], capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_tensors_made_again_and_again_take_no_new_pages() -> None:
    assert pages("keep_freed_memory()") < 1000
    assert pages("") > 10_000
