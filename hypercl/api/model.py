"""A trained run as a model that can learn further."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypercl.api.runs import train
from hypercl.cli import paths_beside, run_of
from hypercl.config import Experiment, UserError, assign, resolved
from hypercl.config.models import ChunkedHypernet
from hypercl.config.reading import dump
from hypercl.files import write_text
from hypercl.tasks import shape_of
from hypercl.training import TrainedModel, seeds_name, sizes
from hypercl.user_code import CODE_FOLDER


class Model(TrainedModel):
    """What a run has learned so far: predictions, each task's weights, network and export; and it learns on.

    Args:
        folder: of the run.
        seed: which of several seeds (`training.replicas`); None is the first.
        device: where it computes.

    Raises:
        UserError: the folder holds no run, or no task has been learned yet.
    """

    def __init__(self, folder: Path, seed: int | None = None, device: str = "cpu") -> None:
        super().__init__(folder, seed, device, paths_beside(folder / "config.yaml"))

    def extend(
        self,
        stream: int | Mapping[str, Any],
        *,
        name: str,
        results: str | Path = "results",
        data_dir: str | Path | None = None,
        offline: bool | None = None,
        quiet: bool = False,
    ) -> "Model":
        """Learns further tasks from where it stands, as a run of its own; this run stays as it is.

        The stream begins with the tasks learned so far, whose data must be the same. Called again, it resumes, or gives
        what is finished.

        Args:
            stream: number of tasks in all, or keys of the section `tasks` that change.
            name: of the new results folder.
            results: folder of all results.
            data_dir: folder of the data sets (`$HYPERCL_DATA`, else `data`).
            offline: use no network.
            quiet: print nothing.

        Raises:
            UserError: the target has no outputs for the further tasks, or the first ones changed.
            Failed: the run diverged or ran out of memory.

        Example:
            model = hypercl.load("results/first").extend(8, name="first-of-8")
        """
        experiment = self._extended({"num_tasks": stream} if isinstance(stream, int) else stream)
        folder = Path(results).expanduser().resolve() / name / "runs" / seeds_name(experiment)
        if not (folder / "config.yaml").exists():
            self._hand_on(folder, name, experiment)
        run = train(folder / "config.yaml", name=name, results=results, data_dir=data_dir, offline=offline, quiet=quiet)
        return Model(run.folder, self.seed, str(self.device))

    def _extended(self, keys: Mapping[str, Any]) -> Experiment:
        """The experiment with the longer stream, its networks of the same size."""
        changed = {f"tasks.{key}": value for key, value in keys.items()}
        if isinstance(self.experiment.hypernet, ChunkedHypernet):  # one that is solved depends on the number of tasks
            old = sizes(self.experiment, self.import_paths)
            whole = old.chunk_size == old.target_parameters
            changed |= {} if whole else {"hypernet.chunk_size": old.chunk_size, "hypernet.compression_ratio": None}
        experiment = assign(self.experiment, changed)
        before, after = self.shape, shape_of(experiment.tasks)
        if experiment.tasks.num_tasks is not None and after.num_tasks <= self.learned:
            raise UserError(f"the stream has {after.num_tasks} tasks, and {self.learned} are learned already")
        if after.input_shape != before.input_shape or after.num_outputs != before.num_outputs:
            raise UserError(
                f"the target has {before.num_outputs} outputs, and the longer stream needs {after.num_outputs}\n"
                "    fix:     train with scenario domain, or with heads: shared, where later tasks share the outputs"
            )
        return experiment

    def _hand_on(self, folder: Path, name: str, experiment: Experiment) -> None:
        """Begins a folder with what this run has learned and reported; config.yaml, written last, makes it a run."""
        for part in ("checkpoints", CODE_FOLDER):
            if (self.folder / part).is_dir():
                shutil.copytree(self.folder / part, folder / part, dirs_exist_ok=True)
        if (self.folder / "metrics.jsonl").is_file():
            shutil.copy2(self.folder / "metrics.jsonl", folder)
        write_text(folder / "config.yaml", dump({"name": name, "experiment": resolved(experiment)}))


def load(folder: str | Path, seed: int | None = None, device: str = "cpu") -> Model:
    """The model that a run trained, or a sweep's winner.

    Args:
        folder: of a run, a trial or a sweep.
        seed: which of several seeds that were trained together; None is the first.
        device: where it computes.

    Raises:
        UserError: there is no trained run.

    Example:
        model = hypercl.load("results/quickstart")
        model.predict(images)            # the method infers the task
        network = model.target(0)        # task 0's network: a plain nn.Module
    """
    return Model(run_of(Path(folder).expanduser().resolve()), seed, device)
