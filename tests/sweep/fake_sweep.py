"""`python fake_sweep.py FOLDER FILE [TIME]`: a sweep with the fake training, as a process that can be killed.

With FAKE_FINAL in its environment it has a final step, with FAKE_ADDRESS it runs on that Ray cluster.
"""

import os
import sys
from pathlib import Path

from fake_training import FakeEngine

from hypercl.config import UserError, load
from hypercl.sweep import SweepOptions, driver, sweep
from hypercl.sweep.listener import Silent


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
        final="after the search" if "FAKE_FINAL" in os.environ else "no",
    )
    driver.SECONDS_TO_STOP = float(os.environ.get("FAKE_SECONDS_TO_STOP", driver.SECONDS_TO_STOP))
    try:
        result = sweep(load(file), options, FakeEngine())
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(result.message)
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
