"""What a sweep is beside its experiment and space."""

from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from hypercl.config.models.experiment import Experiment
from hypercl.config.models.imported import Imported
from hypercl.config.models.protocol import Confirm, Final, Protocol, Race, StreamProtocol
from hypercl.config.models.pruner import ImportedPruner, NoPruner, Pruner
from hypercl.config.models.section import (
    Count,
    Flag,
    Fraction,
    ImportPath,
    Name,
    NotNegative,
    Positive,
    Section,
    Whole,
    at_most,
    is_list,
    is_mapping,
    name_in,
    switched,
)
from hypercl.config.models.space import Distribution
from hypercl.config.models.space_of_methods import CHOOSING, with_conditions

Metric = Literal[
    "validation/final_accuracy",
    "validation/during_accuracy",
    "validation/forgetting",
    "validation/backward_transfer",
    "validation/task_inference_accuracy",
    "compression_ratio",
    "parameters",
    "seconds",
    "peak_memory_gib",
]
METRICS: tuple[str, ...] = get_args(Metric)
AnyMetric = Metric | Imported


class Bound(Section):
    """The least and the most a quantity may be."""

    min: NotNegative | None = None
    """No less than this."""
    max: NotNegative | None = None
    """No more than this."""

    @model_validator(mode="after")
    def _something(self) -> "Bound":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Constraints(Section):
    """Bounds. Of what is known before training, a suggestion outside costs nothing; what is measured by training is
    judged afterwards, and the best setting is the best of those within."""

    compression_ratio: Bound | None = None
    """(Hypernetwork parameters + task embeddings) / target parameters."""
    parameters: Bound | None = None
    """Hypernetwork parameters, task embeddings included."""
    forgetting: Bound | None = None
    """How far the earlier tasks fell from their best, on validation data; measured."""
    during_accuracy: Bound | None = None
    """Accuracy on each task when it was just learned, on validation data; measured."""
    seconds: Bound | None = None
    """Seconds of training of a trial; measured."""
    peak_memory_gib: Bound | None = None
    """Peak memory of a trial in GiB: of the accelerator where there is one; measured."""

    @property
    def known_before(self) -> dict[str, Bound]:
        """Those that need no training, by their names."""
        return {name: bound for name in KNOWN_BEFORE if (bound := getattr(self, name)) is not None}

    @property
    def measured(self) -> dict[str, Bound]:
        """Those that training tells, by their names."""
        return {name: bound for name in MEASURED if (bound := getattr(self, name)) is not None}


KNOWN_BEFORE = ("compression_ratio", "parameters")
MEASURED = ("forgetting", "during_accuracy", "seconds", "peak_memory_gib")


def _listed(value: Any) -> Any:
    """One metric is a list of one."""
    return value if value is None or is_list(value) else (value,)


def _never_test(value: Any) -> Any:
    if str(value).startswith("test/"):
        raise ValueError(f"test data is never read while tuning: use {str(value).replace('test/', 'validation/')}")
    return value


def _key(metric: AnyMetric) -> str:
    return f"validation/{metric.short_name}" if isinstance(metric, Imported) else metric


Metrics = AnyMetric | tuple[AnyMetric, ...] | None


class Goal(NamedTuple):
    """One metric and where it should go."""

    metric: str
    direction: Literal["maximize", "minimize"]

    @property
    def sign(self) -> float:
        """Times a value: the smaller the better."""
        return -1.0 if self.direction == "maximize" else 1.0


