"""`hypernet`: the network that generates the target's weights from a task embedding."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hypercl.config.models.initialization import HyperfanIn, HyperfanOut, Normal, Xavier
from hypercl.config.models.section import Count, Flag, Fraction, Kinds, Positive, Section, Units, Whole, at_most
from hypercl.config.models.target import Activation


class Hypernet(Section):
    hidden: tuple[Units, ...] = (10, 10)
    """Units of each layer of the trunk; [] makes the hypernetwork one linear map.

    Source: von Oswald et al. (2020), Split MNIST.
    """
    activation: Activation = "relu"
    """After each layer of the trunk."""
    normalization: Literal["none", "layer"] = "none"
    """Normalisation of each trunk layer, before its activation. Batch norm is not offered: the weights of one task
    would depend on the tasks they are generated with."""
    dropout: Fraction = 0.0
    """Share of the trunk's activations set to zero in training; the output regulariser and predictions have none."""
    noise: Annotated[Whole, Field(ge=0), at_most(1_000_000)] = 0
    """Numbers of N(0, 1) noise in the input, drawn once a step for all chunks; zeros in predictions and in the output
    regulariser (hypnettorch and the paper's code, which use none by default)."""
    task_embedding: Units = 96
    """Size of a task embedding. Source: von Oswald et al. (2020), Split MNIST."""
    embedding_scale: Positive = 1.0
    """Standard deviation of initial task and chunk embeddings; a chunked hyperfan sets the chunk embeddings' itself."""
    embedding_init: Literal["normal", "previous"] = "normal"
    """previous: from the second task on, a task's embedding starts as a copy of the one before, as learned."""
    init: Annotated[Xavier | Normal | HyperfanIn | HyperfanOut, Kinds(default=Xavier)] = Xavier()
    """Initialisation of trunk and head; the paper's runs use xavier."""

    @model_validator(mode="after")
    def _per_tensor(self) -> "Hypernet":
        kind = getattr(self, "name", "")
        if isinstance(self.init, Xavier) and self.init.per_tensor and kind != "full":
            raise ValueError(
                f"init.per_tensor needs hypernet full, whose outputs are whole tensors; those of {kind} are chunks: "
                "leave it out"
            )
        return self

    @model_validator(mode="after")
    def _trunk_options(self) -> "Hypernet":
        given = [f"dropout {self.dropout:g}"] if self.dropout else []
        given += [f"normalization {self.normalization}"] if self.normalization != "none" else []
        if given and not self.hidden:
            raise ValueError(f"{' and '.join(given)} would have no effect without trunk layers: hidden is []")
        return self


def _require_visible_chunks(section: Hypernet) -> None:
    """A chunk's variance is set by the size of its embedding, which must reach the head."""
    blind = (section.normalization == "layer" and "layer normalization") or (
        section.activation == "sigmoid" and section.dropout and "dropout of a sigmoid, which is 1/2 at zero,"
    )
    if section.hidden and blind and isinstance(section.init, HyperfanIn | HyperfanOut):
        raise ValueError(
            f"init {section.init.name} sets the variance of a chunk's weights by the size of its embedding, which "
            f"{blind} in the trunk hides: use another init, another trunk, or the full hypernetwork"
        )


def _require_shared_chunks(section: Hypernet, other: str) -> None:
    """A chunk's variance is set by the size of its embedding, which must be known before a task is learned."""
    if isinstance(section.init, HyperfanIn | HyperfanOut):
        raise ValueError(
            f"init {section.init.name} sets the variance of a chunk's weights by the size of its embedding, which "
            f"is here each task's own: use xavier or normal, or {other}"
        )


