"""What W&B is given when a sweep ends: the best setting as an artifact, and the alert."""

from pathlib import Path

from hypercl.exit_codes import ExitCode
from hypercl.loggers import BestOfSweep, LoggerSpec, tell_wandb
from hypercl.sweep.study import StudyRecord


def give_best(record: StudyRecord, spec: LoggerSpec, best_file: Path | None, code: ExitCode, message: str) -> list[str]:
    """Tells W&B, where it is online and nobody stopped the sweep by hand; a line where that fails.

    Online only: a second offline file of the trial's run would overwrite its summary.

    Args:
        record: the sweep.
        spec: of the best trial's run, or of any where there is none yet.
        best_file: best.yaml; without it there is no artifact.
        code: of the command.
        message: how it ended.
    """
    wandb = record.file.logging.wandb
    by_hand = code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.TIME_UP)
    if wandb is None or spec.mode != "online" or by_hand or not (wandb.alert or best_file):
        return []
    best = record.best()
    number = best.number if best is not None else 0
    folder = record.trial_folder(number)
    kept = [*sorted(folder.glob("checkpoints/step-*.pt"))[-1:], folder / "config.yaml", folder / "summary.json"]
    files = [best_file, *(file for file in kept if file.is_file())] if best_file is not None else []
    about = {"trial": number, "sweep": spec.group} | ({"value": best.values[0]} if best is not None else {})
    title = f"{spec.group}: {message.splitlines()[0]}"[:250]
    why = tell_wandb(BestOfSweep(spec, folder, tuple(files), about, title, message, code is not ExitCode.DONE))
    return [f"W&B was not told of the best setting ({why})"] if why else []
