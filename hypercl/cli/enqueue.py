"""`hypercl enqueue`: a setting is added to a sweep, running or not."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from hypercl.config import UserError
from hypercl.config.reading import value_in_words, value_of
from hypercl.exit_codes import ExitCode
from hypercl.formatting import typed
from hypercl.sweep.study import Enqueued, enqueue_setting


def enqueue_command(args: argparse.Namespace) -> int:
    """Adds the setting and says what it is and when it is tried.

    Raises:
        UserError: as `enqueue_setting`, or what is given is not KEY=VALUE.
    """
    added = enqueue_setting(args.results.resolve(), _values(args.setting))
    Console(soft_wrap=True, highlight=False, markup=False).print(enqueued_in_words(added))
    return ExitCode.DONE


def _values(pairs: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals or not path.strip():
            raise UserError(f"'{pair}': a value is given as KEY=VALUE\n    fix:     such as method.beta=0.1")
        found[path.strip().removeprefix("experiment.")] = value_of(text)
    return found


def enqueued_in_words(added: Enqueued) -> str:
    """What the setting is, and when it is tried."""
    record = added.record
    trials, waiting = record.file.search.trials, record.counts()["waiting"]
    rest = f"; as written: {_listed(added.as_written)}" if added.as_written else ""
    lines = [f"enqueued: {_listed(added.given) or 'the experiment as written'}{rest}"]
    needed = record.trained + record.counts()["running"] + waiting + 1
    if needed > trials:
        lines.append(
            f"{record.trained} of {trials} trials are trained: rerun the sweep's command with --trials {needed} or more"
        )
    elif added.running:
        lines.append("The running sweep tries it next.")
    else:
        lines.append(f"It is tried next: rerun the sweep's command (see hypercl sweep --status {typed(record.folder)})")
    return "\n".join(lines)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} {value_in_words(value)}" for path, value in values.items())
