"""`tasks`: the stream of tasks to be learned one after the other."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from hypercl.config.models.section import (
    Flag,
    ImportPath,
    Kinds,
    NotNegative,
    Number,
    Positive,
    Section,
    TaskCount,
    Units,
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


class TenClasses(SplitTasks):
    """A data set of ten classes."""

    available: ClassVar[int | None] = 10
    num_tasks: TaskCount = 5
    """Number of tasks; may be left out where classes_per_task is a list."""
    classes_per_task: ClassCounts = 2
    """Classes per task, or a list with one number per task, such as [2, 3, 5]; classes may be left unused."""


class SplitDigits(TenClasses):
    """scikit-learn's 8x8 digits in tasks of a few classes; comes with the package, nothing is downloaded."""

    name: Literal["split_digits"] = "split_digits"


class SplitMNIST(TenClasses):
    """MNIST in tasks of a few digits."""

    name: Literal["split_mnist"] = "split_mnist"
    download: Flag = False
    """Download missing files with torchvision."""


class SplitFashionMNIST(TenClasses):
    """Fashion-MNIST in tasks of a few kinds of clothes."""

    name: Literal["split_fashion_mnist"] = "split_fashion_mnist"
    download: Flag = False
    """Download missing files with torchvision."""


class PermutedTasks(Stream):
    """A data set with the padded pixels of each task in another order; the first task keeps the order."""

    num_tasks: TaskCount = 10
    """Any number of permutations, the identity being the first."""
    padding: Annotated[Whole, Field(ge=0, le=16)] = 2
    """Black pixels added on each side before permuting: 2 makes 32 x 32. Source: von Oswald et al. (2020)."""
    order_seed: Whole = 42
    """Seed of the permutations."""
    download: Flag = False
    """Download missing files with torchvision."""


class PermutedMNIST(PermutedTasks):
    """MNIST with the padded pixels of each task in another order; the first task keeps the order."""

    name: Literal["permuted_mnist"] = "permuted_mnist"


class PermutedFashionMNIST(PermutedTasks):
    """Fashion-MNIST with the padded pixels of each task in another order; the first task keeps the order."""

    name: Literal["permuted_fashion_mnist"] = "permuted_fashion_mnist"


class CIFAR(Section):
    """What all streams of CIFAR have in common."""

    augment: Flag = True
    """Flip (p = 0.5) and crop after padding by 4, on training batches only."""
    normalize: Flag = True
    """Take ImageNet's mean off each channel and divide by its deviation; false leaves pixels in 0 .. 1."""
    download: Flag = False
    """Download missing files with torchvision."""


class SplitCIFAR(CIFAR, Stream):
    """CIFAR-10, then CIFAR-100 in tasks of ten classes (0-9, 10-19, ...)."""

    name: Literal["split_cifar"] = "split_cifar"
    num_tasks: Annotated[Whole, Field(ge=1, le=11)] = 6
    """The first task is all of CIFAR-10, each other one ten classes of CIFAR-100."""
    order_seed: Whole | None = None
    """Seed of the order of CIFAR-100's classes, and of CIFAR-10's within its task; left out: their own order."""

    @model_validator(mode="after")
    def _eleven(self) -> Self:
        if self.skip + self.num_tasks > 11:
            raise ValueError(f"a skip of {self.skip} leaves {11 - self.skip} of the 11 tasks, not {self.num_tasks}")
        return self


class SplitCIFAR10(CIFAR, TenClasses):
    """CIFAR-10 in tasks of a few classes."""

    name: Literal["split_cifar10"] = "split_cifar10"


class SplitCIFAR100(CIFAR, SplitTasks):
    """CIFAR-100 in tasks of some of its classes."""

    available: ClassVar[int | None] = 100
    name: Literal["split_cifar100"] = "split_cifar100"
    num_tasks: TaskCount = 10
    """Number of tasks; may be left out where classes_per_task is a list."""
    classes_per_task: ClassCounts = 10
    """Classes per task, or a list with one number per task, such as [2, 3, 5]; classes may be left unused."""


