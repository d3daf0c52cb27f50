"""A study in a database (`study.storage`), in place of the journal: several drivers can work on it."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, get_storage

from hypercl.config import SweepFile, UserError, loads
from hypercl.config.models import StabilityDecay
from hypercl.files import write_text
from hypercl.sweep.study.journal import JOURNAL
from hypercl.sweep.study.resume_check import MEMBER, check_joined

BEGUN_BY, ASKED = "begun_by", "sweep"
"""The study's user attributes with the driver that began it, and with its file."""
SECONDS_TO_CONNECT = 20


@dataclass(frozen=True)
class Member:
    """What a results folder is to a study in a database."""

    study: str
    """The study's name."""
    driver: str
    """Eight characters that name the driver of this folder, whichever process that is."""


def member_of(folder: Path) -> Member | None:
    """What a results folder is to a study in a database; None where it has none.

    Raises:
        UserError: its `study.json` is damaged.
    """
    path = folder / MEMBER
    if not path.is_file():
        return None
    try:
        return Member(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UserError(f"{path} is damaged\n    fix:     restore it from a copy") from None


def check_study(folder: Path, file: SweepFile, join: bool) -> None:
    """Makes sure that a sweep's study is where its file says, and is this folder's to work on; writes nothing.

    Args:
        folder: of the sweep.
        file: as written.
        join: whether a person wants to work on a study that another driver began.

    Raises:
        UserError: it is not, or the database cannot be reached.
    """
    url, member = file.study.storage, member_of(folder)
    if url is None:
        if member is not None or join:
            why = f"the study of {folder} is in a database" if member else "--join is for a study in a database"
            raise UserError(f"{why}, and study.storage names none\n    fix:     write it into the file again")
        return
    if join and (file.search.sampler == "grid" or isinstance(file.protocol, StabilityDecay)):
        planned = "sampler grid" if file.search.sampler == "grid" else "protocol stability_decay"
        raise UserError(f"--join: {planned} plans its trials in one driver\n    fix:     run that one alone")
    if (folder / JOURNAL).exists():
        raise UserError(
            f"study.storage: the study of {folder} is in its {JOURNAL}, and cannot move\n"
            "    fix:     leave study.storage out, or begin another sweep with --name"
        )
    name = folder.name if member is None else member.study
    storage = database(url)
    names = [study.study_name for study in storage.get_all_studies()]
    there = storage.get_study_user_attrs(storage.get_study_id_from_name(name)) if name in names else {}
    if member is None and join and BEGUN_BY not in there:
        raise UserError(f"--join: the database holds no study '{name}'\n    fix:     {_begin(names)}")
    if name not in names:
        return
    first = there.get(BEGUN_BY, member.driver if member is not None else "")
    own = member is not None and (first == member.driver or driver_key(member.driver) in there)
    if not own and not join:
        raise UserError(
            f"the database holds a study '{name}' that another driver began\n"
            "    fix:     --join to work on it together, or another --name"
        )
    if ASKED in there and (member is None or first != member.driver):
        check_joined(f"the study '{name}'", loads(there[ASKED], f"the study '{name}'"), file)


def driver_key(driver: str) -> str:
    """The study's user attribute that is a driver's row."""
    return f"driver:{driver}"


def begun_by(attributes: Mapping[str, Any]) -> str:
    """The folder and host of the driver that began a study, from the study's user attributes."""
    row = attributes.get(driver_key(attributes.get(BEGUN_BY, "")), {"host": "another host", "folder": "another folder"})
    return f"{row['folder']} on {row['host']}"


def joined(folder: Path) -> Member:
    """What a results folder is to a study, written into it where it is new."""
    member = member_of(folder)
    if member is None:
        member = Member(folder.name, uuid.uuid4().hex[:8])
        write_text(folder / MEMBER, json.dumps({"study": member.study, "driver": member.driver}) + "\n")
    return member


def database(url: str) -> BaseStorage:
    """The studies in a database.

    Raises:
        UserError: it cannot be reached, or a package is missing.
    """
    return get_storage(connected(url))


@cache
def connected(url: str) -> RDBStorage:
    """The connection to a database, one a process.

    Raises:
        UserError: as `database`.
    """
    kind = url.partition(":")[0].partition("+")[0]
    url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    arguments = {"connect_timeout": SECONDS_TO_CONNECT} if kind == "postgresql" else {}
    try:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True, "connect_args": arguments})
    except ImportError:
        raise UserError("study.storage needs a package\n    fix:     pip install 'hypercl[postgres]'") from None
    except Exception as error:
        if not _of_database(error) and not isinstance(error, RuntimeError):  # as which Optuna refuses other versions
            raise
        raise UserError(f"study.storage: {_reason(error)}\n    fix:     {_REACH}") from None


_REACH = "see that the database runs and lets you in (its password: PGPASSWORD, or ~/.pgpass)"


def database_fault(error: BaseException | None) -> str | None:
    """What happened to the database, and what to do about it, where that is behind an exception; else None."""
    for each in _chain(error):
        if _of_database(each):
            return f"stopped: the study's database: {_reason(each)}\n    fix:     {_REACH}, then rerun the same command"
    return None


def _of_database(error: BaseException) -> bool:
    """Whether it is an error of a database. SQLAlchemy is not imported for it: most sweeps have a journal."""
    return isinstance(error, StorageInternalError) or type(error).__module__.startswith("sqlalchemy.")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: BaseException) -> str:
    """The database's own words, on a line."""
    *_, last = [each for each in _chain(error) if str(each).strip()]
    return str(last).strip().partition("\n")[0]


def _begin(names: list[str]) -> str:
    there = f"it holds {', '.join(map(repr, sorted(names)[:10]))}; " if names else ""
    return f"{there}the first driver begins it without --join, under the same --name"