class ChunkedHypernet(Hypernet):
    """Generates the weights chunk by chunk: the input is a task embedding and a chunk embedding."""

    name: Literal["chunked"] = "chunked"
    chunk_size: Count | Literal["auto"] = 42_000
    """Weights per chunk; the last chunk is cut at the target's size. auto: the largest with which the hypernetwork
    keeps to compression_ratio, so the fewest chunks. Source: von Oswald et al. (2020), Split MNIST."""
    compression_ratio: Positive | None = None
    """With chunk_size auto: (hypernetwork parameters + task embeddings) / target weights is to be at most this."""
    chunk_embedding: Units = 96
    """Size of a chunk embedding; chunk embeddings are shared by all tasks.

    Source: von Oswald et al. (2020), Split MNIST.
    """

    @model_validator(mode="after")
    def _size_or_ratio(self) -> "ChunkedHypernet":
        if self.chunk_size == "auto" and self.compression_ratio is None:
            raise ValueError("chunk_size auto needs a compression_ratio to be solved from, such as 1.0")
        if self.chunk_size != "auto" and self.compression_ratio is not None:
            raise ValueError(
                f"compression_ratio {self.compression_ratio:g} would have no effect beside chunk_size "
                f"{self.chunk_size}: "
                "give chunk_size: auto, or leave compression_ratio out"
            )
        return self

    @model_validator(mode="after")
    def _variance_of_chunks(self) -> "ChunkedHypernet":
        _require_visible_chunks(self)
        return self


class TaskChunkedHypernet(ChunkedHypernet):
    """As chunked, with chunk embeddings of each task's own: they are trained and then kept with its task embedding."""

    name: Literal["task_chunked"] = "task_chunked"  # pyright: ignore[reportIncompatibleVariableOverride]
    chunk_embedding: Units = 96
    """Size of a chunk embedding. A task's chunk embeddings count as a part of its task embedding."""

    @model_validator(mode="after")
    def _variance_of_embeddings(self) -> "TaskChunkedHypernet":
        _require_shared_chunks(self, "hypernet chunked")
        return self


class StructuredHypernet(Hypernet):
    """Generates whole filters: layers whose filters have one shape share a hypernetwork, whose chunks are some filters.

    Biases, and scales and shifts of normalisation, share another. All of them read the same task embedding; trunk,
    head and chunk embeddings are each one's own.
    """

    name: Literal["structured"] = "structured"
    chunk_size: Count = 42_000
    """Largest number of weights per chunk: a chunk is as many filters of one layer as fit, all chunks of a
    hypernetwork alike, and at least one filter."""
    chunk_embedding: Units = 96
    """Size of a chunk embedding; chunk embeddings are shared by all tasks."""

    @model_validator(mode="after")
    def _variance_of_chunks(self) -> "StructuredHypernet":
        _require_visible_chunks(self)
        return self


class SelfAttentionHypernet(Hypernet):
    """Generates images of weights by transposed convolutions with self-attention, from a task and a chunk embedding.

    A trunk and a linear layer make the first feature maps of a chunk; transposed convolutions then double their sides
    up to the image, of which the weights are the pixels. The regulariser has no Gram form. Source: the CIFAR code of
    von Oswald et al. (2020), after the generator of Zhang et al. (2019).
    """

    name: Literal["self_attention"] = "self_attention"
    hidden: tuple[Units, ...] = ()
    """Units of each layer of the trunk before the first feature maps."""
    chunk_image: Annotated[tuple[Units, ...], Field(min_length=2, max_length=3)] = (36, 36)
    """Height and width of a chunk, and its channels if it has more than one; the last chunk is cut."""
    filters: Annotated[tuple[Units, ...], Field(min_length=1)] = (128, 512, 256, 128)
    """Channels of the feature maps after each layer but the last, the linear layer first. An activation follows each.

    Source: the CIFAR code of von Oswald et al. (2020).
    """
    attention: tuple[Count, ...] = Field(default=(1, 3), examples=[[3]])
    """Layers that self-attention follows, counted from 1, the linear one.

    Source: the CIFAR code of von Oswald et al. (2020).
    """
    kernel: Literal[3, 5, 7, 9] = 5
    """Height and width of the filters.

    Source: the CIFAR code of von Oswald et al. (2020).
    """
    chunk_embedding: Units = 96
    """Size of a chunk embedding; chunk embeddings are shared by all tasks."""

    @model_validator(mode="after")
    def _layers_fit(self) -> "SelfAttentionHypernet":
        wrong = [layer for layer in self.attention if layer > len(self.filters)]
        if wrong:
            raise ValueError(
                f"attention names layer {wrong[0]}, and filters has {len(self.filters)}: give layers of 1 to "
                f"{len(self.filters)}"
            )
        if len(set(self.attention)) < len(self.attention):
            raise ValueError("attention names a layer twice: give each once")
        if isinstance(self.init, HyperfanIn | HyperfanOut):
            raise ValueError(f"init {self.init.name} is of a linear last layer: use xavier or normal")
        return self


