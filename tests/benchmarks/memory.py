"""Group `memory`: what the exact regulariser takes at 99 earlier tasks, against the stored targets it does without.

Measured in a process of its own. A regulariser of one earlier task is computed first, so that libraries and threads are
there; then freed memory is given back to the system (`malloc_trim`), the process's peak is reset
(`/proc/self/clear_refs`), and what the peak rose above what was resident, while the anchor was made and the gradient
added to another once, is the measure. Networks, parameters and the gradient that is added to are there before and do
not count.
"""

import ctypes
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from hypercl.config import UserError
from hypercl.regularizers import GramForm
from tests.benchmarks.options import Options
from tests.benchmarks.settings import PERMUTED_MNIST_100, learner_of
from tests.benchmarks.table import Row, share

EARLIER = 99
MIB = 2**20
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
ROOT = Path(__file__).parents[2]


def measures(options: Options) -> Iterator[Row]:
    """One head, all pairs; the peer is 99 x weights x 4 bytes."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", str(options.threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"the process that measures memory ended with an error:\n{done.stderr.strip()[-2000:]}")
    found = json.loads(done.stdout)
    what = f"peak memory of the regulariser over stored targets, {PERMUTED_MNIST_100.name}, {EARLIER} earlier tasks"
    yield share(what, "<= 0.1", "MiB", found["peak"] / MIB, found["targets"] / MIB)


def measure(threads: int) -> dict[str, int]:
    """Bytes of the regulariser's peak, and of the targets it does not store."""
    torch.set_num_threads(threads)
    learner = learner_of(PERMUTED_MNIST_100.experiment(), PERMUTED_MNIST_100.shape(), torch.device("cpu"))
    state = learner.init()
    form = GramForm(learner.spec.hypernet)
    moved = {name: value + 1e-3 for name, value in state["theta"].items()}
    gradient = {name: torch.ones_like(value) for name, value in moved.items()}

    def regularize(tasks: int) -> float:
        return float(form.add_gradient_(gradient, moved, form.anchor(state["theta"], state["embeddings"][:tasks])))

    regularize(1)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    CLEAR.write_text("5")
    before = _status("VmRSS")
    assert regularize(EARLIER) > 0
    weights = learner.spec.target.num_weights
    return {"peak": _status("VmHWM") - before, "targets": EARLIER * weights * 4}


def _status(field: str) -> int:
    """Bytes, from the process's own status."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
