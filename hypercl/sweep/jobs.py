"""What a trial, or a run beside the study, is told to train and to whom it reports: its job."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hypercl.config import Experiment, SweepFile, assign, resolved
from hypercl.loggers import LoggerSpec, Mode
from hypercl.sweep.options import SweepOptions
from hypercl.sweep.race import stage_kind
from hypercl.sweep.stored_runs import StoredRuns
from hypercl.sweep.study import SweepStudy, leaks
from hypercl.sweep.workers import Slots, TrialJob

if TYPE_CHECKING:
    from hypercl.sweep.workers import PlannedRun

STOP_FILE, WANDB_OFFLINE = ".stop", ".wandb-offline"


@dataclass(frozen=True)
class Jobs:
    """The jobs of a command."""

    file: SweepFile
    """As from `search_config`."""
    given: SweepOptions
    name: str
    """Of the sweep."""
    study: SweepStudy
    stored: StoredRuns
    slots: Slots
    import_paths: tuple[Path, ...]
    on_nodes: bool
    """Whether a cluster trains."""
    logged: Mode
    """Whether W&B is reached."""

    def of_trial(self, number: int, experiment: Experiment) -> TrialJob:
        """A trial's."""
        threads = {"training.threads": self.study.threads} if experiment.training.threads == "auto" else {}
        return TrialJob(
            number=number,
            name=f"{self.name[:65]}-trial-{number}",
            experiment=resolved(assign(experiment, threads)),
            folder=self.given.folder / "trials" / str(number),
            stop_file=self.given.folder / STOP_FILE,
            data_dir=self.given.data_dir,
            offline=self.given.offline,
            import_paths=self.import_paths,
            reports_per_task=self.file.pruner.reports_per_task,
            takes=self.slots.of_ray,
            cluster=self.on_nodes,
            processes=self.slots.sharing,
            stall_timeout=None if self.file.search.stall_timeout == "auto" else self.file.search.stall_timeout,
            loggers=self.loggers("trial", str(number)),
            data="leak" if leaks(self.file) else "tune",
            metrics=self.file.objective.own,
            store=self.stored.store,
        )

    def of_run(self, run: "PlannedRun") -> TrialJob:
        """That of a run beside the study: as a trial's, without number."""
        job = self.of_trial(0, run.experiment)
        name = f"{self.name[:40]}-{run.label}-{run.folder.name}"
        kind = "final" if run.data == "report" else stage_kind(self.file)
        loggers = self.loggers(kind, f"{run.label}-{run.folder.name}")
        return replace(job, number=None, name=name, folder=run.folder, loggers=loggers, data=run.data)

    def loggers(self, kind: Literal["trial", "race", "confirm", "final"], which: str) -> LoggerSpec:
        """To whom a run reports."""
        own = which if kind == "trial" else f"{kind}-{which}"
        return LoggerSpec(
            logging=self.file.logging,
            mode=self.logged,
            group=self.name,
            run_id=f"{self.study.uid}-{own}",
            run_name=f"{self.name}-{own}",
            kind=kind,
            results=self.given.folder,
            offline_file=self.given.folder / WANDB_OFFLINE,
            import_paths=self.import_paths,
            beside_others=kind == "trial" and self.file.search.bundle > 1,
        )
