"""What a sweep is beside its experiment and space."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from hypercl.config.models.experiment import Experiment
from hypercl.config.models.imported import Imported
from hypercl.config.models.objective import Constraints, Objective
from hypercl.config.models.protocol import Final, Protocol, StreamProtocol
from hypercl.config.models.pruner import ImportedPruner, NoPruner, Pruner
from hypercl.config.models.search import LENGTHS, Search
from hypercl.config.models.section import (
    Count,
    Flag,
    ImportPath,
    Name,
    NotNegative,
    Positive,
    Section,
    is_mapping,
    name_in,
    switched,
)
from hypercl.config.models.space import Distribution
from hypercl.config.models.space_of_methods import CHOOSING, with_conditions

_NO_SECRET = (
    "a key in a file is read by everybody who gets the results: leave it out, and put it where the cloud's own tools "
    "look for it (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS, a role of the "
    "machine)"
)


class Study(Section):
    """Where the study lies."""

    storage: str | None = Field(default=None, examples=["postgresql://me@host/studies"])
    """Database that holds the study in place of `study.journal`: a PostgreSQL or SQLite URL without a password
    (PGPASSWORD or ~/.pgpass holds it). Several drivers can then work on it with --join; null is the journal."""

    run_folders: str | None = Field(default=None, examples=["s3://bucket/sweeps"])
    """Where the folders of trials and other runs lie, with their checkpoints: a URI of S3 (`s3://`), Google Cloud
    Storage (`gs://`) or any other file system that fsspec knows, without a key or password; null is the results
    folder. A run then works in its node's temporary folder, and no node needs to see the results folder."""

    @field_validator("run_folders", mode="after")
    @classmethod
    def _without_secret(cls, value: str | None) -> str | None:
        if value is None:
            return None
        place, _, query = value.partition("?")
        if "@" in place.partition("://")[2].partition("/")[0] and not place.startswith(("abfs", "az")):
            raise ValueError(_NO_SECRET)
        if re.search(r"(secret|password|passwd|token|access_?key|credential)[^=&]*=", query, re.IGNORECASE):
            raise ValueError(_NO_SECRET)
        if not re.match(r"[a-z][a-z0-9+.-]+://[^?]*[^/?]", value):
            raise ValueError(
                "give a URI, such as s3://bucket/sweeps; for a folder that all nodes mount leave this out, and give "
                "--results DIR"
            )
        return value

    @field_validator("storage", mode="after")
    @classmethod
    def _without_password(cls, value: str | None) -> str | None:
        if value is None:
            return None
        before, _, after = value.partition("://")[2].rpartition("@")
        if ":" in before or re.search(r"[?&][^=&]*(pass|pwd)[^=&]*=", after, re.IGNORECASE):
            raise ValueError(
                "a password in a file is read by everybody who gets the results: leave it out, and put it into the "
                "environment variable PGPASSWORD or into ~/.pgpass"
            )
        if not re.match(r"(postgresql(\+psycopg)?|sqlite)://.*/", value):
            raise ValueError("give the URL of a PostgreSQL or SQLite database, such as postgresql://me@host/studies")
        return value


class Resources(Section):
    """Resources of one trial, and how many trials run at once."""

    cpus: Positive | Literal["auto"] = "auto"
    """CPUs per trial; auto is one."""
    gpus: NotNegative | Literal["auto"] = "auto"
    """GPUs per trial, fractions allowed; auto is a quarter until a trial has finished, whose peak of memory may then
    let more share a GPU (at most 16). Where memory does not suffice, trials get twice as much. Ignored, with a note,
    on a machine without a GPU."""
    max_concurrent: Count | None = None
    """Maximum number of concurrent trials; null is as many as fit."""
    accelerator: str | None = None
    """On a Ray cluster, only nodes with this GPU model (A100, H100) or custom resource; null is any node."""


class Wandb(Section):
    """Each trial is a W&B run in the sweep's group."""

    project: Name = "hypercl"
    """W&B project."""
    entity: str | None = None
    """W&B user or team; null is the key's default."""
    tags: tuple[str, ...] = ()
    """Tags of every run."""
    mode: Literal["online", "offline"] = "online"
    """offline writes files for a later `wandb sync`; online falls back to it without key or network."""
    alert: Flag = False
    """Whether W&B sends an alert (by mail or Slack, as its settings say) when a sweep ends or stops for a fault."""


