"""How a sweep searches: sampler, budget, seeds, fidelity, and what decides at its end."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from hypercl.config.models.imported import Imported
from hypercl.config.models.protocol import Confirm, Race
from hypercl.config.models.section import Count, Flag, Fraction, Section, Whole, at_most, is_mapping, switched

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

VARYING = (
    "training.seed",
    "training.optimizer.lr",
    "method.beta",
    "method.generator.beta",
    "method.strength",
    "hypernet.embedding_scale",
    "hypernet.init.std",
    "hypernet.init.gain",
)
"""Keys in which replicas of a bundle may differ: scalars that change no shape, and steps only by a factor."""


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
    bundle: Annotated[Count, at_most(1000)] = 1
    """Maximum number of trials trained together as one bundle; 1 trains each by itself. The trials of a bundle differ
    only in seed, learning rate, strength of the regulariser and initial scales; whatever else the space varies is the
    same in all of them."""
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

    @field_validator("sampler", mode="before")
    @classmethod
    def _by_its_name(cls, value: Any) -> Any:
        if is_mapping(value) and "name" in value:
            raise ValueError(f"a sampler is given by its name alone: write sampler: {value['name']}")
        return value

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
