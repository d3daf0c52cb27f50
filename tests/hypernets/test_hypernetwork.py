import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from hypercl.hypernets import Hypernetwork

hypernets = st.builds(
    Hypernetwork,
    num_weights=st.integers(1, 60),
    chunk_size=st.integers(1, 70),
    hidden=st.lists(st.integers(1, 6), max_size=3).map(tuple),
    task_embedding=st.integers(1, 5),
    chunk_embedding=st.integers(1, 5),
    activation=st.sampled_from(["relu", "elu", "tanh"]),
)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(hypernet: Hypernetwork, seed: int = 1) -> dict[str, Tensor]:
    """Parameters in float64, biases included."""
    return {
        name: torch.randn(p.shape, generator=generator(seed)).double()
        for name, p in hypernet.init(generator(1)).items()
    }


def one_chunk_at_a_time(hypernet: Hypernetwork, theta: dict[str, Tensor], embedding: Tensor) -> Tensor:
    """The definition, as a loop: the generated weights of one task."""
    parts = []
    for chunk in range(hypernet.num_chunks):
        hidden = torch.cat([embedding, theta["chunks"][chunk]]) if hypernet.chunk_embedding else embedding
        for layer in range(len(hypernet.hidden)):
            hidden = functional.linear(hidden, theta[f"trunk.{layer}.weight"], theta[f"trunk.{layer}.bias"])
            hidden = {"relu": torch.relu, "elu": functional.elu, "tanh": torch.tanh}[hypernet.activation](hidden)
        parts.append(functional.linear(hidden, theta["head.weight"], theta["head.bias"]))
    return torch.cat(parts)[: hypernet.num_weights]


@settings(max_examples=60, deadline=None)
@given(hypernet=hypernets, tasks=st.integers(1, 4))
def test_one_batched_pass_equals_a_loop_over_tasks_and_chunks(hypernet, tasks):
    theta = parameters(hypernet)
    embeddings = hypernet.init_embeddings(tasks, generator(2)).double()
    weights = hypernet(theta, embeddings)
    assert weights.shape == (tasks, hypernet.num_weights)
    expected = torch.stack([one_chunk_at_a_time(hypernet, theta, embedding) for embedding in embeddings])
    torch.testing.assert_close(weights, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(hypernet=hypernets)
def test_a_leading_axis_of_replicas_equals_separate_passes(hypernet):
    thetas = [parameters(hypernet, seed) for seed in (1, 2)]
    embeddings = torch.randn(2, 3, hypernet.task_embedding, dtype=torch.float64, generator=generator(3))
    together = hypernet({name: torch.stack([theta[name] for theta in thetas]) for name in thetas[0]}, embeddings)
    separately = torch.stack([hypernet(theta, own) for theta, own in zip(thetas, embeddings, strict=True)])
    torch.testing.assert_close(together, separately, rtol=1e-12, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(hypernet=hypernets)
def test_parameters_are_counted_as_they_are_made(hypernet):
    theta = hypernet.init(generator(1))
    assert sum(parameter.numel() for parameter in theta.values()) == hypernet.num_parameters


def test_a_full_hypernetwork_is_one_chunk_without_an_embedding():
    hypernet = Hypernetwork(num_weights=50, chunk_size=50, hidden=(7,), task_embedding=3)
    assert hypernet.num_chunks == 1
    assert "chunks" not in hypernet.init(generator(1))
    assert hypernet.num_parameters == 3 * 7 + 7 + 7 * 50 + 50


def test_several_chunks_without_an_embedding_are_refused():
    with pytest.raises(ValueError, match="3 chunks need a chunk embedding"):
        Hypernetwork(num_weights=50, chunk_size=20, hidden=(), task_embedding=3)


def test_what_is_cut_from_the_last_chunk_gets_no_gradient():
    hypernet = Hypernetwork(num_weights=5, chunk_size=5 + 2, hidden=(3,), task_embedding=2, chunk_embedding=2)
    theta = {name: parameter.requires_grad_() for name, parameter in parameters(hypernet).items()}
    hypernet(theta, torch.ones(1, 2, dtype=torch.float64)).sum().backward()
    gradient = theta["head.bias"].grad
    assert gradient is not None
    assert gradient.tolist() == [1, 1, 1, 1, 1, 0, 0]


def test_the_hidden_activations_are_what_the_head_reads():
    hypernet = Hypernetwork(num_weights=10, chunk_size=4, hidden=(6,), task_embedding=2, chunk_embedding=3)
    theta = parameters(hypernet)
    embeddings = torch.randn(2, 2, dtype=torch.float64, generator=generator(1))
    hidden = hypernet.hidden_activations(theta, embeddings)
    assert hidden.shape == (2, 3, 6)
    made = functional.linear(hidden, theta["head.weight"], theta["head.bias"]).flatten(1)[:, :10]
    torch.testing.assert_close(hypernet(theta, embeddings), made)


def test_the_task_embedding_comes_before_the_chunk_embedding():
    hypernet = Hypernetwork(num_weights=4, chunk_size=2, hidden=(), task_embedding=1, chunk_embedding=2)
    theta = parameters(hypernet)
    hidden = hypernet.hidden_activations(theta, torch.tensor([[7.0]], dtype=torch.float64))
    assert hidden[0, :, 0].tolist() == [7.0, 7.0]
    torch.testing.assert_close(hidden[0, :, 1:], theta["chunks"])


def test_initial_weights_are_xavier_uniform_and_biases_zero():
    hypernet = Hypernetwork(num_weights=30_000, chunk_size=10_000, hidden=(50,), task_embedding=60, chunk_embedding=40)
    theta = hypernet.init(generator(3))
    for name, fan_in, fan_out in [("trunk.0", 100, 50), ("head", 50, 10_000)]:
        bound = (6 / (fan_in + fan_out)) ** 0.5
        weight = theta[f"{name}.weight"]
        assert weight.shape == (fan_out, fan_in)
        assert 0.98 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)
        assert not theta[f"{name}.bias"].any()
    assert theta["chunks"].std().item() == pytest.approx(1, rel=0.3)


def test_the_seed_alone_decides_the_initial_values():
    hypernet = Hypernetwork(num_weights=40, chunk_size=10, hidden=(4,), task_embedding=3, chunk_embedding=2)
    first, again, other = (hypernet.init(generator(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["chunks"], other["chunks"])
    assert not torch.equal(hypernet.init_embeddings(2, generator(1)), hypernet.init_embeddings(2, generator(2)))
    assert hypernet.init_embeddings(5000, generator(1)).std().item() == pytest.approx(1, rel=0.05)
