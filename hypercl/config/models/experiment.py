"""`experiment`: one run, complete on its own."""

from inspect import get_annotations
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from hypercl.config.models.any_method import AnyMethod
from hypercl.config.models.by_task import checked
from hypercl.config.models.hypernet import (
    AnyHypernet,
    ChunkedHypernet,
    ComposedHypernet,
    Hypernet,
    ModulationHypernet,
    OwnWeights,
    PartialHypernet,
    StructuredHypernet,
    has_task_weights,
    without_gram_form,
)
from hypercl.config.models.method import (
    ER,
    Finetune,
    Hnet,
    HnetEnt,
    HnetTir,
    HypernetMethod,
    ImportedMethod,
    Method,
    OneNetwork,
    Scratch,
    generator_of,
)
from hypercl.config.models.replay import DistillingMethod, ReplayHypernet
from hypercl.config.models.section import Number, Section, is_mapping, kind_of, models_in, name_in
from hypercl.config.models.target import LSTM, MLP, LeNet, Target, Transformer, ZenkeNet
from hypercl.config.models.tasks import Tasks, classes_of, outside_unit_interval
from hypercl.config.models.training import Training

_SEVERAL = (StructuredHypernet, PartialHypernet, ComposedHypernet, ModulationHypernet)
"""Hypernetworks that are several."""
_METHODS = {kind_of(model): model for model in models_in(Method) if issubclass(model, AnyMethod)}
_OWN_WEIGHTS = frozenset(
    kind for kind, model in _METHODS.items() if model.generated is False or model is ImportedMethod
)
"""Methods that train the target's own weights where no hypernetwork is given."""


def with_method(data: dict[str, Any], before: Any) -> None:
    """Another method in plain data of an experiment, of which the name alone was changed: it has its own defaults, but
    for what both have from one family, such as `beta` of hnet and hnet_ent."""
    section, old = data.get("method"), _METHODS.get(str(name_in(before)))
    model = _METHODS.get(str(name_in(section)))
    if is_mapping(section) and model is not None and old is not None and model is not old:
        kept = {key for key in section if key == "name" or _declared(model, key) is _declared(old, key)}
        data["method"] = {key: value for key, value in section.items() if key in kept}


def with_fitting_hypernet(data: dict[str, Any]) -> None:
    """A method that trains the target's own weights has no hypernetwork, one that needs a hypernetwork gets the default
    one where there was none."""
    model = _METHODS.get(str(name_in(data.get("method"))))
    if model is not None and model.generated is False:
        data["hypernet"] = {"name": "none"}
    elif model is not None and model.generated and name_in(data.get("hypernet")) == "none":
        del data["hypernet"]


def _declared(model: type[AnyMethod], key: str) -> type | None:
    """The class that declares a key."""
    return next((each for each in model.__mro__ if key in get_annotations(each)), None)


