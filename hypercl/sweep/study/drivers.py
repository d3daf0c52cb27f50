"""Several drivers on one study in a database: who trains which trial, within one exact budget.

A slot is the right to train one trial. There are as many as the budget, each is taken by one `INSERT`, which the
database lets succeed once, and it is given back where its trial did not count. So no driver can train one trial too
many, however drivers race or stall. A trial belongs to the driver that its slot names.
"""

import os
import socket
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Column, Integer, MetaData, String, Table, UniqueConstraint, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import ColumnElement

from hypercl.sweep.study.database import driver_key
from hypercl.sweep.study.outcome import TRAINED, outcome_of

BEAT = 15.0
"""Seconds between two signs of life of a driver."""
LEASE = 120.0
"""Seconds without one after which its trials may be taken over."""
SECONDS_TO_LOOK = 1.0
"""Between two looks at what drivers that are gone have left."""

_TABLES = MetaData()
_SLOTS = Table(
    "hypercl_slots",
    _TABLES,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer),
    Column("driver", String(8), nullable=False),
    UniqueConstraint("study_id", "number"),
)


class Drivers:
    """The drivers of one study, seen by one of them.

    Args:
        database: holds the study.
        study: the sweep's.
        study_id: its id there.
        own: this driver's name.
        folder: its results.
    """

    def __init__(self, database: RDBStorage, study: Study, study_id: int, own: str, folder: Path) -> None:
        self._engine, self._study, self._id, self._own, self._folder = database.engine, study, study_id, own, folder
        self._mine = (_SLOTS.c.study_id == study_id) & (_SLOTS.c.driver == own)
        self._seen: dict[str, tuple[Hashable, float]] = {}
        self._next_beat = self._next_look = 0.0
        _TABLES.create_all(self._engine)
        self._free(self._mine & _SLOTS.c.number.is_(None))
        self.beat()

    def beat(self) -> None:
        """A sign of life, now and then, and a look at those of the others."""
        if monotonic() >= self._next_beat:
            self._next_beat = monotonic() + BEAT
            self._write_row(datetime.now(UTC).isoformat("T", "milliseconds"))
            self._gone("")

    def leave(self) -> None:
        """Says that this driver has ended: its trials may be taken over at once."""
        self._free(self._mine & _SLOTS.c.number.is_(None))
        self._write_row(None)

    def reserve(self, budget: int) -> bool:
        """Takes the right to train one more trial, unless this driver holds one that is not used yet.

        Args:
            budget: trials that count towards it, of all drivers.
        """
        unused = select(_SLOTS.c.slot).where(self._mine & _SLOTS.c.number.is_(None))
        size = select(func.count(), func.coalesce(func.max(_SLOTS.c.slot), -1)).where(_SLOTS.c.study_id == self._id)
        with self._engine.connect() as connection:
            if connection.execute(unused).first() is not None:
                return True
            taken, last = connection.execute(size).one()
        if taken >= budget:
            return False
        slot = last + 1
        if slot >= budget:
            slot = min({*range(budget)} - {slot for slot, _, _ in self._slots()}, default=budget)
        if slot >= budget:
            return False
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_SLOTS).values(study_id=self._id, slot=slot, driver=self._own))
        except IntegrityError:  # another driver was quicker
            return self.reserve(budget)
        return True

    def bind(self, number: int) -> None:
        """Uses the right that this driver holds for a trial."""
        with self._engine.begin() as connection:
            unused = self._mine & _SLOTS.c.number.is_(None)
            connection.execute(update(_SLOTS).where(unused).values(number=number))

    def owns(self, number: int) -> bool:
        """Whether a trial is this driver's: no other has taken it over."""
        query = select(_SLOTS.c.slot).where(self._mine & (_SLOTS.c.number == number))
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def settled(self, number: int, counts: bool) -> None:
        """A trial has ended; the right to train another in its place is free again unless it counts."""
        if not counts:
            self._free(self._mine & (_SLOTS.c.number == number))

    def look_due(self) -> bool:
        """Whether it is time to look for what drivers that are gone have left."""
        due = monotonic() >= self._next_look
        self._next_look = monotonic() + SECONDS_TO_LOOK if due else self._next_look
        return due

    def take_over(self, trials: Sequence[FrozenTrial]) -> int | None:
        """Takes over a running trial of a driver that is gone, and mends what such drivers left behind.

        Args:
            trials: of the study.

        Returns:
            its number; None where there is none.
        """
        for slot, number, driver in self._slots():
            this = (_SLOTS.c.study_id == self._id) & (_SLOTS.c.slot == slot) & (_SLOTS.c.driver == driver)
            trial = trials[number] if number is not None and number < len(trials) else None
            if trial is not None and trial.state.is_finished():
                if outcome_of(trial).kind not in TRAINED:  # its driver died before it gave the slot back
                    self._free(this & (_SLOTS.c.number == number))
            elif driver != self._own and self._gone(driver):
                if number is None:
                    self._free(this & _SLOTS.c.number.is_(None))
                    continue
                with self._engine.begin() as connection:
                    there = this & (_SLOTS.c.number == number)
                    taken = connection.execute(update(_SLOTS).where(there).values(driver=self._own)).rowcount
                if taken == 1:
                    return number
        return None

    def lost(self, trials: Sequence[FrozenTrial]) -> list[int]:
        """Running trials that no driver holds for longer than a lease: theirs died as they were suggested."""
        held = {number for _, number, _ in self._slots()}
        free = [trial.number for trial in trials if trial.state == TrialState.RUNNING and trial.number not in held]
        return [number for number in free if self._unchanged(f"trial {number}", number)]

    def _slots(self) -> list[tuple[int, int | None, str]]:
        """Slot, trial and driver of those that are taken."""
        query = select(_SLOTS.c.slot, _SLOTS.c.number, _SLOTS.c.driver).where(_SLOTS.c.study_id == self._id)
        with self._engine.connect() as connection:
            return [(slot, number, driver) for slot, number, driver in connection.execute(query)]

    def _free(self, which: ColumnElement[bool]) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(_SLOTS).where(which))

    def _write_row(self, beat: str | None) -> None:
        row = {"host": socket.gethostname(), "pid": os.getpid(), "folder": str(self._folder), "beat": beat}
        self._study.set_user_attr(driver_key(self._own), row)

    def _gone(self, driver: str) -> bool:
        """Whether a driver has ended, or shown no sign of life for a lease; by this machine's clock alone."""
        rows = {key: row for key, row in self._study.user_attrs.items() if key.startswith(driver_key(""))}
        still = {key: self._unchanged(key, row["beat"]) for key, row in rows.items()}
        key = driver_key(driver)
        return key not in rows or rows[key]["beat"] is None or still[key]

    def _unchanged(self, key: str, value: Hashable) -> bool:
        """Whether something has been the same for a lease, as far as this driver has looked."""
        if key not in self._seen or self._seen[key][0] != value:
            self._seen[key] = (value, monotonic())
        return monotonic() - self._seen[key][1] >= LEASE
