"""What the generators of inputs keep, draw and learn."""

from typing import Any

import pytest
import torch
from few_samples import FewSamples
from small_generators import OPTIONS, generative
from test_learners import batch, copied, learner, same, trained

from hypercl.config import UserError
from hypercl.methods import Learner, State, StepInfo

NAMES = tuple(OPTIONS)
NOW = StepInfo(2, 3, 1e-2)


def begun(method: Any, task: int = 2) -> State:
    return method.generator.start_task(trained(method, task)["generator"], task)


def drawn(method: Any, state: State, info: StepInfo = NOW) -> torch.Tensor:
    return method.generator.draw(method.generator.task_context(state, info.task), 5, info)


def go_on(method: Learner, state: State, steps: int = 5, task: int = 2) -> State:
    generator: Any = method.generator  # pyright: ignore[reportAttributeAccessIssue]
    context = generator.task_context(state, task)
    for step in range(steps):
        state, _ = generator.step(state, context, [batch(step)], StepInfo(task, step, 1e-2))
    return state


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("beta", [0.5, 0.0])
def test_what_is_drawn_does_not_change_while_a_task_is_learned(name: str, beta: float) -> None:
    changes = [] if name == "dgr" else [f"method.generator.beta={beta}"]
    method = generative(name, *changes)
    state = begun(method)
    before = drawn(method, state)
    after = go_on(method, copied(state))
    assert not same(after["theta"], state["theta"])
    assert not same(after["encoder"], state["encoder"])
    assert torch.equal(drawn(method, after), before)


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_new_at_each_step_and_of_the_seed(name: str) -> None:
    method = generative(name)
    state = begun(method)
    first = drawn(method, state)
    assert torch.equal(drawn(method, state), first)
    assert not torch.equal(drawn(method, state, StepInfo(2, 4, 1e-2)), first)
    assert not torch.equal(drawn(generative(name, "training.seed=2"), state), first)