class FullHypernet(Hypernet):
    """Generates all weights at once."""

    name: Literal["full"] = "full"


class PerturbedHypernet(ChunkedHypernet):
    """As chunked, with noise on the generated weights in training."""

    name: Literal["perturbed"] = "perturbed"  # pyright: ignore[reportIncompatibleVariableOverride]
    perturbation: Positive = 0.02
    """Standard deviation of the N(0, perturbation^2) noise, drawn once a step for each weight; predictions and the
    output regulariser have none. Default of hypnettorch."""


class SharedWeights(Section):
    """Not generated: one set of weights for all tasks, trained along and held fixed by the output regulariser."""

    name: Literal["shared"] = "shared"


class FrozenWeights(Section):
    """Not generated and not trained: they stay as the target initialises them from a fixed seed, in every run alike."""

    name: Literal["frozen"] = "frozen"


class TaskWeights(Section):
    """Not generated: weights of each task's own, trained with its task embedding, of which they count as a part."""

    name: Literal["task"] = "task"


Others = Literal["shared", "frozen", "task"]


def _others(kind: Others) -> SharedWeights | FrozenWeights | TaskWeights:
    return {"shared": SharedWeights(), "frozen": FrozenWeights(), "task": TaskWeights()}[kind]


Patterns = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


class PartialHypernet(ChunkedHypernet):
    """As chunked, for the weights of chosen layers; the other layers are shared, frozen or each task's own."""

    name: Literal["partial"] = "partial"  # pyright: ignore[reportIncompatibleVariableOverride]
    generated: Patterns = Field(examples=[["head", "blocks.1.*"]])
    """Layers or tensors of the target to generate, by their names in the module, where * stands for anything."""
    others: Others = "shared"
    """The weights that are not generated. shared: one set for all tasks, trained along and held fixed by the output
    regulariser. frozen: as the target initialises them from a fixed seed, in every run alike. task: each task's own,
    trained with its task embedding, of which they count as a part."""
    chunk_embedding: Units = 96
    """Size of a chunk embedding; chunk embeddings are shared by all tasks, or with own_chunks each task's own."""
    own_chunks: Flag = False
    """Whether each task has chunk embeddings of its own, as with task_chunked."""

    @model_validator(mode="after")
    def _variance_of_embeddings(self) -> "PartialHypernet":
        if self.own_chunks:
            _require_shared_chunks(self, "own_chunks false")
        return self

    def composed(self, chunk_size: int) -> "ComposedHypernet":
        """The same as a composition, with chunks of this size."""
        generating = {key: getattr(self, key) for key in ChunkedHypernet.model_fields}
        kind, name = (TaskChunkedHypernet, "task_chunked") if self.own_chunks else (ChunkedHypernet, "chunked")
        chunked = {**generating, "name": name, "chunk_size": chunk_size, "compression_ratio": None}
        return ComposedHypernet(
            parts=(
                ComposedPart(weights=self.generated, net=kind.model_validate(chunked)),
                ComposedPart(weights=("*",), net=_others(self.others)),
            )
        )