class Objective(Section):
    """What is sought, always measured on validation data: one metric, or several at once. A metric of your own is a
    function by import path, `{import: "my_metric:worst_task"}`, and named `validation/worst_task`."""

    maximize: Metrics = None
    """The metric to raise, or a list of them (default: validation/final_accuracy)."""
    minimize: Metrics = None
    """The metric to lower, or a list of them; beside maximize, the sweep looks for the best compromises."""

    @field_validator("maximize", "minimize", mode="before")
    @classmethod
    def _on_validation_data(cls, value: Any) -> Any:
        return [_never_test(each) for each in value] if is_list(value) else _never_test(value)

    @model_validator(mode="before")
    @classmethod
    def _default(cls, data: Any) -> Any:
        return {"maximize": "validation/final_accuracy"} if data == {} else data

    @model_validator(mode="after")
    def _some(self) -> "Objective":
        metrics = [goal.metric for goal in self.goals]
        if not metrics:
            raise ValueError("give maximize, minimize or both")
        if len(set(metrics)) < len(metrics):
            raise ValueError("duplicate metric")
        taken = [one.import_ for one in self.own if f"validation/{one.short_name}" in METRICS]
        if taken:
            raise ValueError(f"{taken[0]} has the name of a metric that is there already: give the function another")
        return self

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Every metric with its direction; those to raise first."""
        up = [Goal(_key(metric), "maximize") for metric in _listed(self.maximize) or ()]
        return (*up, *(Goal(_key(metric), "minimize") for metric in _listed(self.minimize) or ()))

    @property
    def own(self) -> tuple[Imported, ...]:
        """The metrics that are a user's own."""
        both = (*(_listed(self.maximize) or ()), *(_listed(self.minimize) or ()))
        return tuple(metric for metric in both if isinstance(metric, Imported))

    @property
    def metric(self) -> str:
        """The first goal's metric."""
        return self.goals[0].metric

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """The first goal's direction, in Optuna's word."""
        return self.goals[0].direction


Sampler = Literal["tpe", "random", "grid", "gp", "cmaes", "nsga2", "nsga3", "qmc"]

SETTINGS_OF: dict[str, dict[str, int]] = {
    "tpe": {"startup_trials": 10},
    "gp": {"startup_trials": 10},
    "cmaes": {"startup_trials": 10},
    "nsga2": {"population": 20},
    "nsga3": {"population": 20},
}
"""Sampler -> its own settings and their defaults; elsewhere they would have no effect."""
SAMPLER_SETTINGS = {setting for own in SETTINGS_OF.values() for setting in own}

LENGTHS = {"training.iterations": "iterations", "training.epochs": "epochs", "tasks.num_tasks": "tasks"}
"""Key path of a length that `search.fidelity` may shorten -> its unit."""


def shortened(length: int, share: float) -> int:
    """A fraction of a length, rounded, at least 1."""
    return max(1, round(share * length))


def _off_where_null(value: Any) -> Any:
    """Null is left out where a file is written, and the default is not off."""
    return False if value is None else value


