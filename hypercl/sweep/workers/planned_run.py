"""One run beside the study, and how its folder says it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hypercl.config import Experiment, assign
from hypercl.training import RunSummary, seeds_name

LOST = "lost.txt"
Data = Literal["tune", "report", "leak"]


@dataclass(frozen=True)
class PlannedRun:
    """One run, of one seed or of a bundle of several."""

    label: str
    """Whose setting: `base`, `trial-7`."""
    experiment: Experiment
    folder: Path
    """The run's own: `<results>/final/<label>/<seeds_name>`."""
    data: Data

    @classmethod
    def of(cls, label: str, experiment: Experiment, above: Path, data: Data) -> "PlannedRun":
        """In the folder of its label and seeds."""
        return cls(label, experiment, above / label / seeds_name(experiment), data)

    @property
    def name(self) -> str:
        """In words: `trial-7, seeds 2000001-2000010`."""
        kind, _, seeds = seeds_name(self.experiment).partition("-")
        return f"{self.label}, {kind} {seeds}"

    @property
    def seeds(self) -> range:
        """Of its replicas."""
        first = self.experiment.training.seed
        return range(first, first + self.experiment.training.replicas)

    @property
    def summary(self) -> RunSummary | None:
        """What it measured; None while it is not done."""
        return RunSummary.read(self.folder)

    @property
    def lost(self) -> str:
        """Why it was given up; '' while it was not."""
        path = self.folder / LOST
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    def singles(self) -> tuple["PlannedRun", ...]:
        """Its seeds, each as a run of its own beside its folder; of a single seed itself."""
        return (self,) if len(self.seeds) == 1 else tuple(map(self._single, self.seeds))

    def _single(self, seed: int) -> "PlannedRun":
        experiment = assign(self.experiment, {"training.seed": seed, "training.replicas": 1})
        return replace(self, experiment=experiment, folder=self.folder.parent / seeds_name(experiment))


@dataclass(frozen=True)
class RanRun:
    """How a run stands when `train_all` returns."""

    run: PlannedRun
    summary: RunSummary | None
    """None where it is lost or was interrupted."""
    why: str = ""
    """Why it is lost: its seeds count as the worst. '' of a run that is done, and of one that was interrupted."""

    @property
    def ended(self) -> bool:
        """Whether it is done or lost, and not waiting for the same command."""
        return self.summary is not None or bool(self.why)


def as_begun(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The runs, with single seeds in the place of a bundle that was split."""
    return [part for run in runs for part in (run.singles() if _was_split(run) else (run,))]


def _was_split(run: PlannedRun) -> bool:
    """Whether its seeds were begun one by one, after the bundle had failed."""
    parts = run.singles()
    return len(parts) > 1 and run.summary is None and any(part.folder.exists() for part in parts)
