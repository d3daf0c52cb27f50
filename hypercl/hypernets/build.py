"""From the section `hypernet` to a hypernetwork."""

from hypercl.config.hypernet import ChunkedHypernet, Hypernet
from hypercl.hypernets.hypernetwork import Hypernetwork


def build_hypernet(config: Hypernet, num_weights: int) -> Hypernetwork:
    """The hypernetwork of a settings section.

    Args:
        config: chunked or full. A full one is a single chunk without a chunk embedding.
        num_weights: weights to generate. A chunk is never larger than this: rows of the head beyond it would be
            parameters that nothing reads.
    """
    chunked = isinstance(config, ChunkedHypernet)
    return Hypernetwork(
        num_weights=num_weights,
        chunk_size=min(config.chunk_size, num_weights) if chunked else num_weights,
        hidden=config.hidden,
        activation=config.activation,
        task_embedding=config.task_embedding,
        chunk_embedding=config.chunk_embedding if chunked else 0,
    )
