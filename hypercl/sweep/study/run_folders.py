"""Run folders at a URI (`study.run_folders`): where they are, and what of them is brought into the results folder."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from hypercl.config import SweepFile, UserError
from hypercl.machine import MachineError
from hypercl.remote import RemoteFolder, below, light, point_to, send
from hypercl.user_code import CODE_FOLDER

RUN_FOLDERS = "run_folders"
"""The study's user attribute with the URI of its runs' folders; without it they are in the results folder."""
OWNER = "study.json"
"""At that URI: whose runs these are."""
ENDED = ".ended"
"""In a run's folder: it is over, and nothing more is written there."""
KEY = "study.run_folders"


def check_run_folders(file: SweepFile, source: str) -> None:
    """Tries to write to the URI of a sweep's run folders, if it has one.

    Raises:
        UserError: that is not possible.
    """
    uri = file.study.run_folders
    if uri is None:
        return
    probe = f".probe-{uuid.uuid4().hex}"
    try:
        remote = RemoteFolder(uri)
        remote.write(probe, probe.encode())
        read = remote.read(probe)
        remote.remove(probe)
    except MachineError as error:
        why, _, fix = str(error).partition("\n")
        allowed = "a URI that can be read and written from here"
        raise UserError(f"{source}: {KEY}: {why}\n    allowed: {allowed}\n{fix}") from None
    if read != probe.encode():
        raise UserError(f"{source}: {KEY}: {uri} gives back something else than what is written there")


def begin_run_folders(study: optuna.Study, name: str, uid: str, file: SweepFile) -> str | None:
    """The URI of a sweep's run folders, which is noted in its study; None where they are in the results folder.

    Args:
        study: the sweep's.
        name: under which its runs lie below `study.run_folders`.
        uid: of the study.
        file: as written.

    Raises:
        UserError: they lie elsewhere already, or those of another sweep lie there.
    """
    uri, known = file.study.run_folders, study.user_attrs.get(RUN_FOLDERS)
    wanted = None if uri is None else below(uri, name)
    if wanted == known and wanted is None:
        return None
    if known is None and study.get_trials(deepcopy=False, states=_BEGUN):
        raise UserError(f"{KEY}: the folders of this sweep's trials are in its results folder, and cannot move\n{_FIX}")
    if known is not None and known != wanted:
        raise UserError(f"{KEY}: the folders of this sweep's runs are at {known}, and cannot move\n{_FIX}")
    assert wanted is not None
    remote = RemoteFolder(wanted)
    owner = remote.read(OWNER)
    if owner is None:
        remote.write(OWNER, json.dumps({"study": name, "uid": uid}).encode())
    elif json.loads(owner).get("uid") != uid:
        raise UserError(
            f"{KEY}: {wanted} holds the runs of another sweep\n"
            "    fix:     give another --name, or another URI; or remove what is there"
        )
    if known is None:
        study.set_user_attr(RUN_FOLDERS, wanted)
    return wanted


def send_code(uri: str, results: Path) -> None:
    """Copies the user's own modules that are kept with the results to where the runs are, for nodes that do not see
    the results folder."""
    code = results / CODE_FOLDER
    files = [path.relative_to(code).as_posix() for path in sorted(code.rglob("*")) if path.is_file()]
    send(RemoteFolder(uri), CODE_FOLDER, code, [name for name in files if "__pycache__" not in name])


def bring_run(results: Path, attributes: Mapping[str, Any], folder: Path, over: bool = False) -> Path:
    """A run's folder in the results, with the files of it that lie at a URI; checkpoints and the like stay there.

    Args:
        results: the sweep's folder.
        attributes: of its study.
        folder: the run's, in the results folder; or one above several runs.
        over: the run has ended: what was fetched after its end is not asked for again.

    Raises:
        RemoteError: they cannot be read.
    """
    uri = attributes.get(RUN_FOLDERS)
    if uri is None or (over and (folder / ENDED).is_file()):
        return folder
    key = folder.relative_to(results).as_posix()
    (folder / ENDED).unlink(missing_ok=True)
    RemoteFolder(uri).fetch(key, folder, lambda name: light(name) and (over or name != ENDED))
    for path in folder.rglob("config.yaml"):
        point_to(path.parent, below(uri, path.parent.relative_to(results).as_posix()))
    return folder


_BEGUN = tuple(state for state in optuna.trial.TrialState if state != optuna.trial.TrialState.WAITING)
_FIX = "    fix:     restore the old value to resume, or begin another sweep with --name"
