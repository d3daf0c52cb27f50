"""The console script `hypercl`, also as `python -m hypercl`.

It imports next to nothing before it handles signals: Ctrl-C ends it without a traceback in its first moments, too.
"""

import os
import signal
from types import FrameType


def main(arguments: list[str] | None = None) -> int:
    """As `hypercl.cli.main`, in a process of its own."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    from hypercl.cli import main as run

    return run(arguments)


def _end(number: int, _frame: FrameType | None) -> None:
    os.write(2, b"\ninterrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    raise SystemExit(main())
