"""One run: `load_file`, `train`, and what a run left."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypercl.api.options import Source, options_of
from hypercl.config import SweepFile, UserError, load

if TYPE_CHECKING:
    from pandas import DataFrame

    from hypercl.api.model import Model
    from hypercl.training import RunSummary


class Failed(Exception):
    """A run diverged or ran out of memory, or a sweep ended without a result; the text is the command's."""


@dataclass(frozen=True)
class Run:
    """The folder of a run: of `train`, or a trial's."""

    folder: Path

    @cached_property
    def summary(self) -> "RunSummary":
        """All that the finished run measured.

        Raises:
            UserError: it is not finished.
        """
        from hypercl.training import RunSummary

        summary = RunSummary.read(self.folder)
        if summary is None:
            raise UserError(f"{self.folder}: the run is not finished\n    fix:     train it again to resume it")
        return summary

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """`metrics["validation"]["final_accuracy"]`: fractions, means over seeds; `test` where it was opened."""
        return self.summary.metrics

    def matrix(self, data: str = "validation") -> "DataFrame":
        """The accuracy matrix: a row after each task (and before the first), a column for each task; fractions.

        Args:
            data: `validation`, or `test` where it was opened.

        Raises:
            UserError: there is none.
        """
        from pandas import DataFrame

        from hypercl.training import read_matrices

        matrices = read_matrices(self.folder)
        if data not in matrices:
            raise UserError(f"{self.folder} holds no accuracies on {data} data; it has {', '.join(matrices) or 'none'}")
        matrix = matrices[data]
        return DataFrame(list(matrix.cells), index=list(matrix.after), columns=list(matrix.tasks))

    def model(self, seed: int | None = None, device: str = "cpu") -> "Model":
        """The networks that it trained (`hypercl.load`)."""
        from hypercl.api.model import load as load_model

        return load_model(self.folder, seed, device)


def load_file(source: Source, set: Mapping[str, Any] | None = None) -> SweepFile:
    """Reads and checks a file: the run in `experiment`, the sweep in everything else.

    Args:
        source: path of a YAML file, or a mapping with its content.
        set: key path -> value, over what the file says.

    Raises:
        UserError: with all mistakes.

    Example:
        >>> load_file({"experiment": {"tasks": {"name": "split_digits"}}}, {"method.beta": 0.1}).experiment.method.beta
        0.1
    """
    with options_of("train", source, set) as options:
        return load(options.file, options.overrides)


def train(
    source: Source,
    *,
    set: Mapping[str, Any] | None = None,
    name: str | None = None,
    results: str | Path | None = None,
    data_dir: str | Path | None = None,
    offline: bool | None = None,
    test: bool = False,
    quiet: bool = False,
) -> Run:
    """Trains the experiment of a file, as `hypercl train` does; called again, it resumes, or returns what is finished.

    Args:
        source: path of a YAML file, or a mapping with its content.
        set: key path -> value, over what the file says: `{"method.beta": 0.1}`.
        name: of the results folder; as default that of the file.
        results: folder of all results (`results`).
        data_dir: folder of the data sets (`$HYPERCL_DATA`, else `data`).
        offline: use no network.
        test: open the test data and measure on it, too: not while you tune.
        quiet: print nothing.

    Raises:
        UserError: a mistake in the file or the data.
        Failed: the run diverged or ran out of memory.
        KeyboardInterrupt: it was interrupted; its checkpoint is written.
    """
    from rich.console import Console

    from hypercl.cli import trained

    with options_of("train", source, set, name=name, results=results, data_dir=data_dir, offline=offline) as options:
        options.test = test
        outcome = trained(options, Console(soft_wrap=True, highlight=False, quiet=quiet))
    if outcome.how == "interrupted":
        raise KeyboardInterrupt(outcome.text)
    if outcome.how != "finished":
        raise Failed(outcome.text)
    return Run(outcome.folder)