class Search(Section):
    sampler: Sampler | Imported = "tpe"
    """Sampler that suggests the next setting: tree-structured Parzen estimator, chance, every cell of a grid, Gaussian
    process, CMA-ES, the genetic algorithms NSGA-II and NSGA-III, or a scrambled Sobol sequence (qmc); or any sampler
    of Optuna's or your own, `{import: "my_sampler:Mine"}`."""
    trials: Count = 100
    """Total number of trained trials, over all resumes; suggestions outside the constraints do not count."""
    startup_trials: Annotated[Whole, Field(ge=0)] | None = None
    """Settings drawn at random before tpe, gp or cmaes starts to model; default 10."""
    population: Annotated[Whole, Field(ge=2)] | None = Field(default=None, examples=[20])
    """Population size of nsga2 or nsga3; default 20 (with Optuna's 50 most sweeps stay random)."""
    include_base: Flag = True
    """The experiment as written is the first trial; it must then lie inside the space."""
    enqueue: tuple[dict[str, Any], ...] = ()
    """Settings tried first, after the base: key path -> value; a key left out is the experiment's own value. Entries
    added to the file of a running sweep are tried next."""
    warm_start: tuple[str, ...] = Field(default=(), examples=[["results/quickstart"]])
    """Results folders of earlier sweeps, of this or another space or stream, from which tpe or gp (or a sampler of your
    own) learns before its first trial. Keys that their space lacks have their experiment's value, settings outside of
    this space are left out, and a value counts as its distance from their setting as written. None of them becomes a
    result. They are read once; this sweep's folder keeps what was used."""
    seed: Whole = 1
    """Seed of the sampler."""
    seeds: Annotated[Count, at_most(1000)] | None = None
    """Number of seeds per setting, trained together; their mean is the trial's value. Null is training.replicas."""
    fidelity: dict[str, Annotated[Fraction, Field(gt=0)]] | Literal["auto"] | None = Field(
        default=None, examples=[{"training.iterations": 0.1}]
    )
    """Train the trials for a fraction of the full length: training.iterations, training.epochs or tasks.num_tasks ->
    fraction, rounded to a whole number; auto is a tenth of the iterations or epochs. What is selected from them, by
    the confirming stage, a race or the final step, is trained at full length; null trains all of it at full length."""
    confirm: Annotated[Confirm | Literal["auto", False], BeforeValidator(_off_where_null), switched] = "auto"
    """Compares the best settings with the experiment as written on further seeds before one of them is called better:
    true, or the keys that differ from the defaults; false takes the highest expected value as it is. auto is true
    where there is one noisy objective, the experiment as written is among the trials, and no race is set."""
    race: Annotated[Race | None, switched] = None
    """Further seeds for the leaders, to tell them from each other: true, or the keys that differ from the defaults;
    null is no race. It takes the place of confirm."""
    importance: Imported | None = None
    """Evaluator of the importance of parameters, by import path, such as
    {import: "optuna.importance:FanovaImportanceEvaluator"}; null is PED-ANOVA."""
    max_failed: Count = 5
    """Number of failed trials in a row after which the sweep stops."""
    retries: Annotated[Whole, Field(ge=0)] = 3
    """Maximum restarts of a trial whose process died."""
    stall_timeout: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """Seconds without progress after which a trial's process is ended; it is restarted once. auto is the longer of 15
    minutes and 20 times the longest pause of the trial so far."""

    @field_validator("fidelity", mode="before")
    @classmethod
    def _fractions(cls, value: Any) -> Any:
        if value is not None and value != "auto" and not is_mapping(value):
            raise ValueError("give a fraction of a length, such as {training.iterations: 0.1}, or auto")
        return value

    @property
    def sampler_name(self) -> str:
        """The sampler's kind, or its import path."""
        return self.sampler.import_ if isinstance(self.sampler, Imported) else self.sampler

    @model_validator(mode="before")
    @classmethod
    def _own_settings(cls, data: Any) -> Any:
        if not is_mapping(data):
            return data
        own = SETTINGS_OF.get(str(data.get("sampler", "tpe")), {})
        return {**data, **{key: value for key, value in own.items() if data.get(key) is None}}

    @model_validator(mode="after")
    def _of_this_sampler(self) -> "Search":
        for key in sorted(SAMPLER_SETTINGS):
            if getattr(self, key) is not None and key not in SETTINGS_OF.get(self.sampler_name, {}):
                users = ", ".join(sampler for sampler, own in SETTINGS_OF.items() if key in own)
                raise ValueError(
                    f"{key} has no effect with {self.sampler_name} (it is a setting of {users}): remove it"
                )
        return self


class Resources(Section):
    """Resources of one trial, and how many trials run at once."""

    cpus: Positive | Literal["auto"] = "auto"
    """CPUs per trial; auto is one."""
    gpus: NotNegative | Literal["auto"] = "auto"
    """GPUs per trial, fractions allowed; auto is a quarter. Ignored, with a note, on a machine without a GPU."""
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
    """Which trials are pruned; as default none: what survives pruning is lucky, and a sweep chooses worse for it."""
    protocol: Protocol = StreamProtocol()
    """Which data is tuned on, and which is reported."""
    final: Final = Final()
    """How the final result is measured."""
    resources: Resources = Resources()
    """Resources of a trial."""
    logging: Logging = Logging()
    """Loggers."""

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
