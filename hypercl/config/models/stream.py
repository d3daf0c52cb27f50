"""What streams of tasks have in common: scenario, heads, validation data, classes of each task."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from hypercl.config.models.section import (
    Number,
    Section,
    TaskCount,
    Whole,
    at_most,
    is_list,
    is_mapping,
)


def _counts(value: Any) -> Any:
    """One sentence for whatever is neither a count nor a list of counts."""
    each = value if is_list(value) else [value]
    whole = [not isinstance(count, bool) and isinstance(count, int | float) and count == count // 1 for count in each]
    if not each or not all(whole) or min(each) < 1:
        raise ValueError("give one whole number of classes, 1 or more, or a list with one per task")
    return value


_Classes = Annotated[Whole, Field(ge=1), at_most(1_000_000)]
ClassCounts = Annotated[_Classes | tuple[_Classes, ...], BeforeValidator(_counts)]


class Stream(Section):
    regression: ClassVar[bool] = False
    """Whether targets are numbers, learned by squared error, and not classes."""
    labelled_steps: ClassVar[bool] = False
    """Whether each of the last steps of an input has a class of its own."""
    scenario: Literal["task", "domain", "class"] = "task"
    """What is known at test time. task (CL1): the task, whose classes are told apart by outputs of their own; domain
    (CL2): not the task, and all tasks share their outputs; class (CL3): not the task, and the classes of all tasks are
    told apart. Source: van de Ven and Tolias (2019)."""
    heads: Literal["own", "shared"] = "own"
    """With scenario task: outputs of its own for each task, or the same for all, as hypnettorch's example has it."""
    validation: Annotated[Number, Field(gt=0, le=0.5)] = 0.1
    """Share of each task's training data held out, stratified by class; a sweep optimises its accuracy."""
    split_seed: Whole = 42
    """Seed of the validation split: the same for all trials of a sweep."""
    skip: Annotated[Whole, Field(ge=0), at_most(10_000)] = 0
    """Tasks of the stream that are left out before the first one: skip 3 with num_tasks 2 is its fourth and fifth."""

    @property
    def score(self) -> str:
        """What is measured of a task, a fraction of which more is better, in words.

        Of a regression it is R^2 = 1 - MSE / variance of the targets, or 0 where that is negative: as good as their
        mean, or worse.
        """
        return "R\u00b2" if self.regression else "accuracy"

    @property
    def whole(self) -> Self:
        """The same stream from its first task on, as far as it is used."""
        if not self.skip:
            return self
        data = self.model_dump()
        return type(self).model_validate({**data, "skip": 0, "num_tasks": data["num_tasks"] + self.skip})

    @model_validator(mode="after")
    def _heads_of_the_scenario(self) -> Self:
        if self.heads != type(self).model_fields["heads"].default and self.scenario != "task":
            always = "all tasks share outputs" if self.scenario == "domain" else "classes of all tasks are told apart"
            raise ValueError(f"heads applies to scenario task only: in scenario {self.scenario} {always}")
        return self


def _num_tasks_may_be_left_out(schema: dict[str, Any]) -> None:
    """In the schema for editors num_tasks is never required: a list of classes stands for it."""
    if "num_tasks" in schema.get("required", []):
        schema["required"].remove("num_tasks")


class ClassTasks(Stream):
    """Tasks of chosen numbers of classes, equal or not."""

    model_config = ConfigDict(json_schema_extra=_num_tasks_may_be_left_out)

    available: ClassVar[int | None] = None
    """Classes of the data set, where that is known without the data."""
    num_tasks: TaskCount
    """Number of tasks; may be left out where classes_per_task is a list."""
    classes_per_task: ClassCounts
    """Classes per task, or a list with one number per task, such as [2, 3, 5]; classes may be left unused."""

    @model_validator(mode="before")
    @classmethod
    def _a_task_for_each_count(cls, data: Any) -> Any:
        listed = data.get("classes_per_task") if is_mapping(data) else None
        skip = data.get("skip", 0) if is_mapping(data) else 0
        skipped = skip if isinstance(skip, int) else 0
        return {"num_tasks": len(listed) - skipped, **data} if is_list(listed) else data

    @model_validator(mode="after")
    def _as_many_as_there_are(self) -> Self:
        each = self.classes_per_task
        if isinstance(each, tuple) and len(each) != self.skip + self.num_tasks:
            after = f" after a skip of {self.skip}" if self.skip else ""
            raise ValueError(
                f"classes_per_task lists {len(each)} tasks and num_tasks is {self.num_tasks}{after}: leave out "
                "num_tasks, or make the two fit"
            )
        wanted = sum(self._from_the_first)
        if self.available is not None and wanted > self.available:
            raise ValueError(f"{self.in_words} are {wanted} classes, and there are {self.available}")
        return self

    @model_validator(mode="after")
    def _something_to_tell_apart(self) -> Self:
        if 1 in self.classes and self.scenario != "class":
            raise ValueError(
                f"classes_per_task 1 leaves nothing to learn in scenario {self.scenario}: give 2 or more, or scenario "
                "class"
            )
        return self

    @property
    def classes(self) -> tuple[int, ...]:
        """Number of classes of each task; of the first one, where the number of tasks is unknown."""
        return self._from_the_first[self.skip :]

    @property
    def _from_the_first(self) -> tuple[int, ...]:
        """The same with those of the tasks that are left out."""
        each = self.classes_per_task
        return each if isinstance(each, tuple) else (each,) * (self.skip + (self.num_tasks or 1))

    @property
    def in_words(self) -> str:
        """The tasks in a message: '5 tasks of 2 classes'."""
        each = self.classes_per_task
        counts = ", ".join(map(str, each[:-1])) + f" and {each[-1]}" if isinstance(each, tuple) else each
        return f"{self.skip + self.num_tasks} tasks of {counts} classes"


class SplitTasks(ClassTasks):
    """A data set in tasks of some of its classes each."""

    order_seed: Whole | None = None
    """Seed of the order in which classes are dealt to the tasks; left out: their own order, 0/1, 2/3, ..."""
