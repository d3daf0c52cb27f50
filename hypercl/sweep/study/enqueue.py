"""A setting added to a sweep by another process, whether a driver is running or not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from hypercl.config import ConfigError, UserError
from hypercl.config.checks import completed, with_tied
from hypercl.config.models import StabilityDecay
from hypercl.folder_lock import driver_of, folder_lock
from hypercl.formatting import shown
from hypercl.sweep.study.database import database, member_of
from hypercl.sweep.study.journal import JOURNAL, mend_journal, open_journal, whole_size
from hypercl.sweep.study.outcome import ENQUEUED
from hypercl.sweep.study.progress_study import names_of
from hypercl.sweep.study.record import StudyRecord, read_sweep, state_of
from hypercl.sweep.study.space import params_of


@dataclass(frozen=True)
class Enqueued:
    """What was added to a sweep."""

    record: StudyRecord
    """The sweep as it was before."""
    given: Mapping[str, Any]
    """Key path -> value, as a person gave it."""
    as_written: Mapping[str, Any]
    """The rest of the setting: the experiment's own values."""
    running: bool
    """Whether a driver is running, which tries it next."""


def enqueue_setting(folder: Path, given: Mapping[str, Any]) -> Enqueued:
    """Adds a setting to a sweep, to be tried before the sampler's own.

    Args:
        folder: the sweep's results.
        given: key path of the space -> value; what is left out is the experiment's own value.

    Raises:
        UserError: there is no study yet, its trials are planned, the setting is not of the space or is there already,
            or the journal is damaged.
    """
    record = read_sweep(folder)
    base, space = record.file.experiment, record.file.space
    if not record.attributes:
        raise UserError(
            f"{folder}: the sweep has not begun\n    fix:     begin it, or write search.enqueue in its file"
        )
    if isinstance(record.file.protocol, StabilityDecay):
        raise UserError(f"{folder}: protocol stability_decay plans its trials itself: no setting can be added")
    values, problems = completed(base, space, given)
    problems = problems or with_tied(base, space, values)[1]
    if problems:
        raise ConfigError(f"the space of {shown(folder)}", problems)
    params = params_of(base, space, given)
    same = [one for one in record.trials if {**one.params, **one.system_attrs.get("fixed_params", {})} == params]
    if same:
        raise UserError(f"{folder}: trial {same[0].number} is this setting ({state_of(same[0])})")
    driver = driver_of(folder)
    running = driver is not None and driver.alive is not False
    attributes = {ENQUEUED: json.dumps(dict(given), sort_keys=True)}
    url, member = record.asked.study.storage, member_of(folder)
    if url is not None and member is not None:
        _add(database(url), params, attributes, member.study)
    elif running:
        _require_whole(folder / JOURNAL)
        path = str(folder / JOURNAL)
        _add(JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))), params, attributes)
    else:
        with folder_lock(folder):
            mend_journal(folder / JOURNAL)
            _add(open_journal(folder / JOURNAL), params, attributes)
    return Enqueued(record, given, {path: value for path, value in values.items() if path not in given}, running)


def _add(
    storage: BaseStorage, params: Mapping[str, Any], attributes: Mapping[str, Any], study: str | None = None
) -> None:
    """Writes it into the study of this name, which is the first where none is given."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = names_of(each.study_name for each in storage.get_all_studies())
    assert names is not None
    optuna.load_study(study_name=study or names[0], storage=storage).enqueue_trial(dict(params), dict(attributes))


def _require_whole(journal: Path) -> None:
    """Refuses to write behind a record that is cut short, which the driver alone may mend."""
    content = journal.read_bytes()
    if whole_size(content) < len(content):
        raise UserError(
            f"{journal} ends in the midst of a record, which its driver may be writing\n"
            "    fix:     repeat the command; if that does not help, resume the sweep first"
        )
