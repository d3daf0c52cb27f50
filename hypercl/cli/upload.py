"""`hypercl upload RESULTS`: sends W&B what it lacks of the runs of a results folder."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypercl.cli.paths import offline
from hypercl.config import UserError
from hypercl.config.models import Logging, Wandb
from hypercl.exit_codes import ExitCode
from hypercl.formatting import first_line
from hypercl.loggers import LoggerSpec, cut_off, decide_mode, offline_files, sync_hint


def upload(args: argparse.Namespace) -> int:
    """Sends the rest of runs that were cut off online, and syncs offline runs; no step is sent twice.

    Raises:
        UserError: W&B is not online, or refuses.
    """
    folder = args.folder.resolve()
    if sync_hint(folder) is None:
        print("W&B holds all that was logged to it")
        return ExitCode.DONE
    mode, why = decide_mode(Wandb(), offline(args))
    if mode != "online":
        raise UserError(f"nothing is uploaded: {why}")
    for run, cursor in cut_off(folder).items():
        _send_rest(run, cursor, folder)
        print(f"sent: {run.relative_to(folder)}")
    if waiting := offline_files(folder):
        command = [sys.executable, "-m", "wandb", "sync", *map(str, waiting)]
        code = subprocess.run(command, cwd=folder, check=False).returncode  # its logs go to wandb/ there
        return ExitCode.DONE if code == 0 else ExitCode.FAILED
    return ExitCode.DONE


def _send_rest(run: Path, cursor: dict[str, Any], folder: Path) -> None:
    from hypercl.loggers import WandbLogger

    block = Wandb(project=cursor["project"], entity=cursor["entity"])
    spec = LoggerSpec(Logging(wandb=block), "online", None, cursor["id"], None, None, folder)
    try:
        WandbLogger(spec, run).send_rest()
    except Exception as error:
        raise UserError(f"{run}: W&B does not take the rest of this run: {first_line(error)}") from error
