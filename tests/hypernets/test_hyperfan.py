"""Variances of what a hypernetwork generates at the start, against the formulas."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hypercl.config.models.hypernet import (
    AnyHypernet,
    ChunkedHypernet,
    FullHypernet,
)
from hypercl.config.models.initialization import HyperfanIn, HyperfanOut, Normal, Xavier
from hypercl.hypernets import Hypernetwork, build_hypernet
from hypercl.hypernets.initialize import chunk_variances, tensors_of

SEEDS = 200
SHAPES = [
    ("conv.weight", (8, 5, 3, 3)),
    ("conv.bias", (8,)),
    ("norm.weight", (8,)),
    ("norm.bias", (8,)),
    ("free.weight", (20, 32)),
    ("last.weight", (30, 20)),
    ("last.bias", (30,)),
]
NUM_WEIGHTS = sum(torch.Size(shape).numel() for _, shape in SHAPES)


def built(config: AnyHypernet) -> Hypernetwork:
    return build_hypernet(config, NUM_WEIGHTS, num_tasks=1, target_shapes=SHAPES)


def generated(hypernet: Hypernetwork, training: bool = False) -> Iterator[Tensor]:
    """The weights of one task, for many seeds of parameters, embedding and noise."""
    for seed in range(SEEDS):
        draw = torch.Generator().manual_seed(seed)
        theta, embedding = hypernet.init(draw), hypernet.init_embeddings(1, draw)
        yield hypernet(theta, embedding, hypernet.draw(1, draw) if training else None)[0]


def mean_squares(hypernet: Hypernetwork, training: bool = False) -> dict[str, float]:
    sizes = [torch.Size(shape).numel() for _, shape in SHAPES]
    squares = torch.stack([weights.double() ** 2 for weights in generated(hypernet, training)]).mean(0)
    return {name: float(part.mean()) for (name, _), part in zip(SHAPES, squares.split(sizes), strict=True)}


TRUNKS = {
    "linear": {"hidden": ()},
    "relu": {"hidden": (40, 30)},
    "tanh": {"hidden": (40,), "activation": "tanh"},
    "sigmoid": {"hidden": (40, 30), "activation": "sigmoid"},
    "normalised": {"hidden": (40, 30), "activation": "elu", "normalization": "layer"},
    "noise and dropout": {"hidden": (40, 30), "noise": 10, "dropout": 0.3, "embedding_scale": 0.7},
}


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_full_hypernetwork_generates_the_variances_of_the_formula(trunk: str) -> None:
    for config, bias, last in [(HyperfanIn(), 1.0, 1 / 20), (HyperfanIn(gain=1.0), 0.5, 0.5 / 20)]:
        hypernet = built(FullHypernet(**TRUNKS[trunk], task_embedding=24, init=config))
        found = mean_squares(hypernet, training=trunk == "noise and dropout")
        assert found["conv.weight"] == pytest.approx(config.gain / (2 * 5 * 9), rel=0.15)
        assert found["conv.bias"] == pytest.approx(bias, rel=0.15)
        assert found["free.weight"] == pytest.approx(config.gain / 32, rel=0.15)
        assert found["last.weight"] == pytest.approx(last, rel=0.15)
        assert found["last.bias"] == pytest.approx(bias, rel=0.15)


def test_fan_out_divides_by_the_units_that_an_input_feeds() -> None:
    found = mean_squares(built(FullHypernet(hidden=(40,), task_embedding=24, init=HyperfanOut())))
    assert found["conv.weight"] == pytest.approx(2 / (8 * 9), rel=0.15)
    assert found["free.weight"] == pytest.approx(2 / 20, rel=0.15)
    assert found["last.weight"] == pytest.approx(2 / 30, rel=0.15)
    assert found["conv.bias"] == pytest.approx(2 * (1 - 5 / 8), rel=0.15)
    assert found["last.bias"] == pytest.approx(2 * (1 - 20 / 30), rel=0.15)


def test_a_bias_of_a_layer_with_more_inputs_than_units_begins_at_zero_with_fan_out() -> None:
    shapes = [("weight", (4, 9)), ("bias", (4,))]
    hypernet = build_hypernet(FullHypernet(task_embedding=6, init=HyperfanOut()), 40, 1, shapes)
    weights = next(generated(hypernet))
    assert not weights[36:].any()
    assert weights[:36].all()


def test_a_normalisation_begins_as_the_identity_where_all_weights_are_generated_at_once() -> None:
    for weights in generated(built(FullHypernet(task_embedding=6, init=HyperfanIn()))):
        scale, shift = weights[8 * 45 + 8 :][:16].chunk(2)
        assert (scale == 1).all()
        assert not shift.any()


@pytest.mark.parametrize(
    ("trunk", "config", "scale"),
    [
        ("linear", HyperfanIn(), 1.0),
        ("relu", HyperfanIn(), 0.1),
        ("relu", HyperfanOut(), 1.0),
        ("tanh", HyperfanIn(), 1.0),
        ("sigmoid", HyperfanIn(), 1.0),
        ("sigmoid", HyperfanOut(), 0.1),
        ("noise and dropout", HyperfanIn(), 1.0),
    ],
)
def test_each_chunk_has_the_mean_of_the_variances_that_its_weights_ask_for(
    trunk: str, config: HyperfanIn | HyperfanOut, scale: float
) -> None:
    options = {**TRUNKS[trunk], "embedding_scale": scale}
    section = ChunkedHypernet(**options, chunk_size=300, task_embedding=24, chunk_embedding=32, init=config)
    hypernet = built(section)
    found = torch.stack([weights**2 for weights in generated(hypernet, trunk == "noise and dropout")]).mean(0)
    asked = np.concatenate([np.full(torch.Size(shape).numel(), asked_for(name, config)) for name, shape in SHAPES])
    for chunk in range(hypernet.num_chunks):
        part = slice(300 * chunk, 300 * (chunk + 1))
        assert float(found[part].mean()) == pytest.approx(asked[part].mean(), rel=0.15)


def asked_for(name: str, config: HyperfanIn | HyperfanOut) -> float:
    """What a tensor asks of its chunks, written out."""
    fans = {"conv.weight": (45, 72), "free.weight": (32, 20), "last.weight": (20, 30)}
    if name in fans:
        return 2 / fans[name][isinstance(config, HyperfanOut)]
    return {"conv.bias": 1 / (3 * 45), "last.bias": 1 / (3 * 20), "norm.weight": 1.0, "norm.bias": 0.0}[name]


@pytest.mark.parametrize("trunk", ["linear", "sigmoid"])
def test_tasks_differ_in_every_chunk_of_a_chunked_hyperfan(trunk: str) -> None:
    """The task embedding is half of the power in the weakest chunk, so it is not lost in the others either."""
    hypernet = built(ChunkedHypernet(**TRUNKS[trunk], chunk_size=300, init=HyperfanIn()))
    draw = torch.Generator().manual_seed(1)
    weights = hypernet(hypernet.init(draw), hypernet.init_embeddings(2, draw))
    for first, second in zip(weights[0].split(300), weights[1].split(300), strict=True):
        assert 0.03 < float((first - second).square().mean() / (2 * first.square().mean())) < 0.8


def test_a_chunk_of_shifts_alone_gets_the_least_variance_of_the_others() -> None:
    tensors = tensors_of([("a.weight", (4, 5)), ("norm.weight", (20,)), ("norm.bias", (20,))])
    assert chunk_variances(tensors, "in", 2.0, 20).tolist() == pytest.approx([0.4, 1.0, 0.4])
    assert chunk_variances(tensors, "in", 2.0, 40).tolist() == pytest.approx([0.7, 0.7])


def test_a_tensor_is_known_by_its_shape_and_the_weight_beside_it() -> None:
    shapes = [("scale", ()), ("prelu.weight", (3,)), ("rnn.beta", (2,)), ("weight", (4, 3)), ("bias", (4,))]
    assert [tensor.role for tensor in tensors_of(shapes)] == ["scale", "scale", "shift", "weight", "bias"]
    convolution, bias = tensors_of([("c.weight", (6, 2, 5, 5)), ("c.bias", (6,))])
    assert (convolution.fan_in, convolution.fan_out, convolution.biased) == (50, 150, True)
    assert (bias.fan_in, bias.fan_out) == (50, 150)


@pytest.mark.parametrize("kind", [FullHypernet, ChunkedHypernet])
@pytest.mark.parametrize("hidden", [(), (32,)], ids=["linear", "deep"])
def test_activations_of_a_deep_target_keep_their_size_with_hyperfan_and_vanish_without(
    kind: type[FullHypernet | ChunkedHypernet], hidden: tuple[int, ...]
) -> None:
    """Twelve ReLU layers of 32 units; sizes are root mean squares of the last one's activations."""
    layers = [nn.Linear(32, 32, bias=False) for _ in range(12)]
    target = nn.Sequential(*[each for layer in layers for each in (layer, nn.ReLU())])
    shapes = [(name, tuple(value.shape)) for name, value in target.named_parameters()]
    total = sum(torch.Size(shape).numel() for _, shape in shapes)
    options = {"chunk_size": 4000, "chunk_embedding": 8} if kind is ChunkedHypernet else {}

    def size(init: Xavier | Normal | HyperfanIn | HyperfanOut) -> float:
        hypernet = build_hypernet(kind(hidden=hidden, init=init, task_embedding=32, **options), total, 1, shapes)
        sizes = []
        for seed in range(5):
            draw = torch.Generator().manual_seed(seed)
            weights = hypernet(hypernet.init(draw), hypernet.init_embeddings(1, draw))[0]
            parts = weights.split([torch.Size(shape).numel() for _, shape in shapes])
            own = {name: part.view(shape) for (name, shape), part in zip(shapes, parts, strict=True)}
            outputs = torch.func.functional_call(target, own, (torch.randn(64, 32, generator=draw),))
            sizes.append(float(outputs.square().mean().sqrt()))
        return float(np.median(sizes))

    assert 0.1 < size(HyperfanIn()) < 5
    assert 0.1 < size(HyperfanOut()) < 5
    assert size(Xavier()) < 0.01
    assert size(Normal()) < 0.01


def test_normal_weights_have_the_given_standard_deviation() -> None:
    hypernet = built(ChunkedHypernet(hidden=(50,), chunk_size=400, init=Normal(std=0.05), embedding_scale=0.5))
    theta = hypernet.init(torch.Generator().manual_seed(1))
    assert float(theta["trunk.0.weight"].std()) == pytest.approx(0.05, rel=0.05)
    assert float(theta["head"][:, :-1].std()) == pytest.approx(0.05, rel=0.05)
    assert float(theta["chunks"].std()) == pytest.approx(0.5, rel=0.1)
    assert not theta["head"][:, -1].any()
    assert not theta["trunk.0.bias"].any()


def test_a_hyperfan_without_shapes_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the shapes"):
        build_hypernet(FullHypernet(init=HyperfanIn()), 10, 1).init(torch.Generator())
