import pytest
import torch
from pydantic import ValidationError

from hypercl.config.models.hypernet import ChunkedHypernet, FullHypernet
from hypercl.config.models.initialization import Xavier
from hypercl.hypernets import build_hypernet


def section(hidden: tuple[int, ...], chunk: int, chunk_embedding: int, task_embedding: int) -> ChunkedHypernet:
    return ChunkedHypernet(
        hidden=hidden, chunk_size=chunk, chunk_embedding=chunk_embedding, task_embedding=task_embedding
    )


@pytest.mark.parametrize(
    ("config", "num_weights", "chunks", "tasks", "total"),
    [
        (section((10, 10), 42_000, 96, 96), 478_410, 12, 5, 465_672),
        (section((25, 25), 78_000, 8, 24), 2_126_100, 28, 10, 2_029_939),
        (section((200, 250, 350), 7_500, 12, 128), 3_027_000, 404, 100, 2_816_448),
        (section((100, 150, 200), 5_500, 80, 48), 1_276_508, 233, 6, 1_182_678),
        (section((), 7_000, 32, 32), 468_540, 67, 6, 457_336),
    ],
    ids=["split_mnist", "permuted_mnist", "permuted_mnist_100", "zenke", "resnet32"],
)
def test_the_papers_settings_have_the_papers_sizes(config, num_weights, chunks, tasks, total):
    hypernet = build_hypernet(config, num_weights, tasks)
    assert hypernet.num_chunks == chunks
    assert hypernet.num_parameters + tasks * hypernet.task_embedding == total


def test_a_full_section_makes_one_chunk_of_all_weights():
    hypernet = build_hypernet(FullHypernet(hidden=(6,), task_embedding=4, activation="elu"), 90, 1)
    assert (hypernet.num_chunks, hypernet.chunk_size, hypernet.chunk_embedding) == (1, 90, 0)
    assert hypernet.activation == "elu"


def test_a_chunk_is_never_larger_than_the_target():
    assert build_hypernet(section((), 5000, 2, 3), 90, 1).chunk_size == 90


def test_a_full_hypernetwork_can_begin_as_if_each_tensor_had_a_layer_of_its_own() -> None:
    config = FullHypernet(hidden=(10,), task_embedding=2, init=Xavier(per_tensor=True))
    net = build_hypernet(config, 1020, 1, [("0.weight", (50, 20)), ("1.weight", (20, 1))])
    head = net.init(torch.Generator().manual_seed(1))["head"]
    weights, bias = head[:, :-1], head[:, -1]
    for part, size in ((weights[:1000], 1000), (weights[1000:], 20)):
        bound = (6 / (10 + size)) ** 0.5
        assert 0.95 * bound < part.abs().max() <= bound
    assert not bias.any()
    with pytest.raises(ValidationError, match="per_tensor needs hypernet full"):
        ChunkedHypernet(init=Xavier(per_tensor=True))
