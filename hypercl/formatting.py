"""Durations, numbers, paths and tables as people read them."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path


def shown(path: Path) -> str:
    """The path as a person would type it: relative where the working directory is above."""
    inside = os.path.relpath(path)
    return str(path) if inside.startswith("..") else inside


def typed(path: Path) -> str:
    """The path in a command to be copied into a shell: quoted where that is needed."""
    return shlex.quote(shown(path))


def default_data_dir() -> Path:
    """The folder of the data sets that commands use by themselves: $HYPERCL_DATA, else ./data."""
    return Path(os.path.expanduser(os.environ.get("HYPERCL_DATA") or "data"))


def data_option(folder: Path) -> str:
    """' --data-dir D' in a command to be copied; '' where that is the default."""
    return "" if folder.resolve() == default_data_dir().resolve() else f" --data-dir {typed(folder)}"


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def duration(seconds: float) -> str:
    """'45 s', '12 min', '3 h 20 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def operations(flops: float) -> str:
    """A number of floating-point operations: '1.5e15'."""
    return f"{flops:.1e}".replace("e+", "e")


def percent(fraction: float, digits: int = 2) -> str:
    """'97.10', without the sign; never '-0.00'."""
    text = f"{100 * fraction:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def is_fraction(metric: str) -> bool:
    """Whether a metric by its key is a fraction, shown in percent; costs, sizes and squared errors are not."""
    return "/" in metric and not metric.endswith("_mse")


def headings(paths: Sequence[str]) -> list[str]:
    """The shortest ends of some key paths that tell them apart: `lr`, `target hidden`, `hypernet hidden`."""
    names: list[str] = []
    for path in paths:
        parts = path.split(".")
        least = 2 if parts[-1] == "name" else 1
        ends = [".".join(parts[-length:]) for length in range(least, len(parts) + 1)]
        end = next(
            (end for end in ends if sum(f".{other}".endswith(f".{end}") for other in paths) == 1),
            path,
        )
        names.append(end.replace(".", " ").replace("_", " "))
    return names


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of the same keys."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
