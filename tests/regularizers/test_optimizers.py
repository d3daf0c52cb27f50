import pytest
import torch
from torch import Tensor

from hypercl.config.models.training import SGD, Adam, AdamW, RMSprop
from hypercl.regularizers import build_optimizer

SETTINGS = {
    "adam": (Adam(), torch.optim.Adam, {}),
    "adam with decay": (Adam(weight_decay=0.1), torch.optim.Adam, {"weight_decay": 0.1}),
    "adam with other betas": (Adam(betas=(0.0, 0.5), eps=1e-3), torch.optim.Adam, {"betas": (0.0, 0.5), "eps": 1e-3}),
    "adamw": (AdamW(weight_decay=0.1), torch.optim.AdamW, {"weight_decay": 0.1}),
    "adamw without decay": (AdamW(), torch.optim.AdamW, {"weight_decay": 0.0}),
    "sgd": (SGD(momentum=0.0), torch.optim.SGD, {}),
    "sgd with momentum": (SGD(momentum=0.9), torch.optim.SGD, {"momentum": 0.9}),
    "sgd with decay": (SGD(momentum=0.8, weight_decay=0.1), torch.optim.SGD, {"momentum": 0.8, "weight_decay": 0.1}),
    "nesterov": (
        SGD(momentum=0.9, nesterov=True, weight_decay=0.1),
        torch.optim.SGD,
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "rmsprop": (RMSprop(), torch.optim.RMSprop, {}),
    "rmsprop with decay": (
        RMSprop(alpha=0.9, eps=1e-3, weight_decay=0.1),
        torch.optim.RMSprop,
        {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
    ),
    "rmsprop with momentum": (RMSprop(momentum=0.9), torch.optim.RMSprop, {"momentum": 0.9}),
    "centered rmsprop": (
        RMSprop(alpha=0.8, momentum=0.5, centered=True),
        torch.optim.RMSprop,
        {"alpha": 0.8, "momentum": 0.5, "centered": True},
    ),
}
each_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())


def start(dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "weight": torch.randn(7, 5, generator=generator, dtype=dtype),
        "bias": torch.randn(7, generator=generator, dtype=dtype),
    }


def gradients(params: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    scale = 10 ** (step % 5 - 2)
    return {name: scale * torch.randn(p.shape, generator=generator, dtype=p.dtype) for name, p in params.items()}


def rate(step: int) -> float:
    """A scheduled rate, another one at each step."""
    return 1e-2 * 0.95**step


@each_setting
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["64", "32"])
def test_sixty_steps_equal_those_of_torch_and_each_lookahead_the_step_then_taken(setting, dtype, tolerance):
    config, kind, keywords = setting
    ours = start(dtype)
    optimizer = build_optimizer(config)
    state = optimizer.init(ours)
    theirs = {name: torch.nn.Parameter(p.clone()) for name, p in ours.items()}
    reference = kind(theirs.values(), lr=1.0, **keywords)
    for step in range(60):
        grads = gradients(ours, step)
        lookahead = optimizer.look_ahead(ours, grads, state, rate(step))
        for name, parameter in theirs.items():
            parameter.grad = grads[name].clone()
        reference.param_groups[0]["lr"] = rate(step)
        reference.step()
        optimizer.step_(ours, grads, state, rate(step))
        for name in ours:
            assert torch.equal(lookahead[name], ours[name])
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name].detach(), rtol=tolerance, atol=tolerance)


@each_setting
def test_a_look_ahead_changes_nothing(setting):
    config, _, _ = setting
    params = start(torch.float32)
    grads = gradients(params, 1)
    optimizer = build_optimizer(config)
    state = optimizer.init(params)
    optimizer.step_(params, grads, state, 0.1)
    given = {**params, **{f"g.{n}": g for n, g in grads.items()}, **{f"s.{n}": s for n, s in state.items()}}
    before = {name: tensor.clone() for name, tensor in given.items()}
    optimizer.look_ahead(params, grads, state, 0.1)
    assert all(torch.equal(given[name], before[name]) for name in given)


@each_setting
def test_a_step_leaves_the_gradients_and_the_shapes_of_the_state(setting):
    config, _, _ = setting
    params = start(torch.float32)
    optimizer, grads = build_optimizer(config), gradients(params, 1)
    state, kept = optimizer.init(params), {name: grad.clone() for name, grad in grads.items()}
    shapes = {n: (t.shape, t.dtype) for n, t in state.items()}
    optimizer.step_(params, grads, state, 0.1)
    assert shapes == {n: (t.shape, t.dtype) for n, t in state.items()}
    assert all(torch.equal(grads[name], kept[name]) for name in kept)


@each_setting
def test_a_gradient_may_lie_in_memory_in_any_order(setting):
    config, _, _ = setting
    optimizer, results = build_optimizer(config), []
    for turned in (False, True):
        params = start(torch.float32)
        grads = gradients(params, 1)
        if turned:
            grads["weight"] = grads["weight"].mT.contiguous().mT
        assert grads["weight"].is_contiguous() != turned
        optimizer.step_(params, grads, optimizer.init(params), 0.1)
        results.append(params["weight"])
    assert torch.equal(*results)


@each_setting
def test_replicas_with_rates_of_their_own_take_the_steps_they_would_take_alone(setting):
    config, _, _ = setting
    optimizer, rates = build_optimizer(config), (0.1, 1e-3)
    alone = [start(torch.float64), {name: 2 * p for name, p in start(torch.float64).items()}]
    bundle = {name: torch.stack([params[name] for params in alone]) for name in alone[0]}
    states, state = [optimizer.init(params) for params in alone], optimizer.init(bundle)
    for step in range(4):
        grads = [gradients(params, 10 * step + index) for index, params in enumerate(alone)]
        for params, own, grad, lr in zip(alone, states, grads, rates, strict=True):
            optimizer.step_(params, grad, own, lr)
        together = {name: torch.stack([grad[name] for grad in grads]) for name in bundle}
        ahead = optimizer.look_ahead(bundle, together, state, rates)
        optimizer.step_(bundle, together, state, rates)
        assert all(torch.equal(ahead[name], bundle[name]) for name in bundle)
    for index, params in enumerate(alone):
        for name, param in params.items():
            torch.testing.assert_close(bundle[name][index], param, rtol=1e-13, atol=1e-13)


def test_adams_first_step_in_float32_is_the_rate_times_the_sign():
    """A correction computed as a plain float32 power would be off by 1e-5 here."""
    params = {"w": torch.zeros(3)}
    optimizer = build_optimizer(Adam(eps=1e-30))
    optimizer.step_(params, {"w": torch.tensor([3.0, -1e-3, 40.0])}, optimizer.init(params), 0.5)
    torch.testing.assert_close(params["w"], torch.tensor([-0.5, 0.5, -0.5]), rtol=5e-7, atol=0)


def test_centered_rmsprop_bears_a_gradient_that_never_changes():
    """A variance of zero rounds to less than zero, of which torch takes the root."""
    params, grads = {"w": torch.zeros(50)}, {"w": torch.linspace(0.1, 3.0, 50)}
    optimizer = build_optimizer(RMSprop(alpha=0.5, centered=True))
    state = optimizer.init(params)
    for _ in range(40):
        optimizer.step_(params, grads, state, 1e-3)
    assert params["w"].isfinite().all()
    assert ((state["square/w"] - state["mean/w"] ** 2) < 0).any()
