"""The study's journal: opened by the driver alone, and mended before it is opened."""

import json
import os
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from hypercl.config import UserError
from hypercl.config.models import is_mapping

JOURNAL = "study.journal"


def open_journal(path: Path) -> JournalStorage:
    """The storage behind a study. Call `mend` first, under the driver's lock."""
    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))


def mend_journal(path: Path) -> str:
    """Repairs what a killed driver may leave behind: a lock, a line cut short, blank lines at the end.

    A torn line was never acted on (a record is written whole, with its newline, and synced before it counts); it is
    kept beside the journal in `study.journal.torn`. Optuna would open such a file and break it with the next write.

    Returns:
        What was repaired, as a sentence, or ''.

    Raises:
        UserError: a line that is not the last is broken; the message names it.
    """
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink(missing_ok=True)
    if not path.exists():
        return ""
    content = path.read_bytes()
    kept = content[: content.rfind(b"\n") + 1]
    torn = content[len(kept) :]
    lines = kept.split(b"\n")[:-1]
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not _is_record(line):
            raise UserError(
                f"{path}, line {number}: this is not a record of an Optuna journal: {line[:80]!r}\n"
                f"    The file was changed by something other than hypercl; nothing was touched.\n"
                f"    fix:     restore the file from a copy, or start over under another --name"
            )
    size = sum(len(line) + 1 for line in lines)
    if size == len(content):
        return ""
    if torn.strip():
        _append(path.with_name(path.name + ".torn"), torn + b"\n")
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())
    return f"the last {len(content) - size} bytes of {path.name} were cut short by a kill and are set aside"


def _is_record(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return is_mapping(record) and isinstance(record.get("op_code"), int)


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