@pytest.mark.parametrize("name", ["hnet_replay", "hnet_tir", "gaussian", "hnet_replay, classes"])
@pytest.mark.parametrize("replicas", [1, 2])
def test_decoders_that_are_not_kept_draw_the_same(name: str, replicas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    method: Any = generative(name, "method.generator.beta=0", f"training.replicas={replicas}")
    state = method.generator.start_task(method.init()["generator"], 2)
    whole = drawn(method, state)
    monkeypatch.setattr("hypercl.methods.generator.DECODERS_KEPT", 0)
    assert method.generator.task_context(state, 2).decoders is None
    torch.testing.assert_close(drawn(method, state), whole)
    decoders = 4 if "classes" in name else 2
    assert whole.shape == ((replicas,) if replicas > 1 else ()) + (decoders, 5, 1, 8, 8)


def test_a_decoder_draws_of_its_task_what_it_was_before_the_next() -> None:
    """The weights of each earlier task's decoder, generated alone, on the same codes."""
    method: Any = generative("hnet_replay")
    state, generator = begun(method), method.generator
    codes = generator._normal((2, 5, 3), "replayed", 2, 3)
    for task, inputs in enumerate(drawn(method, go_on(method, copied(state)))):
        weights = generator.spec.hypernet(state["theta"], state["embeddings"][task : task + 1])[0]
        told = torch.eye(3, 4)[task].expand(5, -1)
        logits, _ = generator.spec.target(weights, {}, torch.cat([codes[task], told], -1), training=False)
        torch.testing.assert_close(inputs.flatten(1), logits.sigmoid())


@pytest.mark.parametrize(("condition", "inputs"), [("one_hot", 7), ("gaussian", 7), ("none", 3)])
def test_a_condition_lies_beside_the_code(condition: str, inputs: int) -> None:
    method: Any = generative("hnet_replay", f"method.generator.condition={condition}")
    assert method.generator.spec.target.input_shape == (inputs,)
    conditions = method.generator.conditions
    assert conditions.shape == (3, inputs - 3)
    if condition != "none":
        assert not torch.equal(conditions[0], conditions[1])
        assert (sorted(conditions[0].tolist()) == [0, 0, 0, 1]) == (condition == "one_hot")


def test_a_gaussian_condition_stays_what_it_is() -> None:
    changes = "method.generator.condition=gaussian"
    first: Any = generative("hnet_replay", changes)
    again: Any = generative("hnet_replay", changes)
    other: Any = generative("hnet_replay", changes, "training.seed=2")
    assert torch.equal(first.generator.conditions, again.generator.conditions)
    assert not torch.equal(first.generator.conditions, other.generator.conditions)


@pytest.mark.parametrize("name", ["hnet_replay", "hnet_replay, classes"])
def test_earlier_samples_stay_with_a_strong_regulariser(name: str) -> None:
    """Of a task with a decoder for each class, of both."""

    def drift(beta: float) -> float:
        method = generative(name, f"method.generator.beta={beta}")
        state = method.generator.start_task(trained(method, 1, steps=20)["generator"], 1)  # pyright: ignore[reportAttributeAccessIssue]
        shown = {"generator": copied(state)}, {"generator": go_on(method, copied(state), 30, task=1)}
        before, after = (method.replayed(each, 0, 10) for each in shown)
        assert before is not None
        assert after is not None
        return float((before - after).norm())

    assert drift(100.0) < 0.5 * drift(0.0)


def test_the_plain_generator_learns_from_the_new_batch_and_from_its_former_self() -> None:
    method: Any = generative("dgr")
    generator, state = method.generator, begun(method)
    context, (inputs, _) = generator.task_context(state, 2), batch(1)
    weights = state["encoder"]["weights"], state["theta"]["weights"][None]
    both = torch.cat([inputs, generator.draw(context, 16, NOW)])
    costs = generator._costs(weights, both, NOW)
    expected = costs[:16].mean() / 3 + costs[16:].mean() * 2 / 3  # growing: 1 - 1 / t at the third task
    torch.testing.assert_close(generator._cost(weights, (inputs, torch.empty(0)), context, NOW), expected)


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_decoder_of_a_class_learns_from_its_samples_alone(replicas: int) -> None:
    method: Any = generative("hnet_replay, classes", f"training.replicas={replicas}")
    generator, draw = method.generator, torch.Generator().manual_seed(3)
    leading = (replicas,) if replicas > 1 else ()
    inputs = torch.rand(*leading, 16, 1, 8, 8, generator=draw)
    labels = torch.randint(0, 2, (*leading, 16), generator=draw)
    encoder = generator.init()["encoder"]["weights"]
    decoders = 0.3 * torch.randn(*leading, 2, generator.spec.target.num_weights, generator=draw)
    decoders.requires_grad_()
    costs = generator._costs((encoder, decoders), inputs, NOW, labels)

    noise = generator._normal((16, 3), "latent", NOW.task, NOW.step)
    for label in range(2):
        weights = encoder, decoders[..., label, :]
        alone = generator.autoencoder.costs(weights, inputs, noise, generator.conditions[..., 4 + label, :])
        torch.testing.assert_close(costs[labels == label], alone[labels == label])
    (gradient,) = torch.autograd.grad(costs[labels == 0].sum(), decoders)
    assert gradient[..., 0, :].any()
    assert not gradient[..., 1, :].any()


def test_a_step_moves_the_embeddings_of_its_own_classes_alone() -> None:
    method = generative("hnet_replay, classes")
    state = begun(method, 1)
    after = go_on(method, copied(state), task=1)
    moved = (after["embeddings"] != state["embeddings"]).any(-1)
    assert moved.tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize(("count", "of_first"), [(7, 4), (1, 1)])
def test_samples_of_a_task_are_of_its_classes_in_order(count: int, of_first: int) -> None:
    method: Any = generative("hnet_replay, classes")
    state, generator = trained(method, 2)["generator"], method.generator
    codes = generator._normal((count, 3), "shown", 1)
    inputs = generator.sample(state, 1, count)
    for row, of_class in ((2, slice(0, of_first)), (3, slice(of_first, count))):
        weights = generator.spec.hypernet(state["theta"], state["embeddings"][row : row + 1])[0]
        expected = generator.autoencoder.decode(weights, codes[of_class], torch.eye(6, 6)[row])
        torch.testing.assert_close(inputs[of_class], expected)


def test_an_embedding_may_begin_where_the_one_before_its_task_ended() -> None:
    method: Any = generative("hnet_replay, classes", "method.generator.hypernet.embedding_init=previous")
    state = begun(method, 1)
    assert torch.equal(state["embeddings"][2:4], state["embeddings"][1:2].expand(2, -1))


def test_a_generator_draws_numbers_of_its_own() -> None:
    """What the classifier draws and learns at the first task is what it does without a generator."""
    for name in ("hnet_replay", "dgr"):
        alone = ("method={name: finetune}", *OPTIONS[name][1:2])
        plain = trained(generative(name), 1), trained(learner(*alone), 1)
        assert same(plain[0]["theta"], plain[1]["theta"])
    method: Any = generative("hnet_replay")
    assert not set(method.generator.spec.seeds) & set(method.spec.seeds)


def test_inputs_beyond_black_and_white_are_refused() -> None:
    method = generative("dgr")
    state = method.start_task(method.init(), 0)
    inputs, labels = batch(1)
    context, negative = method.task_context(state, 0), inputs.index_fill(3, torch.tensor(0), -1)
    with pytest.raises(UserError, match=r"inputs lie in -1 \.\. .*a generator requires 0 \.\. 1"):
        method.step(state, context, [(negative, labels)], StepInfo(0, 0, 1e-2))


def at_other_scales(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels = batch(seed)
    return 50 * inputs - 7, labels


def test_likelihood_gaussian_takes_the_scale_of_a_tasks_first_batch_and_keeps_it() -> None:
    method: Any = generative("gaussian")
    generator = method.generator
    state = generator.start_task(generator.init(), 0)
    for step in range(3):
        batches = [at_other_scales(step)]
        state, _ = generator.step(state, generator.task_context(state, 0), batches, StepInfo(0, step, 1e-2))
    later = generator.start_task(generator.end_task(state, 0, FewSamples(0)), 1)
    later, _ = generator.step(later, generator.task_context(later, 1), [batch(9)], StepInfo(1, 0, 1e-2))
    first, second = at_other_scales(0)[0].flatten(1), batch(9)[0].flatten(1)
    for task, own in enumerate((first, second)):
        expected = torch.stack([own.mean(0), own.std(0, correction=0)])
        torch.testing.assert_close(later["scales"][task], expected)
    assert later["scales"][2].tolist() == [[0.0] * 64, [1.0] * 64]
    assert state["scales"][1].tolist() == [[0.0] * 64, [1.0] * 64]  # a start shares nothing with what it began from


def test_likelihood_gaussian_learns_standardised_inputs_and_draws_them_at_their_scale() -> None:
    """As without it, on inputs standardised by hand."""
    method: Any = generative("gaussian")
    generator = method.generator
    state = generator.start_task(generator.init(), 0)
    inputs, labels = at_other_scales(1)
    mean, deviation = inputs.mean(0), inputs.std(0, correction=0)
    weights = state["encoder"]["weights"], generator.spec.hypernet(state["theta"], state["embeddings"][:1])[0]
    noise = generator._normal((16, 3), "latent", 0, 0)
    costs = generator.autoencoder.costs(weights, (inputs - mean) / deviation, noise, generator.conditions[0])
    state, losses = generator.step(state, generator.task_context(state, 0), [(inputs, labels)], StepInfo(0, 0, 1e-2))
    torch.testing.assert_close(losses["task"], costs.mean())

    state = generator.start_task(state, 1)
    info = StepInfo(1, 3, 1e-2)
    found = generator.draw(generator.task_context(state, 1), 5, info)
    codes = generator._normal((1, 5, 3), "replayed", 1, 3)[0]
    decoder = generator.spec.hypernet(state["theta"], state["embeddings"][:1])[0]
    told = torch.eye(3, 4)[0].expand(5, -1)
    means, _ = generator.spec.target(decoder, {}, torch.cat([codes, told], -1), training=False)
    torch.testing.assert_close(found[0], mean + deviation * means.reshape(5, 1, 8, 8))
    shown = generator.sample(state, 0, 4)
    codes = generator._normal((4, 3), "shown", 0)
    means, _ = generator.spec.target(decoder, {}, torch.cat([codes, told[:4]], -1), training=False)
    torch.testing.assert_close(shown, mean + deviation * means.reshape(4, 1, 8, 8))


def test_replayed_inputs_of_any_size_lie_where_the_tasks_do() -> None:
    """Two tasks around -20 and 100, one narrow and one wide."""
    method: Any = generative("gaussian", "method.generator.deviation=0.1")
    generator, state = method.generator, method.generator.init()
    spread = {0: (-20.0, 0.5), 1: (100.0, 9.0), 2: (0.0, 1.0)}
    for task in (0, 1):
        state = generator.start_task(state, task)
        context, (mean, deviation) = generator.task_context(state, task), spread[task]
        for step in range(150):
            inputs = mean + deviation * torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(step))
            state, _ = generator.step(state, context, [(inputs, batch(step)[1])], StepInfo(task, step, 1e-2))
        state = generator.end_task(state, task, FewSamples(task))
    state = generator.start_task(state, 2)
    drawn_inputs = generator.draw(generator.task_context(state, 2), 200, NOW)
    for task in (0, 1):
        mean, deviation = spread[task]
        assert abs(float(drawn_inputs[task].mean()) - mean) < 0.5 * deviation