class ToyRegression(Stream):
    """Regression of one number: the polynomials x + 3 on [-4, -2], 2 x^2 - 1 on [-1, 1], (x - 3)^3 on [2, 4], one after
    the other. Nothing is downloaded. Source: von Oswald et al. (2020), figure 2."""

    regression: ClassVar[bool] = True
    name: Literal["toy_regression"] = "toy_regression"
    scenario: Literal["task", "domain"] = "task"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Whether the task is known at test time (task) or not (domain)."""
    heads: Literal["own", "shared"] = "shared"
    """One output for all tasks, or, with scenario task, one for each."""
    num_tasks: Annotated[Whole, Field(ge=1, le=3)] = 3
    """Number of polynomials."""
    samples: Annotated[Whole, Field(ge=4), at_most(1_000_000)] = 200
    """Samples drawn for each task, x uniform; the test data is 50 equally spaced x without noise."""
    noise: NotNegative = 0.05
    """Standard deviation of the noise of drawn samples. Source: von Oswald et al. (2020)."""
    validation: Annotated[Number, Field(gt=0, le=0.5)] = 0.5
    """Share of each task's samples held out; a sweep optimises their R^2 or MSE. Half of 200 leaves the paper's 100."""
    split_seed: Whole = 42
    """Seed of the samples and of the validation split: the same for all trials of a sweep."""

    @model_validator(mode="after")
    def _three(self) -> Self:
        if self.skip + self.num_tasks > 3:
            raise ValueError(f"a skip of {self.skip} leaves {3 - self.skip} of the 3 tasks, not {self.num_tasks}")
        return self


class GaussianBumps(Stream):
    """Regression of the value of a two-dimensional normal density where its points lie, around each of nine means
    {-4, 0, 4} x {-4, 0, 4} one after the other. Nothing is downloaded. Source: the toy example in the code of von
    Oswald et al. (2020)."""

    regression: ClassVar[bool] = True
    name: Literal["gaussian_bumps"] = "gaussian_bumps"
    scenario: Literal["task", "domain"] = "task"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Whether the task is known at test time (task) or not (domain)."""
    heads: Literal["own", "shared"] = "shared"
    """One output for all tasks, or, with scenario task, one for each."""
    num_tasks: Annotated[Whole, Field(ge=1, le=9)] = 9
    """Number of means."""
    width: Positive = 0.5
    """Standard deviation of the density in each direction. Source: the code of von Oswald et al. (2020)."""
    samples: Annotated[Whole, Field(ge=4), at_most(1_000_000)] = 2000
    """Points drawn for each task; 50 others are its test data."""
    validation: Annotated[Number, Field(gt=0, le=0.5)] = 0.5
    """Share of each task's samples held out; a sweep optimises their R^2 or MSE. Half of 2000 leaves the source's
    1000."""
    split_seed: Whole = 42
    """Seed of the samples and of the validation split: the same for all trials of a sweep."""

    @model_validator(mode="after")
    def _nine(self) -> Self:
        if self.skip + self.num_tasks > 9:
            raise ValueError(f"a skip of {self.skip} leaves {9 - self.skip} of the 9 tasks, not {self.num_tasks}")
        return self


class CopyTasks(Stream):
    """Random sequences of symbols to be repeated after a mark, by each task in an order of its own; the first task
    keeps the order. A class is predicted at each of the steps after the mark, and accuracy is the share of such steps.
    Nothing is downloaded. Source: the permuted copy task of Ehret et al. (2021), with symbols in place of bits."""

    labelled_steps: ClassVar[bool] = True
    name: Literal["copy"] = "copy"
    scenario: Literal["task"] = "task"  # pyright: ignore[reportIncompatibleVariableOverride]
    """The task is known at test time."""
    heads: Literal["own", "shared"] = "shared"
    """The same outputs for all tasks, or outputs of its own for each."""
    num_tasks: TaskCount = 5
    """Number of orders."""
    symbols: Annotated[Whole, Field(ge=2), at_most(1000)] = 8
    """Number of different symbols, which are the classes."""
    length: Annotated[Whole, Field(ge=1, le=1000)] = 5
    """Symbols of a sequence. An input has 2 length + 1 steps: the symbols, the mark, and an empty step for each
    answer."""
    samples: Annotated[Whole, Field(ge=10), at_most(1_000_000)] = 2000
    """Sequences drawn for each task; 500 others are its test data."""
    order_seed: Whole = 42
    """Seed of the orders."""
    split_seed: Whole = 42
    """Seed of the sequences and of the validation split: the same for all trials of a sweep."""

    @model_validator(mode="after")
    def _enough_sequences(self) -> Self:
        if self.length < 32 and self.symbols**self.length < 4 * (self.samples + 500):
            raise ValueError(
                f"{self.symbols} symbols make {self.symbols**self.length:,} sequences of length {self.length}, too few "
                f"for {self.samples:,} samples and a test set of 500 others: give more symbols or a longer length"
            )
        return self


class ImageFolder(SplitTasks):
    """A folder of images of your own, one folder a class, in tasks of some of the classes."""

    name: Literal["image_folder"] = "image_folder"
    path: Annotated[str, Field(min_length=1)]
    """The folder, absolute or below --data-dir: holds CLASS/ folders, or train/ and test/ with CLASS/ folders each."""
    size: Annotated[Whole, Field(ge=4, le=1024)] = 32
    """Height and width in pixels: images are resized to cover this square, and what stands out is cut off evenly."""
    mode: Literal["rgb", "grey"] = "rgb"
    """Three channels, normalised by ImageNet's statistics as for CIFAR; or one, scaled to 0 .. 1 as for MNIST."""
    test_share: Annotated[Number, Field(gt=0, le=0.5)] | None = None
    """Share of each class kept as test set where there are no folders train/ and test/; left out: 0.2."""
    augment: Flag = False
    """Flip (p = 0.5) and crop after padding by an eighth of the size, on training batches; not for digits or text."""


