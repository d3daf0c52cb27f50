"""`hypercl dashboard FILE|RESULTS`: the project's workspace and report in W&B."""

import argparse

from hypercl.cli.paths import offline
from hypercl.config import UserError, load_sweep
from hypercl.config.models import Wandb
from hypercl.exit_codes import ExitCode
from hypercl.loggers import decide_mode
from hypercl.sweep.study import SWEEP_YAML


def dashboard(args: argparse.Namespace) -> int:
    """Makes both, or brings them up to date, and prints their addresses.

    Raises:
        UserError: W&B is not online, or refuses; or wandb-workspaces is not installed.
    """
    file = load_sweep(args.file / SWEEP_YAML if args.file.is_dir() else args.file)
    settings = file.logging.wandb or Wandb()
    mode, why = decide_mode(settings.model_copy(update={"mode": "online"}), offline(args))
    if mode != "online":
        raise UserError(f"a dashboard is made online, and {why}")
    from hypercl.loggers import save_dashboard

    workspace, report = save_dashboard(file, settings)
    print(f"workspace: {workspace}\nreport:    {report}")
    return ExitCode.DONE
