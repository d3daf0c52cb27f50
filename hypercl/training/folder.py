"""The folder of one run: every file in it is for people too."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from hypercl.config import ConfigError, Experiment, UserError, difference_line, differences, load, resolved
from hypercl.config.reading import dump
from hypercl.files import remove_partials, write_bytes, write_text
from hypercl.methods import State
from hypercl.tasks import Task, as_images
from hypercl.training.accuracy_matrix import MATRIX_FILES, AccuracyMatrix, read_matrices
from hypercl.training.bundle import Bundle
from hypercl.training.metrics import Matrix
from hypercl.training.progress import Finished
from hypercl.training.replicas import mean_matrix
from hypercl.training.run_summary import RunSummary


@dataclass(frozen=True)
class RunFolders:
    """Where a run finds and leaves things."""

    folder: Path
    """The run's own folder: config.yaml, checkpoints/, metrics.jsonl, summary.json, accuracy_matrix.csv, samples/ of a
    method that generates inputs, and mse_matrix.csv and functions/ of a regression."""
    data_dir: Path
    """Where data sets lie."""
    offline: bool = False
    """Never fetch what is missing."""
    import_paths: tuple[Path, ...] = ()
    """Folders in which a user's own modules are looked for."""
    name: str | None = None
    """Name written into config.yaml, under which the run can be trained again."""


class RunFolder:
    """Reads and writes the files of a run's folder."""

    def __init__(self, place: RunFolders) -> None:
        self.path = place.folder
        self.name = place.name

    @property
    def begun(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "config.yaml").exists()

    def stored(self) -> Experiment | None:
        """The experiment that was begun here, if any.

        Raises:
            UserError: config.yaml is there but cannot be read.
        """
        if not self.begun:
            return None
        try:
            return load(self.path / "config.yaml").experiment
        except ConfigError as error:
            raise UserError(f"the run's own file is damaged; restore it or use another --name.\n{error}") from None

    def begin(self, experiment: Experiment) -> None:
        """Writes config.yaml where nothing was begun yet; removes what a kill left half written."""
        remove_partials(self.path)
        if not self.begun:
            content = {"name": self.name} if self.name else {}
            text = dump({**content, "experiment": resolved(experiment)})
            write_text(self.path / "config.yaml", text)

    def require_same(self, experiment: Experiment) -> None:
        """Makes sure that what was begun here, if anything, is the same.

        Raises:
            UserError: the folder holds another experiment; shows what differs.
        """
        stored = self.stored()
        if stored is not None and stored != experiment:
            lines = "\n".join(difference_line(*each) for each in differences(resolved(stored), resolved(experiment)))
            raise UserError(
                f"{self.path} holds a run with other settings:\n{lines}\n"
                "Use another --name (or --seed) for the new settings, or restore the old ones to resume."
            )

    def result(self) -> Finished | None:
        """What the finished run measured; None while it is not finished."""
        summary = RunSummary.read(self.path)
        return None if summary is None else Finished(summary, read_matrices(self.path))

    def write_matrices(
        self, replicas: Sequence[Matrix], file: str = MATRIX_FILES["validation"], instead: float | None = 0.0
    ) -> AccuracyMatrix:
        """Writes a matrix, which it returns; of several replicas their mean, in which one that diverged counts
        `instead` (None: not at all), and one file each."""
        mean = AccuracyMatrix.of(mean_matrix(replicas, instead))
        write_text(self.path / file, mean.csv())
        for number, matrix in enumerate(replicas, start=1) if len(replicas) > 1 else ():
            name = file.replace(".csv", f"_replica_{number}.csv")
            write_text(self.path / name, AccuracyMatrix.of(matrix).csv())
        return mean


COLUMNS = 10


def picture_of_samples(path: Path, bundle: Bundle, state: State, met: Sequence[Task]) -> None:
    """Writes what the first replica would replay for each task met, as the images that it stands for.

    Nothing where its method generates no inputs.
    """
    drawn = [(task, bundle.replayed(state, task.index, COLUMNS)) for task in met]
    rows = [as_images(task.inputs, inputs) for task, inputs in drawn if inputs is not None]
    if rows:
        write_samples(path, rows)


def write_samples(path: Path, rows: Sequence[Tensor]) -> None:
    """Writes images as a PNG, one row each, or nothing where they cannot be shown.

    Args:
        path: where to.
        rows: each (columns, channels, height, width), grey or rgb, or (columns, height, width); black is 0, white 1.
    """
    images = torch.cat(list(rows)).detach().float().cpu()
    if images.dim() == 3:
        images = images.unsqueeze(1)
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        return
    from torchvision.utils import make_grid  # pyright: ignore[reportMissingTypeStubs]  # brings torch's compiler along: 2 to 5 s of a process that draws none

    grid = make_grid(images, nrow=len(rows[0]), pad_value=0.5)
    content = BytesIO()
    Image.fromarray((255 * grid.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()).save(content, "PNG")
    write_bytes(path, content.getvalue())
