"""The chunk size that a wanted compression ratio leads to, against trying all of them."""

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.config import OutOfReach
from hypercl.config.models.hypernet import ChunkedHypernet, PartialHypernet
from hypercl.hypernets import build_hypernet
from hypercl.hypernets.build import ChunkCosts

costs = st.builds(
    ChunkCosts,
    num_weights=st.integers(1, 400),
    target_weights=st.integers(400, 900),
    fixed=st.integers(0, 300),
    per_row=st.integers(2, 40),
    per_chunk=st.integers(1, 40),
)


def ratios(cost: ChunkCosts) -> dict[int, float]:
    """The ratio of every size."""
    return {size: cost.ratio(size) for size in range(1, cost.num_weights + 1)}


@settings(max_examples=300, deadline=None)
@given(cost=costs, share=st.floats(0, 1), exact=st.booleans())
def test_the_size_is_the_largest_of_all_that_keep_to_the_ratio(cost: ChunkCosts, share: float, exact: bool) -> None:
    every = ratios(cost)
    least, most = min(every.values()), max(every.values())
    wanted = least * 0.9 + share * (most - least * 0.9)
    if exact:  # a ratio that some size has to the last digit
        wanted = sorted(every.values())[int(share * (len(every) - 1))]
    within = [size for size, ratio in every.items() if ratio <= wanted]
    assert cost.largest(wanted) == max(within, default=None)


@settings(max_examples=300, deadline=None)
@given(cost=costs)
def test_the_least_ratio_is_the_least_of_all_sizes(cost: ChunkCosts) -> None:
    every = ratios(cost)
    assert cost.least() == max(size for size, ratio in every.items() if ratio == min(every.values()))


@pytest.mark.parametrize("wanted", [0.05, 0.3, 0.9734, 3.0])
def test_the_network_has_the_ratio_that_was_wanted(wanted: float) -> None:
    config = ChunkedHypernet(
        hidden=(20, 10), chunk_size="auto", compression_ratio=wanted, chunk_embedding=8, noise=3, normalization="layer"
    )
    hypernet = build_hypernet(config, 478_410, num_tasks=5)
    ratio = (hypernet.num_parameters + 5 * 96) / 478_410
    assert 0.9 * wanted < ratio <= wanted
    more = build_hypernet(config.model_copy(update={"chunk_size": hypernet.chunk_size + 1}), 478_410, num_tasks=5)
    assert (more.num_parameters + 5 * 96) / 478_410 > wanted


def test_an_empty_trunk_pays_for_all_its_inputs() -> None:
    config = ChunkedHypernet(hidden=(), chunk_size="auto", compression_ratio=0.5, task_embedding=6, chunk_embedding=4)
    hypernet = build_hypernet(config, 10_000, num_tasks=3)
    assert hypernet.num_parameters + 3 * 6 <= 5_000 < hypernet.num_parameters + 3 * 6 + 11


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("others", "wanted"), [("task", 0.9), ("shared", 0.7), ("frozen", 0.2), ("frozen", 5.0)])
def test_weights_that_are_not_generated_count_in_the_ratio(others: str, wanted: float, own: bool) -> None:
    shapes = [("body.weight", (300, 100)), ("head.weight", (50, 100)), ("head.bias", (50,))]
    tasks, weights = 4, 300 * 100 + 50 * 100 + 50
    settings = {"hidden": (), "task_embedding": 6, "chunk_embedding": 4, "compression_ratio": wanted}
    config = PartialHypernet(generated=("body",), others=others, own_chunks=own, chunk_size="auto", **settings)

    def counted(size: int | str) -> float:
        ratio = wanted if size == "auto" else None
        part = config.model_copy(update={"chunk_size": size, "compression_ratio": ratio})
        net = build_hypernet(part, weights, tasks, shapes, torch.zeros)
        return (net.num_parameters + tasks * net.embedding_size) / weights

    size = build_hypernet(config, weights, tasks, shapes, torch.zeros).chunk_size
    assert counted("auto") == counted(size) <= wanted
    assert size == 30_000 or counted(size + 1) > wanted


def test_the_least_ratio_counts_weights_that_are_not_generated() -> None:
    shapes = [("body.weight", (30, 100)), ("head.weight", (5, 100))]
    settings = {"generated": ("body",), "others": "task", "hidden": (), "task_embedding": 3, "chunk_embedding": 2}
    tasks, weights = 4, 3_500

    def ratio(size: int) -> float:
        net = build_hypernet(PartialHypernet(**settings, chunk_size=size), weights, tasks, shapes, torch.zeros)
        return (net.num_parameters + tasks * net.embedding_size) / weights

    config = PartialHypernet(**settings, chunk_size="auto", compression_ratio=0.01)
    with pytest.raises(OutOfReach, match="and of weights that are not generated") as refusal:
        build_hypernet(config, weights, tasks, shapes, torch.zeros)
    assert 0.01 * (1 + refusal.value.violation) == pytest.approx(min(map(ratio, range(1, 3_001))))


def test_a_ratio_that_no_size_has_is_refused_with_the_least_one() -> None:
    config = ChunkedHypernet(hidden=(10,), chunk_size="auto", compression_ratio=0.01, chunk_embedding=8)
    with pytest.raises(OutOfReach) as refusal:
        build_hypernet(config, 50_000, num_tasks=5)
    size, least = min(
        (
            (size, (build_hypernet(ChunkedHypernet(hidden=(10,), chunk_size=size, chunk_embedding=8), 50_000, 5), size))
            for size in range(100, 400)
        ),
        key=lambda pair: pair[1][0].num_parameters,
    )
    ratio = (least[0].num_parameters + 5 * 96) / 50_000
    assert f"the minimum is {ratio:.4g}, with chunk_size {size}" in str(refusal.value)
    assert refusal.value.constraint == "compression_ratio"
    assert refusal.value.violation == pytest.approx(ratio / 0.01 - 1)


def test_ten_million_weights_are_solved_at_once() -> None:
    began = time.perf_counter()
    cost = ChunkCosts(10_000_000, 10_000_000, 5_000, 65, 32)
    least = cost.ratio(cost.least())
    for share in (1 - 1e-6, 1.0, 1.0001, 2.0, 100.0):
        cost.largest(least * share)
    assert time.perf_counter() - began < 1


@pytest.mark.timeout(5)
def test_a_ratio_beyond_all_sizes_is_met_by_one_chunk() -> None:
    costs = ChunkCosts(num_weights=2885058, target_weights=2885058, fixed=100, per_row=11, per_chunk=5)
    assert costs.largest(9.951030701015468e17) == 2885058
