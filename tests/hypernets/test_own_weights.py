"""A target's own weights behave as a hypernetwork that makes the same weights for every task."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.config.models import MLP, Finetune, HnetReplay, HnetTir
from hypercl.hypernets import OwnWeights
from hypercl.methods import own_weights
from hypercl.seeds import generator
from hypercl.targets import build_target, draw_weights


def test_every_task_has_the_same_weights_and_their_gradients_add_up() -> None:
    own = OwnWeights(3, lambda seed: torch.full((3,), float(seed % 7)))
    theta = own.init(generator(1, "theta"))
    weights, back = own.generate(theta, torch.zeros(2, 0))
    assert weights.shape == (2, 3)
    assert torch.equal(weights[0], theta["weights"])
    grads, of_embeddings = back(torch.tensor([[1.0, 2, 3], [10, 20, 30]]))
    assert grads["weights"].tolist() == [11, 22, 33]
    assert of_embeddings.shape == (2, 0)


def test_replicas_are_an_axis_in_front() -> None:
    own = OwnWeights(3, lambda _: torch.zeros(3))
    weights, back = own.generate({"weights": torch.arange(6.0).view(2, 3)}, torch.zeros(2, 4, 0))
    assert weights.shape == (2, 4, 3)
    assert back(torch.ones(2, 4, 3))[0]["weights"].tolist() == [[4, 4, 4], [4, 4, 4]]


def test_initial_weights_are_the_modules_own_and_depend_on_the_seed_alone() -> None:
    config, shape = MLP(hidden=(5,)), (1, 4, 4)
    before = torch.get_rng_state()
    first = draw_weights(config, shape, 3, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, draw_weights(config, shape, 3, seed=1))
    assert not torch.equal(first, draw_weights(config, shape, 3, seed=2))
    target = build_target(config, shape, 3)
    assert first.shape == (target.num_weights,)
    bound = (1 / 16) ** 0.5  # torch's own: uniform up to 1 / sqrt(fan-in)
    matrix = next(iter(target.split(first).values()))
    assert matrix.abs().max() <= bound
    assert matrix.abs().max() > 0.9 * bound


def test_a_step_on_own_weights_is_that_of_the_module_alone() -> None:
    config, shape = MLP(hidden=(5,)), (1, 4, 4)
    target = build_target(config, shape, 3)
    own = own_weights(config, target, (), Finetune())
    theta = own.init(generator(1, "theta"))
    inputs, labels = torch.rand(8, *shape), torch.arange(8) % 3

    def loss(weights: Tensor) -> Tensor:
        return cross_entropy(target(weights, {}, inputs, training=True)[0], labels)

    weights, back = own.generate(theta, torch.zeros(1, 0))
    leaf = weights[0].clone().requires_grad_()
    (wanted,) = torch.autograd.grad(loss(leaf), leaf)
    assert torch.equal(back(wanted[None])[0]["weights"], wanted)


@pytest.mark.parametrize("method", [HnetReplay, HnetTir])
def test_the_papers_own_networks_begin_by_xavier_with_zero_biases_where_asked(method: type) -> None:
    config, shape = MLP(hidden=(50, 40), batch_norm=True), (1, 8, 8)
    target = build_target(config, shape, 3)
    seed = generator(1, "theta")
    drawn = own_weights(config, target, (), method(own_weights_init="xavier")).init(seed)["weights"]
    again = own_weights(config, target, (), method(own_weights_init="xavier")).init(seed)["weights"]
    assert torch.equal(drawn, again)
    as_module = own_weights(config, target, (), method()).init(seed)["weights"]
    assert torch.equal(as_module, draw_weights(config, shape, 3, seed.initial_seed()))
    for name, value in target.split(drawn).items():
        if value.ndim > 1:
            bound = (6 / sum(value.shape)) ** 0.5
            assert 0.9 * bound < value.abs().max() <= bound, name
        elif name.endswith("bias"):
            assert not value.any(), name
        else:  # the scale of a normalisation
            assert (value == 1).all(), name