class Logging(Section):
    """Loggers beside the files of the results folder."""

    wandb: Annotated[Wandb | None, switched] = None
    """true, or the keys that differ from the defaults; null, and wandb is not imported."""
    tensorboard: Flag = False
    """Event files for TensorBoard in `tensorboard/` of each run's folder; needs the extra `tensorboard`."""
    import_: ImportPath | None = Field(default=None, alias="import")
    """A logger of your own, `package.module:Class`, found beside the file, in the working directory, or installed."""
    kwargs: dict[str, Any] = {}
    """Keywords of your own logger."""

    @model_validator(mode="after")
    def _of_an_imported_logger(self) -> "Logging":
        if self.kwargs and self.import_ is None:
            raise ValueError("kwargs has no effect without import: remove it, or add import: package.module:Class")
        return self


def _read_already(value: Any) -> Any:
    """A file's own includes are followed before its sections are read."""
    if value is not None:
        raise ValueError("write include at the top of the file: by --set nothing can be included")
    return value


class SweepFile(Section):
    """One file: a run (`experiment`) and a sweep over it (the rest)."""

    include: Annotated[str | tuple[str, ...] | None, BeforeValidator(_read_already)] = None
    """Files whose content lies under this file's own, the later ones over the earlier: a path, or a list of paths, from
    this file's folder. Mappings are merged; a section of another kind and an entry of the space replace the included
    one whole, and null takes an included entry out of the space."""
    name: Name | None = None
    """Name of the results folder; null is the file's own name."""
    experiment: Experiment
    """The run that the sweep varies; also the first trial."""
    space: dict[str, Distribution] = {}
    """Key path in the experiment -> distribution."""
    constraints: Constraints = Constraints()
    """Bounds on a setting."""
    objective: Objective = Objective(maximize="validation/final_accuracy")
    """Metric or metrics to optimise."""
    search: Search = Search()
    """Sampler and budget of the search."""
    pruner: Pruner = NoPruner()
    """Which trials are pruned; as default none: what survives pruning is lucky, and a sweep chooses worse for it. Keys
    without a name are those of asha, but reports_per_task alone prunes nothing."""
    protocol: Protocol = StreamProtocol()
    """Which data is tuned on, and which is reported."""
    final: Final = Final()
    """How the final result is measured."""
    resources: Resources = Resources()
    """Resources of a trial."""
    study: Study = Study()
    """The record of all trials: in the results folder, or in a database that several drivers share."""
    logging: Logging = Logging()
    """Loggers."""

    @field_validator("pruner", mode="before")
    @classmethod
    def _reports_prune_nothing(cls, value: Any) -> Any:
        return {"name": "none", **value} if is_mapping(value) and value.keys() <= {"reports_per_task"} else value

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the space compares; none where there is one."""
        choices = (one.values for name in CHOOSING if (one := self.space.get(name)) and one.kind == "choice")
        return tuple(dict.fromkeys(str(name_in(each)) for each in next(choices, ())))

    @property
    def fidelity(self) -> dict[str, float]:
        """Key path of a length -> the fraction of it that trials are trained for; empty at full length."""
        given = self.search.fidelity
        if given == "auto":
            return {"training.iterations" if self.experiment.training.epochs is None else "training.epochs": 0.1}
        return given or {}

    @property
    def at_fidelity(self) -> str:
        """What a trial's value is of: ' after 10 % of the iterations'; '' at full length."""
        parts = [f"{100 * share:.3g} % of the {LENGTHS.get(path, path)}" for path, share in self.fidelity.items()]
        return f" after {' and '.join(parts)}" if parts else ""

    @model_validator(mode="before")
    @classmethod
    def _conditions(cls, data: Any) -> Any:
        """What only some of the methods compared have is drawn with these alone."""
        if not is_mapping(data) or not is_mapping(space := data.get("space")):
            return data
        return {**data, "space": with_conditions(data.get("experiment"), space)}

    @model_validator(mode="before")
    @classmethod
    def _planned_attempts(cls, data: Any) -> Any:
        """Protocol stability_decay plans its trials: the base is none of them, where nothing else is said, and one
        setting comes of it."""
        if not is_mapping(data) or name_in(data.get("protocol")) != "stability_decay":
            return data
        search = data.get("search", {})
        search = {"include_base": False, **search} if is_mapping(search) else search
        final = data.get("final", {})
        final = {"settings": 1, **final} if is_mapping(final) else final
        return {**data, "search": search, "final": final}


def imports_of(file: SweepFile) -> tuple[str, ...]:
    """The import paths of what is a user's own beside the experiment: sampler, pruner, metrics, evaluator, logger."""
    pruner = file.pruner if isinstance(file.pruner, ImportedPruner) else None
    parts = (file.search.sampler, pruner, *file.objective.own, file.search.importance)
    logger = (file.logging.import_,) if file.logging.import_ is not None else ()
    return (*(part.import_ for part in parts if isinstance(part, Imported)), *logger)