class Experiment(Section):
    """A stream of tasks, a target network, its hypernetwork, a method, and how to train."""

    tasks: Tasks
    """The stream of tasks: the one thing without a default."""
    target: Target = MLP()
    """The network whose weights are generated."""
    hypernet: AnyHypernet = ChunkedHypernet()
    """The network that generates them; `none` where the target's weights are trained themselves, which is the default
    with methods that have no hypernetwork."""
    method: Method = Hnet()
    """How a new task is learned."""
    training: Training = Training()
    """Length of training, optimiser, learning rate, seeds and device."""
    by_task: dict[str, tuple[Number, ...]] = Field(default={}, examples=[{"method.beta": [0.1, 0.1, 0.05, 0.05, 0.02]}])
    """Settings that change along the stream: key path -> a value for each task, in place of the one value that
    the key has. Allowed for training.optimizer.lr, method.beta, method.strength and method.generator.beta; protocol
    stability_decay writes its result in this form."""

    @field_validator("by_task")
    @classmethod
    def _values_fit(cls, value: dict[str, tuple[float, ...]], info: ValidationInfo) -> dict[str, tuple[float, ...]]:
        if {"tasks", "method", "training"} <= info.data.keys():
            checked(value, info.data)
        return value

    @model_validator(mode="before")
    @classmethod
    def _own_weights(cls, data: Any) -> Any:
        """Methods without a hypernetwork need not say so."""
        if not is_mapping(data) or "hypernet" in data:
            return data
        return {**data, "hypernet": "none"} if name_in(data.get("method")) in _OWN_WEIGHTS else data

    @model_validator(mode="after")
    def _sections_fit_together(self) -> "Experiment":
        self._method_fits()
        if self.tasks.regression:
            self._regresses()
        self._new_classes_compete()
        self._has_buffers()
        self._each_class_has_a_share()
        self._replay_fits()
        self._has_the_gram_form()
        self._pairs_of_one_hypernetwork()
        self._a_factor_for_each()
        self._own_weights_stay()
        self._entropy_tells_something()
        self._tasks_may_come()
        self._nothing_before()
        self._more_than_one_sample()
        self._answers_where_asked()
        return self

    def _method_fits(self) -> None:
        method, generated = self.method, not isinstance(self.hypernet, OwnWeights)
        if method.generated is False and generated:
            raise ValueError(
                f"method {method.name} trains the target's own weights: give hypernet: {{name: none}}, or leave it out"
            )
        if method.generated and not generated:
            raise ValueError(f"method {method.name} needs a hypernetwork: give hypernet chunked or full")
        scenario = self.tasks.scenario
        if scenario not in method.scenarios:
            given = ", ".join(sorted(method.scenarios))
            raise ValueError(
                f"method {method.name} cannot predict in scenario {scenario}, only in {given}: "
                f"{_instead(scenario, self.tasks.regression)}"
            )
        own = isinstance(method, ImportedMethod)  # which is asked itself, once it is there
        if scenario != "task" and generated and method.generated is None and not own:
            raise ValueError(
                f"method {method.name} with a hypernetwork has a network for each task, and scenario {scenario} does "
                "not tell which predicts: give hypernet: {name: none}"
            )

    def _new_classes_compete(self) -> None:
        method, scenario = self.method, self.tasks.scenario
        if isinstance(method, DistillingMethod) and method.new_classes != "exclude" and scenario != "class":
            raise ValueError(
                f"method.new_classes {method.new_classes} would have no effect in scenario {scenario}, whose targets "
                "hold no new classes: leave it out"
            )

    def _has_buffers(self) -> None:
        method, own = self.method, isinstance(self.hypernet, OwnWeights)
        if isinstance(method, Finetune) and method.share_buffers:
            key, idle = "share_buffers", "hypernet none, whose tasks share all" if own else ""
        elif isinstance(method, OneNetwork) and method.task_buffers:
            key, idle = "task_buffers", "" if own else "a hypernetwork, whose tasks each have their own"
            if self.tasks.scenario != "task":
                raise ValueError(
                    f"method.task_buffers needs the task at test time, which scenario {self.tasks.scenario} does not "
                    "tell: leave it out"
                )
        else:
            return
        if idle:
            raise ValueError(f"method.{key} would have no effect with {idle}: leave it out")
        if isinstance(self.target, LeNet | ZenkeNet | LSTM | Transformer) or (
            isinstance(self.target, MLP) and not self.target.batch_norm
        ):
            raise ValueError(
                f"method.{key} would have no effect: target {self.target.name} has no batch normalisation here"
            )

    def _each_class_has_a_share(self) -> None:
        if isinstance(self.method, ER):
            classes = sum(classes_of(self.tasks))
            if self.method.budget < classes:
                raise ValueError(
                    f"method.budget {self.method.budget} keeps no sample of each of the stream's {classes} classes: "
                    f"give at least {classes}"
                )

    def _replay_fits(self) -> None:
        generator = generator_of(self.method)
        if generator is None:
            return
        outside = outside_unit_interval(self.tasks)
        if outside and not (isinstance(generator, ReplayHypernet) and generator.likelihood == "gaussian"):
            raise ValueError(f"method {self.method.name} replays inputs in 0 .. 1, and {outside}")
        if not isinstance(generator, ReplayHypernet):
            return
        classes, decoders, of = classes_of(self.tasks), self.tasks.num_tasks or 1, "tasks"
        if generator.embedding == "class":
            if self.tasks.num_tasks is None:
                raise ValueError(
                    "method.generator.embedding class has an embedding for each class of the stream: give "
                    "tasks.num_tasks, or use task"
                )
            if max(classes) == 1:
                raise ValueError(
                    "method.generator.embedding class would have no effect: each task has one class; leave it out"
                )
            decoders, of = sum(classes), "classes"
        if generator.condition == "one_hot" and generator.condition_size < decoders:
            raise ValueError(
                f"method.generator.condition_size {generator.condition_size} cannot tell {decoders} {of} apart as "
                "one_hot: make it as large, or use gaussian"
            )

    def _pairs_of_one_hypernetwork(self) -> None:
        pairs = self.method.regularizer.pairs if isinstance(self.method, HypernetMethod) else None
        if pairs is not None and isinstance(self.hypernet, _SEVERAL):
            raise ValueError(
                f"method.regularizer.pairs {pairs} are pairs of a task and a chunk of one hypernetwork, and hypernet "
                f"{self.hypernet.name} is several: use method.regularizer.tasks"
            )

    def _has_the_gram_form(self) -> None:
        section = self.method.regularizer if isinstance(self.method, HypernetMethod) else None
        if section is None or not without_gram_form(self.hypernet):
            return
        if section.form == "gram" or section.pairs is not None:
            key = f"form {section.form}" if section.form == "gram" else f"pairs {section.pairs}"
            raise ValueError(
                f"method.regularizer.{key} needs linear last layers, and hypernet self_attention ends with a "
                "convolution: use form auto or direct, and tasks instead of pairs"
            )

    def _a_factor_for_each(self) -> None:
        factors = self.method.regularizer.task_factors if isinstance(self.method, HypernetMethod) else ()
        if not factors:
            return
        tasks = self.tasks.num_tasks
        if tasks is None:
            raise ValueError("method.regularizer.task_factors has a factor for each task: give tasks.num_tasks")
        if len(factors) != tasks:
            raise ValueError(
                f"method.regularizer.task_factors needs a factor for each task: {len(factors)} are given, the stream "
                f"has {tasks} (the last one's counts once more tasks come)"
            )

    def _own_weights_stay(self) -> None:
        if (
            isinstance(self.method, HypernetMethod)
            and self.method.train_earlier_embeddings
            and has_task_weights(self.hypernet)
        ):
            raise ValueError(
                "method.train_earlier_embeddings would train the own weights of earlier tasks, a part of their "
                "embeddings: leave it out, or share these weights"
            )

    def _entropy_tells_something(self) -> None:
        if isinstance(self.method, HnetEnt) and 1 in classes_of(self.tasks):
            raise ValueError(
                "method hnet_ent cannot infer tasks of one class: the entropy of a certain answer is always 0; use "
                "hnet_tir or hnet_replay"
            )

    def _tasks_may_come(self) -> None:
        if self.tasks.num_tasks is not None:
            return
        generator = generator_of(self.method)
        if isinstance(self.method, HnetTir):
            raise ValueError(
                "method hnet_tir has an output for each task in its inference network: give tasks.num_tasks, or "
                "use another method"
            )
        decoder = generator if isinstance(generator, ReplayHypernet) else None
        if decoder is not None and decoder.condition == "one_hot":
            raise ValueError(
                "method.generator.condition one_hot has a place for each task: give tasks.num_tasks, or use gaussian"
            )
        hypernets = {"hypernet": self.hypernet, "method.generator.hypernet": decoder.hypernet if decoder else None}
        solved = [
            path
            for path, hypernet in hypernets.items()
            if isinstance(hypernet, ChunkedHypernet) and hypernet.compression_ratio is not None
        ]
        if solved:
            raise ValueError(
                f"{solved[0]}.compression_ratio counts the embeddings of all tasks: give tasks.num_tasks, or a "
                "chunk_size"
            )

    def _nothing_before(self) -> None:
        if (
            isinstance(self.method, Scratch)
            and isinstance(self.hypernet, Hypernet)
            and (self.hypernet.embedding_init == "previous")
        ):
            raise ValueError(
                "hypernet.embedding_init previous has no meaning with method scratch: a new hypernetwork has learned "
                "no embedding; use normal"
            )

    def _answers_where_asked(self) -> None:
        each_step = isinstance(self.target, LSTM) and self.target.predicts == "each_step"
        if self.tasks.labelled_steps and not each_step:
            raise ValueError(
                f"tasks {self.tasks.name} have a class at each of some steps, and target {self.target.name} predicts "
                "one for a whole sequence: give target: {name: lstm, predicts: each_step}"
            )
        if each_step and not self.tasks.labelled_steps:
            raise ValueError(
                f"target.predicts each_step: tasks {self.tasks.name} have one class for a whole input: use last"
            )
        if self.tasks.labelled_steps and not self.method.regresses:
            raise ValueError(
                f"method {self.method.name} has one class for a whole input, and tasks {self.tasks.name} have one at "
                f"each of some steps: use {self._regressing}"
            )

    def _regresses(self) -> None:
        if not self.method.regresses:
            raise ValueError(
                f"method {self.method.name} classifies, and tasks {self.tasks.name} are regression: use "
                f"{self._regressing}"
            )
        if self.training.label_smoothing:
            raise ValueError("training.label_smoothing is of classes, and a regression has none: leave it out")

    @property
    def _regressing(self) -> str:
        """The methods that learn numbers, or a class at each step, in this scenario."""
        scenario = self.tasks.scenario
        return ", ".join(kind for kind, model in _METHODS.items() if model.regresses and scenario in model.scenarios)

    def _more_than_one_sample(self) -> None:
        if isinstance(self.target, MLP) and self.target.batch_norm and self.training.batch_size == 1:
            raise ValueError("target.batch_norm needs a training.batch_size of at least 2: one sample has no variance")


def _instead(scenario: str, regression: bool) -> str:
    if scenario == "task":
        return "where the task is given, use hnet"
    if regression:
        return "use hnet_tir, or a baseline"
    return "use hnet_ent, hnet_tir or hnet_replay, or a baseline"
