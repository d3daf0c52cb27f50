"""Whose fault a death is: the one place that decides what becomes of a run that ended without a result.

The setting's: it ran out of memory by its own size. The code's: its process died again and again. The machine's: its
node, its device, its disk or Ray itself failed; that says nothing about the run, which stays as it is.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ray.tune.experiment import Trial

from hypercl.control import Control
from hypercl.sweep.workers.ray_watch import ray_failure
from hypercl.sweep.workers.stall import STACKS

Cause = Literal["code", "process", "stalled", "node", "memory", "machine"]
MOST_NODES = 10
"""Nodes lost under one run after which the machine cannot go on."""


@dataclass(frozen=True)
class Death:
    """How a run ended without a result."""

    cause: Cause
    why: str

    @property
    def retried(self) -> str:
        """What is said where the run is tried again."""
        why = "its process died" if self.cause == "process" else self.why
        return f"{why}; it is resumed {'on another ' if self.cause == 'node' else ''}from its checkpoint"


class Deaths:
    """Counts the deaths of runs and decides what follows.

    Args:
        retries: restarts of a run whose process died.
        control: is told when the machine cannot go on.
    """

    def __init__(self, retries: int, control: Control) -> None:
        self._retries, self._control = retries, control
        self._counts: Counter[tuple[Hashable, Cause]] = Counter()

    def then(self, run: Hashable, death: Death) -> Literal["again", "over", "stays"]:
        """What becomes of a run.

        Returns:
            'again': it is restarted from its checkpoint; 'over': it is given up; 'stays': the session is being
            stopped, and the next one resumes it.
        """
        if death.cause == "machine":
            self._control.machine_failed(death.why)
        if self._control.reason is not None:
            return "stays"
        self._counts[run, death.cause] += 1
        count = self._counts[run, death.cause]
        if death.cause == "node" and count > MOST_NODES:
            fix = "    fix:     see with ray status why nodes go"
            self._control.machine_failed(f"{count} nodes were lost under one run; the last: {death.why}\n{fix}")
            return "stays"
        most = {"code": 0, "process": self._retries, "stalled": 1, "node": MOST_NODES, "memory": 1}[death.cause]
        return "again" if count <= most else "over"


def death_of(trial: Trial) -> Death:
    """How the process of a trial died, by what Ray wrote down and what the process left behind."""
    failure = ray_failure()
    if failure:
        return Death("machine", failure)
    stacks, text = Path(trial.config["job"].folder) / STACKS, _last_failure(trial)
    if stacks.exists() and stacks.stat().st_size:
        kept = stacks.rename(stacks.with_name(f"stacks-{len(list(stacks.parent.glob('stacks-*.txt'))) + 1}.txt"))
        return Death("stalled", f"stalled: it made no progress and was ended; where it hung is in {kept}")
    if "OutOfMemoryError" in text:
        used = text.partition("Memory on the node")[2].partition(" was ")[2].partition(" (")[0]
        return Death("memory", f"the node ran out of memory ({used})" if used else "the node ran out of memory")
    if "creation task" in text:
        return Death("code", text)
    if "node has died" in text or "NodeDiedError" in text or "is unavailable" in text or "preempted" in text:
        return Death("node", "its node was lost")
    return Death("process", f"its process died: {' '.join(text.split())[:500]}")


def in_short(why: str) -> str:
    """A failure on one line: of a traceback the last, of a message the first."""
    lines = why.strip().splitlines() or ["no reason is known"]
    return (lines[-1] if lines[0].startswith("Traceback") else lines[0]).strip()


def _last_failure(trial: Trial) -> str:
    """The newest failure in Ray's own record of a trial's processes."""
    path = Path(trial.error_file) if trial.error_file else None
    if path is None or not path.exists():
        return "no reason is known"
    newest = path.read_text(encoding="utf-8", errors="replace").rpartition("Failure # ")[2]
    return newest.partition("\n")[2].strip()
