"""The study's journal: opened by the driver alone, checked and mended before it is opened."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileOpenLock
from optuna.storages.journal._storage import JournalOperation

from hypercl.config import UserError
from hypercl.config.models import is_mapping
from hypercl.formatting import typed

JOURNAL = "study.journal"

_KEYS: dict[int, tuple[str, ...]] = {
    JournalOperation.CREATE_STUDY: ("study_name", "directions"),
    JournalOperation.DELETE_STUDY: ("study_id",),
    JournalOperation.SET_STUDY_USER_ATTR: ("study_id", "user_attr"),
    JournalOperation.SET_STUDY_SYSTEM_ATTR: ("study_id", "system_attr"),
    JournalOperation.CREATE_TRIAL: ("study_id", "datetime_start"),
    JournalOperation.SET_TRIAL_PARAM: ("trial_id", "param_name", "param_value_internal", "distribution"),
    JournalOperation.SET_TRIAL_STATE_VALUES: ("trial_id", "state", "values"),
    JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE: ("trial_id", "step", "intermediate_value"),
    JournalOperation.SET_TRIAL_USER_ATTR: ("trial_id", "user_attr"),
    JournalOperation.SET_TRIAL_SYSTEM_ATTR: ("trial_id", "system_attr"),
}
"""What a record of each kind holds."""


def open_journal(path: Path) -> JournalStorage:
    """The storage behind a study. Call `mend_journal` first, under the folder's lock.

    Raises:
        UserError: the journal's records contradict each other.
    """
    return replayed(path, _Summed(path))


def replayed(path: Path, backend: BaseJournalBackend) -> JournalStorage:
    """What the records of a journal at a path amount to.

    Raises:
        UserError: the records contradict each other.
    """
    try:
        return JournalStorage(backend)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise UserError(
            f"{path} is damaged: {type(error).__name__}: {error}\n    fix:     restore it from a copy"
        ) from None


def mend_journal(path: Path) -> str:
    """Repairs what a killed driver may leave behind: a lock, a line cut short, blank lines at the end.

    A torn line was never acted on (a record is written whole, with its newline, and synced before it counts); it is
    kept beside the journal in `study.journal.torn`. Optuna would open such a file and break it with the next write.

    Returns:
        What was repaired, as a sentence, or ''.

    Raises:
        UserError: a record is damaged, missing, or not one of Optuna's; the message names its line.
    """
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink(missing_ok=True)
    if not path.exists():
        return ""
    content = path.read_bytes()
    size = whole_size(content)
    pairs = _untorn(checksums(path), content, size)
    _require_sound(path, content[:size], pairs)
    if size == len(content):
        return ""
    torn = content[content.rfind(b"\n") + 1 :]
    if torn.strip():
        _append(path.with_name(path.name + ".torn"), torn + b"\n")
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())
    _write_sums(path, pairs)
    return f"the last {len(content) - size} bytes of {path.name} were cut short by a kill and are set aside"


def records_of(path: Path) -> list[dict[str, Any]]:
    """The records of a journal that a driver may be writing; an incomplete last line is not read.

    Raises:
        UserError: the journal is damaged.
    """
    pairs = checksums(path)  # first: the driver writes a sum after its record
    content = path.read_bytes()
    size = whole_size(content)
    _require_sound(path, content[:size], _untorn(pairs, content, size))
    return [json.loads(line) for line in content[:size].splitlines()]


def _require_sound(path: Path, content: bytes, pairs: Sequence[tuple[int, str]]) -> None:
    if damage := damage_of(content, pairs):
        line, what = damage
        raise UserError(
            f"{path} is damaged, line {line}: {what}\n"
            f"    The file was changed by something other than hypercl; nothing was touched.\n"
            f"    fix:     restore it from a copy, or see what can be saved: hypercl doctor {typed(path.parent)}"
        )


def _untorn(pairs: list[tuple[int, str]], content: bytes, size: int) -> list[tuple[int, str]]:
    """The checksums without the last one, where its record is cut short, as by a loss of power; one that is missing
    altogether counts as damage."""
    return pairs[:-1] if size < len(content) and pairs and pairs[-1][0] > size else pairs


def damage_of(content: bytes, sums: Sequence[tuple[int, str]]) -> tuple[int, str] | None:
    """The first line, from 1, at which a journal is not what was written, and what is wrong there; None if it is sound.

    Args:
        content: whole lines.
        sums: as `study.journal.sums` has them; none of a journal of an earlier version.
    """
    counts, number = {"study_id": 0, "trial_id": 0}, 0
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        if what := _wrong(line, counts):
            return number, what
    digest, begin = hashlib.sha256(), 0
    for end, known in sums:
        digest.update(content[begin:end])
        if end > len(content) or digest.hexdigest()[: len(known)] != known:
            missing = f"of what was written here, {end - len(content)} bytes are missing"
            what = missing if end > len(content) else "a record was changed or is missing here"
            return content.count(b"\n", 0, begin) + 1, what
        begin = end
    return None


def without_damage(content: bytes) -> bytes:
    """A journal without the lines that are no records, or refer to what is not there."""
    counts = {"study_id": 0, "trial_id": 0}
    return b"".join(line + b"\n" for line in content.split(b"\n")[:-1] if not _wrong(line, counts))


def _wrong(line: bytes, counts: dict[str, int]) -> str:
    """What is wrong with a line by itself, and after the studies and trials counted so far; '' if nothing is."""
    try:
        record: Any = json.loads(line)
    except ValueError:
        record = None
    kind: Any = record.get("op_code") if is_mapping(record) else None
    if type(kind) is not int or not is_mapping(record):
        return f"this is not a record of an Optuna journal: {line[:80]!r}"
    if kind not in _KEYS:
        return f"unknown kind of record (op_code {kind}): {line[:80]!r}"
    missing = [key for key in ("worker_id", *_KEYS[kind]) if key not in record]
    if missing:
        return f"the record has no {missing[0]}: {line[:80]!r}"
    for key, name in (("study_id", "study"), ("trial_id", "trial")):
        if key in _KEYS[kind] and not (type(record[key]) is int and 0 <= record[key] < counts[key]):
            return f"a record is missing before it: there is no {name} with the id {record[key]!r} yet"
    counts["study_id"] += kind == JournalOperation.CREATE_STUDY
    counts["trial_id"] += kind == JournalOperation.CREATE_TRIAL
    return ""


class _Summed(JournalFileBackend):
    """A journal file, and beside it `study.journal.sums`: after each record written, the file's size and its SHA-256 so
    far. So a record that is changed or lost later is noticed, also one that another process added (`enqueue_trial`).

    The sums are written after the record is on disk: they are behind it at most, never ahead.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=JournalFileOpenLock(str(path)))
        self._path, self._size, self._digest = path, 0, hashlib.sha256()
        pairs = checksums(path)
        _write_sums(path, pairs)
        self._sum()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        super().append_logs(logs)
        self._sum()

    def _sum(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._size)
            fresh = file.read()
        fresh = fresh[: fresh.rfind(b"\n") + 1]  # another process may be writing
        if fresh:
            self._digest.update(fresh)
            self._size += len(fresh)
            with sums_of(self._path).open("ab") as file:
                file.write(f"{self._size} {self._digest.hexdigest()[:16]}\n".encode())


def _write_sums(path: Path, pairs: Sequence[tuple[int, str]]) -> None:
    if pairs or sums_of(path).exists():
        sums_of(path).write_bytes(b"".join(b"%d %s\n" % (size, known.encode()) for size, known in pairs))


def sums_of(path: Path) -> Path:
    """The file with a journal's checksums."""
    return path.with_name(f"{path.name}.sums")


def checksums(path: Path) -> list[tuple[int, str]]:
    """Sizes and digests in a journal's file of checksums; a line cut short by a kill is left out."""
    try:
        lines = sums_of(path).read_text(encoding="ascii", errors="replace").split("\n")[:-1]
    except OSError:
        return []
    pairs = [line.split() for line in lines]
    return [(int(pair[0]), pair[1]) for pair in pairs if len(pair) == 2 and pair[0].isdigit() and len(pair[1]) == 16]


def whole_size(content: bytes) -> int:
    """The length of a journal without an incomplete last line and blank lines at the end."""
    kept = content[: content.rfind(b"\n") + 1]
    while kept.endswith(b"\n") and not kept[kept.rfind(b"\n", 0, -1) + 1 :].strip():
        kept = kept[: kept.rfind(b"\n", 0, -1) + 1]
    return len(kept)


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
