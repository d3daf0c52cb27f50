"""`python fake_sweep.py FOLDER FILE [TIME]`: a sweep with the fake training, as a process that can be killed.

With FAKE_FINAL in its environment it has a final step, with FAKE_ADDRESS it runs on that Ray cluster. With FAKE_JOIN
it joins a study that was begun elsewhere; FAKE_LEASE is how long other drivers of a study may be silent. With
FAKE_GPU_HOURS it stops after these. With FAKE_RAY, a class of in_this_process.py, it trains in its own process. It
draws no figures, which would take most of its time.
"""

import os
import sys
from pathlib import Path

import in_this_process
import pytest
from fake_training import FakeEngine

from hypercl.config import UserError, load
from hypercl.sweep import SweepOptions, driver, sweep
from hypercl.sweep.listener import Silent
from hypercl.sweep.study import GpuBudget, drivers


class Printed(Silent):
    def said(self, text: str) -> None:
        print(text, flush=True)


def main() -> int:
    folder, file, *rest = sys.argv[1:]
    options = SweepOptions(
        folder=Path(folder).absolute(),
        data_dir=Path(folder),
        source=file,
        address=os.environ.get("FAKE_ADDRESS"),
        listener=Printed(),
        time_limit_s=float(rest[0]) if rest else None,
        join="FAKE_JOIN" in os.environ,
        gpu_budget=GpuBudget(hours=float(hours) if (hours := os.environ.get("FAKE_GPU_HOURS")) else None),
        final="after the search" if "FAKE_FINAL" in os.environ else "no",
    )
    driver.SECONDS_TO_STOP = float(os.environ.get("FAKE_SECONDS_TO_STOP", driver.SECONDS_TO_STOP))
    drivers.LEASE = float(os.environ.get("FAKE_LEASE", drivers.LEASE))
    drivers.BEAT = drivers.LEASE / 8
    driver.write_report = lambda *_: []
    if sessions := os.environ.get("FAKE_RAY"):
        in_this_process.without_ray(pytest.MonkeyPatch(), getattr(in_this_process, sessions)())
    try:
        result = sweep(load(file), options, FakeEngine())
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(result.message)
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
