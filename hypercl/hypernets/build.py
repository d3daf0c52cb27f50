"""From the section `hypernet` to a hypernetwork."""

from dataclasses import replace

from hypercl.config import OutOfReach
from hypercl.config.models.hypernet import ChunkedHypernet, Hypernet
from hypercl.hypernets.chunk_size import ChunkCosts
from hypercl.hypernets.hyperfan import Shapes
from hypercl.hypernets.hypernetwork import Hypernetwork


def build_hypernet(config: Hypernet, num_weights: int, num_tasks: int, target_shapes: Shapes = ()) -> Hypernetwork:
    """The hypernetwork of a settings section.

    Args:
        config: chunked or full. A full one is a single chunk without a chunk embedding.
        num_weights: weights to generate. A chunk is never larger than this: rows of the head beyond it would be
            parameters that nothing reads.
        num_tasks: tasks of the stream; their embeddings count in a wanted compression ratio.
        target_shapes: names and shapes of the generated tensors; `init` of a hyperfan needs them, sizes do not.

    Raises:
        OutOfReach: no chunk size has so small a compression ratio.
    """
    whole = Hypernetwork(
        num_weights=num_weights,
        chunk_size=num_weights,
        hidden=config.hidden,
        task_embedding=config.task_embedding,
        activation=config.activation,
        normalization=config.normalization,
        dropout=config.dropout,
        noise=config.noise,
        embedding_scale=config.embedding_scale,
        embedding_init=config.embedding_init,
        initialization=config.init,
        target_shapes=tuple(target_shapes),
    )
    if not isinstance(config, ChunkedHypernet):
        return whole
    chunked = replace(whole, chunk_embedding=config.chunk_embedding)
    if isinstance(config.chunk_size, int):
        return replace(chunked, chunk_size=min(config.chunk_size, num_weights))
    return replace(chunked, chunk_size=_solved(config, chunked, num_tasks))


def _solved(config: ChunkedHypernet, chunked: Hypernetwork, num_tasks: int) -> int:
    costs = _costs(chunked, num_tasks)
    wanted = config.compression_ratio or 0.0
    size = costs.largest(wanted)
    if size is None:
        best = costs.least()
        least = costs.ratio(best)
        raise OutOfReach(
            f"hypernet.compression_ratio: {wanted:g} cannot be had: the least is {least:.4g}, with chunk_size {best}\n"
            f"    why:     {costs.fixed:,} numbers in trunk and task embeddings, {costs.per_row} a weight of a chunk, "
            f"{costs.per_chunk} a chunk, for {costs.num_weights:,} weights\n"
            "    fix:     ask for more, or make the trunk or the embeddings smaller",
            constraint="compression_ratio",
            violation=least / wanted - 1,
        )
    return size


def _costs(one_chunk: Hypernetwork, num_tasks: int) -> ChunkCosts:
    """What other chunk sizes cost, from the hypernetwork with a single chunk of all weights."""
    weights, per_chunk = one_chunk.num_weights, one_chunk.chunk_embedding
    per_row = one_chunk.shapes["head"][1]
    trunk = one_chunk.num_parameters - weights * per_row - per_chunk
    return ChunkCosts(weights, trunk + num_tasks * one_chunk.task_embedding, per_row, per_chunk)
