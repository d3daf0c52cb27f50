"""The values of command-line options."""

import argparse
import math
import re
from pathlib import Path


def count(text: str) -> int:
    """A number of 1 or more."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of 1 or more")
    return value


def amount(text: str) -> float:
    """A number above 0."""
    value = amount_or_none(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def amount_or_none(text: str) -> float:
    """A number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a number") from None
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more")
    return value


def path(text: str) -> Path:
    """A path; a shell leaves the ~ of `--results=~/x` as it is."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:  # nobody's home is known
        return path


def trusted(text: str) -> str:
    """An import path or a package as it is; a folder by its full path, too."""
    folder = path(text)
    return f"{text},{folder.resolve()}" if folder.exists() else text


def seconds(text: str) -> float:
    """Seconds of `90`, `90s`, `30m`, `2h`, `1h30m`."""
    number = r"(\d+(?:\.\d*)?|\.\d+)"
    parts = re.fullmatch(rf"(?:{number}h)?(?:{number}m)?(?:{number}s?)?", text.strip().lower())
    if parts is None or not any(parts.groups()):
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 90s, 30m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    if total := 3600 * hours + 60 * minutes + seconds:
        return total
    raise argparse.ArgumentTypeError(f"{text} is not a time above zero")
