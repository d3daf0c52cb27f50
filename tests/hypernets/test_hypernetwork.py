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
    normalization=st.sampled_from(["none", "layer"]),
    dropout=st.sampled_from([0.0, 0.4]),
    noise=st.integers(0, 3),
)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(hypernet: Hypernetwork, seed: int = 1) -> dict[str, Tensor]:
    """Parameters in float64, biases included."""
    return {
        name: torch.randn(p.shape, generator=generator(seed)).double()
        for name, p in hypernet.init(generator(1)).items()
    }


def one_chunk_at_a_time(
    hypernet: Hypernetwork, theta: dict[str, Tensor], embedding: Tensor, drawn: dict[str, Tensor], task: int
) -> Tensor:
    """The definition, as a loop: the generated weights of one task."""
    parts = []
    noise = drawn.get("noise", torch.zeros(hypernet.noise, dtype=torch.float64))
    for chunk in range(hypernet.num_chunks):
        own = theta["chunks"][chunk] if hypernet.chunk_embedding else embedding[:0]
        hidden = torch.cat([embedding, own, noise])
        for layer in range(len(hypernet.hidden)):
            name = f"trunk.{layer}"
            hidden = functional.linear(hidden, theta[f"{name}.weight"], theta[f"{name}.bias"])
            if hypernet.normalization == "layer":
                hidden = (hidden - hidden.mean()) / (hidden.var(correction=0) + 1e-5).sqrt()
                hidden = hidden * theta[f"{name}.scale"] + theta[f"{name}.shift"]
            hidden = {"relu": torch.relu, "elu": functional.elu, "tanh": torch.tanh}[hypernet.activation](hidden)
            if f"{name}.mask" in drawn:
                hidden = hidden * drawn[f"{name}.mask"][task, chunk]
        parts.append(functional.linear(hidden, theta["head"][:, :-1], theta["head"][:, -1]))
    return torch.cat(parts)[: hypernet.num_weights]


def draws(hypernet: Hypernetwork, tasks: int, seed: int) -> dict[str, Tensor]:
    return {name: value.double() for name, value in hypernet.draw(tasks, generator(seed)).items()}


