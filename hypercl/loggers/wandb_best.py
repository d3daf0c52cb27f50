"""The best setting of a sweep as an artifact of its trial's run in W&B, and the alert at a sweep's end."""

import json
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hypercl.loggers.spec import LoggerSpec

SECONDS = 45
"""How long the end of a sweep may wait for W&B."""
TYPE, ALIAS = "best-setting", "best"


@dataclass(frozen=True)
class BestOfSweep:
    """What W&B is told when a sweep ends."""

    spec: LoggerSpec
    """Of the trial whose run has the artifact: the best one, or any where there is none yet."""
    folder: Path
    """The trial's folder."""
    files: tuple[Path, ...]
    """Of the artifact; empty, and there is none."""
    about: dict[str, object]
    """Metadata of the artifact."""
    title: str
    text: str
    """Of the alert, if the file asks for one."""
    failed: bool


def tell(end: BestOfSweep) -> str:
    """Tells W&B, in a process of its own: the caller's may have a run of its own there. '', or why W&B was not told."""
    command = [sys.executable, "-m", "hypercl.loggers.wandb_best"]
    try:
        done = subprocess.run(command, input=pickle.dumps(end), capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} s"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else f"exit code {done.returncode}")


def _tell(end: BestOfSweep) -> None:
    import wandb

    settings = end.spec.logging.wandb
    assert settings is not None
    with wandb.init(
        project=settings.project,
        entity=settings.entity,
        id=_run_id(end.folder) or end.spec.run_id,
        name=end.spec.run_name,
        group=end.spec.group,
        job_type=end.spec.kind,
        dir=str(end.spec.results),
        mode="online",
        resume="allow",
        settings=wandb.Settings(silent=True, console="off", init_timeout=SECONDS, save_code=False),
    ) as run:
        if end.files:
            artifact = wandb.Artifact(f"{end.spec.group}-{ALIAS}", TYPE, metadata=end.about)
            for file in end.files:
                artifact.add_file(str(file), policy="immutable", skip_cache=True)
            run.log_artifact(artifact, aliases=[ALIAS])
        if settings.alert:
            run.alert(end.title, end.text, level="ERROR" if end.failed else "INFO")


def _run_id(folder: Path) -> str:
    try:
        return str(json.loads((folder / "wandb.json").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


if __name__ == "__main__":
    _tell(pickle.load(sys.stdin.buffer))
