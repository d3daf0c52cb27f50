"""`hypernet`: the network that generates the target's weights from a task embedding."""

from typing import Literal

from hypercl.config.kinds import kinds
from hypercl.config.section import Count, Section
from hypercl.config.target import Activation


class Hypernet(Section):
    hidden: tuple[Count, ...] = (10, 10)
    """Units of each layer of the trunk; [] makes the hypernetwork one linear map."""
    activation: Activation = "relu"
    """After each layer of the trunk."""
    task_embedding: Count = 96
    """Numbers in a task embedding."""


class ChunkedHypernet(Hypernet):
    """Generates the weights chunk by chunk: the input is a task embedding and a chunk embedding."""

    name: Literal["chunked"] = "chunked"
    chunk_size: Count = 42_000
    """Weights a chunk; the last chunk is cut at the target's size."""
    chunk_embedding: Count = 96
    """Numbers in a chunk embedding; chunk embeddings are shared by all tasks."""


class FullHypernet(Hypernet):
    """Generates all weights at once."""

    name: Literal["full"] = "full"


AnyHypernet = kinds(ChunkedHypernet, FullHypernet, default=ChunkedHypernet)