@settings(max_examples=100, deadline=None)
@given(hypernet=hypernets, tasks=st.integers(1, 4), training=st.booleans())
def test_one_batched_pass_equals_a_loop_over_tasks_and_chunks(hypernet, tasks, training):
    theta = parameters(hypernet)
    embeddings = hypernet.init_embeddings(tasks, generator(2)).double()
    drawn = draws(hypernet, tasks, 3) if training else None
    weights = hypernet(theta, embeddings, drawn)
    assert weights.shape == (tasks, hypernet.num_weights)
    loop = [
        one_chunk_at_a_time(hypernet, theta, embedding, drawn or {}, task) for task, embedding in enumerate(embeddings)
    ]
    torch.testing.assert_close(weights, torch.stack(loop), rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(hypernet=hypernets, training=st.booleans())
def test_a_leading_axis_of_replicas_equals_separate_passes(hypernet, training):
    thetas = [parameters(hypernet, seed) for seed in (1, 2)]
    embeddings = torch.randn(2, 3, hypernet.task_embedding, dtype=torch.float64, generator=generator(3))
    drawn = [draws(hypernet, 3, seed) if training else None for seed in (4, 5)]
    stacked = {name: torch.stack([own[name] for own in drawn]) for name in drawn[0]} if drawn[0] else None
    theta = {name: torch.stack([own[name] for own in thetas]) for name in thetas[0]}
    together = hypernet(theta, embeddings, stacked)
    separately = torch.stack([hypernet(*each) for each in zip(thetas, embeddings, drawn, strict=True)])
    torch.testing.assert_close(together, separately, rtol=1e-9, atol=1e-9)


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
    gradient = theta["head"].grad[:, -1]
    assert gradient is not None
    assert gradient.tolist() == [1, 1, 1, 1, 1, 0, 0]


@settings(deadline=None, max_examples=40)
@given(
    replicas=st.sampled_from([(), (2,)]),
    tasks=st.integers(1, 3),
    hidden=st.sampled_from([(), (3,), (4, 3)]),
    chunk_size=st.integers(1, 9),
    dropout=st.booleans(),
)
def test_the_way_back_is_that_of_autograd(replicas, tasks, hidden, chunk_size, dropout):
    hypernet = Hypernetwork(9, chunk_size, hidden, 2, 2, noise=1, dropout=0.5 if dropout else 0.0)
    draw = generator(1)
    theta = {
        name: torch.randn(*replicas, *shape, dtype=torch.float64, generator=draw).requires_grad_()
        for name, shape in hypernet.shapes.items()
    }
    embeddings = torch.randn(*replicas, tasks, 2, dtype=torch.float64, generator=draw).requires_grad_()
    drawn = hypernet.draw(tasks, draw) if dropout and not replicas else None
    pull = torch.randn(*replicas, tasks, 9, dtype=torch.float64, generator=draw)

    expected = hypernet(theta, embeddings, drawn)
    *grads, of_embeddings = torch.autograd.grad(expected, [*theta.values(), embeddings], pull)
    weights, back = hypernet.generate(theta, embeddings, drawn)
    found, own = back(pull)
    torch.testing.assert_close(weights, expected.detach())
    torch.testing.assert_close(own, of_embeddings)
    assert list(found) == list(theta)
    for gradient, wanted in zip(found.values(), grads, strict=True):
        torch.testing.assert_close(gradient, wanted)


def test_the_hidden_activations_are_what_the_head_reads():
    hypernet = Hypernetwork(num_weights=10, chunk_size=4, hidden=(6,), task_embedding=2, chunk_embedding=3)
    theta = parameters(hypernet)
    embeddings = torch.randn(2, 2, dtype=torch.float64, generator=generator(1))
    hidden = hypernet.hidden_activations(theta, embeddings)
    assert hidden.shape == (2, 3, 6)
    made = functional.linear(hidden, theta["head"][:, :-1], theta["head"][:, -1]).flatten(1)[:, :10]
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
    layers = [(theta["trunk.0.weight"], theta["trunk.0.bias"]), (theta["head"][:, :-1], theta["head"][:, -1])]
    for (weight, bias), (fan_in, fan_out) in zip(layers, [(100, 50), (50, 10_000)], strict=True):
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert weight.shape == (fan_out, fan_in)
        assert 0.98 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)
        assert not bias.any()
    assert theta["chunks"].std().item() == pytest.approx(1, rel=0.3)


