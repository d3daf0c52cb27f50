"""`tasks`: the stream of tasks to be learned one after the other."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from hypercl.config.models.drawn_tasks import CopyTasks, GaussianBumps, ToyRegression
from hypercl.config.models.section import (
    Flag,
    ImportPath,
    Kinds,
    Number,
    Section,
    TaskCount,
    Units,
    Whole,
)
from hypercl.config.models.stream import ClassCounts, ClassTasks, SplitTasks, Stream


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