class TorchvisionSplit(SplitTasks):
    """Any classification data set of torchvision, in tasks of some of its classes."""

    name: Literal["split"] = "split"
    data: Annotated[str, Field(pattern=r"^torchvision:[A-Za-z]\w*$")]
    """torchvision:CLASS, a class of torchvision.datasets such as torchvision:SVHN. Its files lie in the folder
    torchvision/CLASS of the data directory."""
    kwargs: dict[str, Any] = {}
    """Further keywords of the class, such as {split: letters} of torchvision:EMNIST."""
    size: Annotated[Whole, Field(ge=4, le=1024)] = 32
    """Height and width in pixels: images are resized to cover this square, and what stands out is cut off evenly."""
    mode: Literal["rgb", "grey"] = "rgb"
    """Three channels, normalised by ImageNet's statistics as for CIFAR; or one, scaled to 0 .. 1 as for MNIST."""
    augment: Flag = False
    """Flip (p = 0.5) and crop after padding by an eighth of the size, on training batches; not for digits or text."""
    download: Flag = False
    """Download missing files with torchvision."""

    @field_validator("kwargs")
    @classmethod
    def _without_what_is_given(cls, value: dict[str, Any]) -> dict[str, Any]:
        given = sorted({"root", "train", "download", "transform", "target_transform"} & set(value))
        if given:
            raise ValueError(f"{' and '.join(given)} must not be given: hypercl sets them itself")
        return value


class ImportedStream(ClassTasks):
    """A stream of your own by import path: `make(root, train, **kwargs)` returns one data set a task."""

    name: Literal["import"] = "import"
    num_tasks: TaskCount | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    """Number of tasks. Null: unknown in advance; the callable may return an iterator, and the run learns each task as
    it arrives. That needs outputs that all tasks share (scenario domain, or heads shared)."""
    path: ImportPath
    """`package.module:callable`, found beside the file, in the working directory, or installed."""
    input_shape: Annotated[tuple[Units, ...], Field(min_length=1)]
    """Shape of one image, such as [1, 28, 28] for (channels, height, width)."""
    kwargs: dict[str, Any] = {}
    """Further keywords of the callable, besides `root` (the data folder) and `train`."""

    @model_validator(mode="after")
    def _outputs_for_tasks_to_come(self) -> Self:
        if self.num_tasks is None and self.scenario != "domain" and self.heads != "shared":
            raise ValueError(
                "num_tasks is left out: a target has outputs for tasks to come only where all share them; give "
                "num_tasks, scenario domain, or heads shared"
            )
        if self.num_tasks is None and self.skip:
            raise ValueError("skip needs num_tasks: give it, or let the callable leave tasks out")
        return self

    @field_validator("kwargs")
    @classmethod
    def _without_what_is_given(cls, value: dict[str, Any]) -> dict[str, Any]:
        given = sorted({"root", "train"} & set(value))
        if given:
            raise ValueError(f"{' and '.join(given)} must not be given: hypercl passes `root` and `train` itself")
        return value


Tasks = Annotated[
    SplitDigits
    | SplitMNIST
    | PermutedMNIST
    | SplitFashionMNIST
    | PermutedFashionMNIST
    | SplitCIFAR
    | SplitCIFAR10
    | SplitCIFAR100
    | ToyRegression
    | GaussianBumps
    | CopyTasks
    | ImageFolder
    | TorchvisionSplit
    | ImportedStream,
    Kinds(),
]


def classes_of(config: Tasks) -> tuple[int, ...]:
    """Number of classes of each task, of a regression 1; of the first task, where the number of tasks is not known in
    advance."""
    if isinstance(config, ClassTasks):
        return config.classes
    if isinstance(config, ToyRegression | GaussianBumps):
        return (1,) * config.num_tasks
    if isinstance(config, CopyTasks):
        return (config.symbols,) * config.num_tasks
    return (10,) * (config.num_tasks or 1)


def outside_unit_interval(config: Tasks) -> str:
    """Why a stream's inputs are not all in 0 .. 1, with the fix; '' where they are."""
    if isinstance(config, CIFAR) and config.normalize:
        return "those of this stream are normalised: set tasks.normalize to false"
    if isinstance(config, ImageFolder) and config.mode == "rgb":
        return "those of an image folder are normalised in mode rgb: use mode grey"
    if isinstance(config, TorchvisionSplit) and config.mode == "rgb":
        return "those of this stream are normalised in mode rgb: use mode grey"
    if config.regression:
        return f"those of {config.name} are numbers of any size: set method.generator.likelihood to gaussian"
    return ""


def task_count(tasks: Tasks) -> int:
    """The number of tasks of a stream that states it, as the stream of a sweep does."""
    assert tasks.num_tasks is not None, "checked when the file is read"
    return tasks.num_tasks
