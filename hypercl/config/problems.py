"""Mistakes of a user, each with file, key path, value, what is allowed, and the fix."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

MOST_PROBLEMS = 100
"""Problems of a file that are reported; more are counted."""


class Location(NamedTuple):
    """Where a key was written."""

    file: str
    line: int


@dataclass(frozen=True)
class Problem:
    """One mistake in a file or on the command line."""

    path: str
    """Key path, '' for the file as a whole."""
    message: str
    """What is wrong, as a sentence without the value."""
    value: Any = None
    """What was given."""
    allowed: str = ""
    """What may stand there."""
    fix: str = ""
    """What to do."""
    line: int | None = None
    """Line in the file, where known."""
    about: str = ""
    """What the key is for, and its default."""
    meant: str = ""
    """Of a misspelt key, the key path that was probably meant; problems of its default are not reported."""
    file: str = ""
    """The file it stands in, where that is not the one that was asked for."""

    def render(self, source: str) -> str:
        """The problem as a few aligned lines."""
        where = f"{self.file or source}:{self.line}" if self.line else self.file or source
        path = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", self.path)
        lines = [f"{where}  {path}".rstrip() + f": {self.message}"]
        if self.value is not None:
            lines.append(f"    given:   {_short(self.value)}")
        if self.allowed:
            lines.append(f"    allowed: {self.allowed}")
        if self.about:
            lines.append(f"    about:   {self.about}")
        if self.fix:
            lines.append(f"    fix:     {self.fix}")
        return "\n".join(lines)


def located(problem: Problem, locations: Mapping[str, Location]) -> Problem:
    """With the place of its key, or of the nearest key above that is written somewhere."""
    path = problem.path
    while path and path not in locations:
        path = path.rpartition(".")[0]
    return replace(problem, file=locations[path].file, line=locations[path].line) if path else problem


class UserError(Exception):
    """A user's mistake, reported as a message and never as a traceback. Exit code 2."""


class OutOfReach(UserError):
    """A wish that no network of the given kind can meet; to a sweep, an infeasible suggestion."""

    def __init__(self, message: str, constraint: str, violation: float) -> None:
        super().__init__(message)
        self.constraint = constraint
        """What cannot be met, such as `compression_ratio`."""
        self.violation = violation
        """How far the nearest possible value is beyond the wish, as a share of it."""


class ConfigError(UserError):
    """All mistakes of one file."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
        shown, more = problems[: MOST_PROBLEMS + 1], len(problems) - MOST_PROBLEMS - 1
        rest = [f"{more:,} more problems are not shown"] if more > 0 else []
        super().__init__("\n".join([f"{count} in {source}", *(each.render(source) for each in shown), *rest]))


def did_you_mean(word: object, known: Sequence[str]) -> str:
    """'did you mean ...?' or an empty string."""
    close = closest(word, known)
    return f"did you mean '{close}'?" if close else ""


def closest(word: object, known: Sequence[str]) -> str:
    """The known word that a misspelt one is for, or an empty string."""
    close = get_close_matches(str(word), known, n=1, cutoff=0.6)
    return close[0] if close else ""


def _short(value: Any, limit: int = 120) -> str:
    """A value on a line; what may be a password in a URL is left out."""
    text = re.sub(r"(://[^:@/\s]*):.*@", r"\1:***@", repr(value))
    text = re.sub(r"(?i)(\w*(?:pass|pwd)\w*)=[^&'\"\s]+", r"\1=***", text)
    return text if len(text) <= limit else text[: limit - 3] + "..."