def test_the_seed_alone_decides_the_initial_values():
    hypernet = Hypernetwork(num_weights=40, chunk_size=10, hidden=(4,), task_embedding=3, chunk_embedding=2)
    first, again, other = (hypernet.init(generator(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["chunks"], other["chunks"])
    assert not torch.equal(hypernet.init_embeddings(2, generator(1)), hypernet.init_embeddings(2, generator(2)))
    assert hypernet.init_embeddings(5000, generator(1)).std().item() == pytest.approx(1, rel=0.05)


def test_noise_is_one_vector_for_all_tasks_and_chunks_and_nothing_in_evaluation():
    hypernet = Hypernetwork(num_weights=8, chunk_size=2, hidden=(), task_embedding=1, chunk_embedding=1, noise=3)
    theta, embeddings = parameters(hypernet), torch.ones(2, 1, dtype=torch.float64)
    drawn = draws(hypernet, 2, 1)
    read = hypernet.hidden_activations(theta, embeddings, drawn)[..., 2:]
    assert torch.equal(read, drawn["noise"].expand(2, 4, 3))
    assert not hypernet.hidden_activations(theta, embeddings)[..., 2:].any()
    values = torch.cat([hypernet.draw(2, generator(seed))["noise"] for seed in range(500)])
    assert float(values.mean()) == pytest.approx(0, abs=0.1)
    assert float(values.std()) == pytest.approx(1, rel=0.1)


def test_dropout_keeps_the_mean_of_what_it_does_not_drop():
    hypernet = Hypernetwork(8, chunk_size=2, hidden=(50, 20), task_embedding=2, chunk_embedding=1, dropout=0.25)
    drawn = hypernet.draw(30, generator(1))
    assert {name: tuple(mask.shape) for name, mask in drawn.items()} == {
        "trunk.0.mask": (30, 4, 50),
        "trunk.1.mask": (30, 4, 20),
    }
    for mask in drawn.values():
        assert mask.unique().tolist() == [0.0, pytest.approx(4 / 3)]
        assert float(mask.mean()) == pytest.approx(1, rel=0.05)


def test_a_layer_norm_does_not_mix_tasks_or_chunks():
    hypernet = Hypernetwork(
        num_weights=20, chunk_size=5, hidden=(6, 4), task_embedding=3, chunk_embedding=2, normalization="layer"
    )
    theta, embeddings = parameters(hypernet), torch.randn(3, 3, dtype=torch.float64, generator=generator(1))
    torch.testing.assert_close(hypernet(theta, embeddings)[:1], hypernet(theta, embeddings[:1]))
    # its scale and shift are learned: both change the weights
    for name in ("trunk.1.scale", "trunk.1.shift"):
        other = hypernet({**theta, name: theta[name] + 1}, embeddings)
        assert not torch.allclose(other, hypernet(theta, embeddings))


def test_a_layer_norm_begins_with_scale_one_and_shift_zero():
    hypernet = Hypernetwork(num_weights=20, chunk_size=20, hidden=(6,), task_embedding=3, normalization="layer")
    theta = hypernet.init(generator(1))
    assert (theta["trunk.0.scale"] == 1).all()
    assert not theta["trunk.0.shift"].any()


def test_the_embedding_scale_is_the_standard_deviation_of_both_kinds_of_embeddings():
    hypernet = Hypernetwork(
        num_weights=4000, chunk_size=10, hidden=(), task_embedding=50, chunk_embedding=20, embedding_scale=0.1
    )
    assert hypernet.init(generator(1))["chunks"].std().item() == pytest.approx(0.1, rel=0.05)
    assert hypernet.init_embeddings(400, generator(1)).std().item() == pytest.approx(0.1, rel=0.05)


@settings(max_examples=40, deadline=None)
@given(hypernet=hypernets, tasks=st.integers(1, 4))
def test_the_first_layer_is_a_sum_of_terms_of_the_task_and_of_the_chunk(hypernet, tasks):
    theta = parameters(hypernet)
    embeddings = torch.randn(tasks, hypernet.task_embedding, generator=generator(2)).double()
    of_tasks, of_chunks = hypernet.first_layer_terms(theta, embeddings)
    assert (len(of_tasks), len(of_chunks)) == (tasks, hypernet.num_chunks)
    sums = (of_tasks.unsqueeze(1) + of_chunks).flatten(0, 1)
    found = hypernet.hidden_from_first_layer(theta, sums).unflatten(0, (tasks, -1))
    torch.testing.assert_close(found, hypernet.hidden_activations(theta, embeddings))


def test_a_full_hypernetwork_has_one_chunk_whose_term_is_zero():
    hypernet = Hypernetwork(num_weights=20, chunk_size=20, hidden=(6,), task_embedding=3)
    theta, embeddings = parameters(hypernet), torch.ones(2, 3).double()
    of_tasks, of_chunks = hypernet.first_layer_terms(theta, embeddings)
    assert of_tasks.shape == (2, 6)
    assert torch.equal(of_chunks, torch.zeros(1, 6).double())


def test_tasks_of_a_linear_hypernetwork_differ_by_one_vector_that_all_chunks_share():
    hypernet = Hypernetwork(40, chunk_size=10, hidden=(), task_embedding=3, chunk_embedding=2)
    weights = hypernet(parameters(hypernet), torch.randn(2, 3, generator=generator(2)).double())
    first, second = weights.unflatten(1, (4, 10))
    difference = second - first
    torch.testing.assert_close(difference, difference[:1].expand(4, 10))
    assert difference.abs().min() > 0
