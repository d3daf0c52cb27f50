"""Files that people read while they are rewritten: never half a file."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Replaces a file at once: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