class ModulationHypernet(Hypernet):
    """Generates a gain and a shift of each unit of each hidden layer; the weights themselves are not generated.

    A layer's outputs x become (1 + gain) x + shift. Source: conditional modulation of Perez et al. (2018).
    """

    name: Literal["modulation"] = "modulation"
    others: Others = "shared"
    """The weights that are not generated. shared: one set for all tasks, trained along and held fixed by the output
    regulariser. frozen: as the target initialises them from a fixed seed, in every run alike. task: each task's own,
    trained with its task embedding, of which they count as a part."""

    @model_validator(mode="after")
    def _no_weights_to_start(self) -> "ModulationHypernet":
        if isinstance(self.init, HyperfanIn | HyperfanOut):
            raise ValueError(f"init {self.init.name} is of weights, not of gains and shifts: use xavier or normal")
        return self

    @property
    def composed(self) -> "ComposedHypernet":
        """The same as a composition."""
        generating = {key: getattr(self, key) for key in Hypernet.model_fields}
        return ComposedHypernet(
            parts=(
                ComposedPart(weights=("*.modulation.*",), net=FullHypernet.model_validate(generating)),
                ComposedPart(weights=("*",), net=_others(self.others)),
            )
        )


class ComposedPart(Section):
    weights: Patterns = Field(examples=[["blocks.*"]])
    """Layers or tensors of the target, by their names in the module, where * stands for anything. A tensor belongs to
    the first part that names it."""
    net: Annotated[
        ChunkedHypernet
        | TaskChunkedHypernet
        | StructuredHypernet
        | PerturbedHypernet
        | SelfAttentionHypernet
        | FullHypernet
        | SharedWeights
        | FrozenWeights
        | TaskWeights,
        Kinds(default=ChunkedHypernet),
    ] = ChunkedHypernet()
    """What generates them, or whose they are."""


class ComposedHypernet(Section):
    """Several hypernetworks, each with task embeddings of its own, for different layers of the target."""

    name: Literal["composed"] = "composed"
    parts: Annotated[tuple[ComposedPart, ...], Field(min_length=1)] = Field(
        examples=[[{"weights": ["head"], "net": "full"}, {"weights": ["*"], "net": "chunked"}]]
    )
    """The layers, and what generates them; together they name every weight."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "ComposedHypernet":
        nets = [part.net for part in self.parts if isinstance(part.net, Hypernet)]
        if not nets:
            raise ValueError("no part is generated: give one of them a hypernetwork, or hypernet: {name: none}")
        if any(isinstance(net, ChunkedHypernet) and net.chunk_size == "auto" for net in nets):
            raise ValueError("a part's chunk_size cannot be auto: give it a number of weights")
        if len({net.embedding_init for net in nets}) > 1:
            raise ValueError("embedding_init holds for the embeddings of all parts: give each the same")
        return self


class OwnWeights(Section):
    """No hypernetwork: the target's weights are trained themselves, one set for all tasks."""

    name: Literal["none"] = "none"


AnyHypernet = Annotated[
    ChunkedHypernet
    | TaskChunkedHypernet
    | StructuredHypernet
    | PerturbedHypernet
    | PartialHypernet
    | ComposedHypernet
    | ModulationHypernet
    | SelfAttentionHypernet
    | FullHypernet
    | OwnWeights,
    Kinds(default=ChunkedHypernet),
]


def has_task_weights(config: Section) -> bool:
    """Whether some weights are each task's own."""
    if isinstance(config, PartialHypernet | ModulationHypernet):
        return config.others == "task"
    return isinstance(config, ComposedHypernet) and any(isinstance(part.net, TaskWeights) for part in config.parts)


def without_gram_form(config: Section) -> bool:
    """Whether the regulariser of some weights has no Gram form."""
    parts = [part.net for part in config.parts] if isinstance(config, ComposedHypernet) else [config]
    return any(isinstance(net, SelfAttentionHypernet) for net in parts)
