"""A saved workspace and a report in W&B: one section a question, the same two for every sweep of a project."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from typing import Any

import wandb

from hypercl.config import SweepFile, UserError
from hypercl.config.models import Wandb
from hypercl.formatting import first_line
from hypercl.loggers.wandb import SETTING

NAME = "hypercl"
"""Of both, so that a later sweep finds them."""
VIEW = f"nw-{NAME}-v"
TRIALS = "Metric('JobType') in ['trial', 'run']"
CONFIRMED = "Metric('JobType') in ['confirm', 'race']"
FINAL = "Metric('JobType') == 'final'"
KINDS = {TRIALS: "trials", CONFIRMED: "confirmed", FINAL: "final step"}


@dataclass(frozen=True)
class Question:
    """A section."""

    name: str
    runs: str
    """A filter by job type."""
    panels: Sequence[Any]


def questions(file: SweepFile) -> list[Question]:
    """The sections, with the panels that answer them."""
    wr = _library("wandb_workspaces.reports.v2")
    goals = [goal.metric for goal in file.objective.goals]
    # A key that is searched holds its value at this path of the config; the order is the file's.
    searched = [wr.ParallelCoordinatesPlotColumn(wr.Config(path)) for path in file.space]
    reached = [wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(metric)) for metric in goals]

    def bars(metric: str) -> Any:
        return wr.BarPlot(title=f"{metric}, mean over seeds", metrics=[wr.SummaryMetric(metric)])

    def lines(title: str, metrics: str) -> Any:
        return wr.LinePlot(title=title, x="iteration", metric_regex=metrics)

    matrices = [f"{data}/accuracy_matrix_map" for data in ("validation", "test")]
    accuracy_against_forgetting = wr.ScatterPlot(
        title="Accuracy against forgetting",
        x=wr.SummaryMetric("validation/forgetting"),
        y=wr.SummaryMetric("validation/final_accuracy"),
    )
    return [
        Question(
            "Search: what has it found, and what matters?",
            TRIALS,
            [
                wr.ParallelCoordinatesPlot(columns=[*searched, *reached]),
                *(wr.ParameterImportancePlot(with_respect_to=metric) for metric in goals),
                accuracy_against_forgetting,
            ],
        ),
        Question(
            "Best trials: which settings are best?",
            TRIALS,
            [*(bars(metric) for metric in goals), wr.RunComparer("split")],
        ),
        Question("Confirmed: do the best stay best on further seeds?", CONFIRMED, [bars(metric) for metric in goals]),
        Question(
            "Tasks: how well is each learned and kept?",
            TRIALS,
            [
                lines("Accuracy on each task", r"validation/task_\d+"),
                lines("Mean over the tasks met so far", "validation/mean_so_far"),
                lines("Losses", "loss/.*"),
            ],
        ),
        Question(
            "Forgetting: what is lost?",
            TRIALS,
            [bars("validation/forgetting"), bars("validation/backward_transfer"), accuracy_against_forgetting],
        ),
        Question("Matrix: accuracy on each task after each task", TRIALS, [wr.MediaBrowser(media_keys=matrices[:1])]),
        Question(
            "Final step: what is the best worth on test data?",
            FINAL,
            [bars("test/final_accuracy"), bars("test/forgetting"), wr.MediaBrowser(media_keys=matrices[1:])],
        ),
    ]


def workspace(file: SweepFile, entity: str, project: str) -> Any:
    """The workspace: all sections, runs grouped by job type and by setting, so that seeds average."""
    ws = _library("wandb_workspaces.workspaces")
    sections = [ws.Section(name=each.name, panels=list(each.panels), is_open=True) for each in questions(file)]
    runs = ws.RunsetSettings(groupby=[ws.Metric("JobType"), ws.Config(SETTING)])
    settings = ws.WorkspaceSettings(x_axis="iteration", max_runs=20)
    return ws.Workspace(
        entity=entity, project=project, name=NAME, sections=sections, runset_settings=runs, settings=settings
    )


def report(file: SweepFile, entity: str, project: str) -> Any:
    """The report: a panel grid a section, over the runs of its job type, grouped by setting."""
    wr = _library("wandb_workspaces.reports.v2")
    blocks: list[Any] = [wr.TableOfContents()]
    for each in questions(file):
        runs = wr.Runset(
            entity=entity, project=project, name=KINDS[each.runs], filters=each.runs, groupby=[f"config.{SETTING}"]
        )
        blocks += [wr.H2(each.name), wr.PanelGrid(runsets=[runs], panels=list(each.panels))]
    description = "Runs are grouped by setting: curves and bars are means over seeds."
    return wr.Report(project=project, entity=entity, title=NAME, description=description, blocks=blocks, width="fluid")


def save(file: SweepFile, settings: Wandb) -> tuple[str, str]:
    """Makes workspace and report, or brings those of the project up to date; their addresses.

    Raises:
        UserError: wandb-workspaces is not installed, or W&B refuses.
    """
    _library("wandb_workspaces.workspaces")
    try:
        with _quiet():
            api = wandb.Api()
            entity = settings.entity or str(api.default_entity)
            seen, told = workspace(file, entity, settings.project), report(file, entity, settings.project)
            told.id = next((view.id for view in _reports(api, entity, settings.project)), "")
            told.save()
            seen._internal_name, seen._internal_id = VIEW, _known_view(entity, settings.project)
            seen.save()
            return str(seen.url), str(told.url)
    except Exception as error:
        raise UserError(f"W&B does not take the dashboard: {first_line(error)}") from error


def _reports(api: Any, entity: str, project: str) -> list[Any]:
    try:
        return list(api.reports(f"{entity}/{project}", name=NAME))
    except ValueError:  # there is no such project yet
        return []


def _known_view(entity: str, project: str) -> str:
    """The id of the project's workspace; '' where there is none yet."""
    try:
        return str(_library("wandb_workspaces.workspaces.internal").get_view_dict(entity, project, NAME)["id"])
    except ValueError:
        return ""


def _library(name: str) -> Any:
    """A module of wandb-workspaces.

    Raises:
        UserError: it is not installed.
    """
    try:
        with warnings.catch_warnings():  # pydantic's, of how it is written
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        raise UserError(
            f"hypercl dashboard needs wandb-workspaces ({error})\n    fix:     pip install 'hypercl[dashboards]'"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries print: the command prints the addresses."""
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield
