"""Durations, numbers and paths as people read them."""

import os
from pathlib import Path


def shown(path: Path) -> str:
    """The path as a person would type it: relative where the working directory is above."""
    inside = os.path.relpath(path)
    return str(path) if inside.startswith("..") else inside


def duration(seconds: float) -> str:
    """'45 s', '12 min', '3 h 20 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
