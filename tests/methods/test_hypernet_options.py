"""What the options of a hypernetwork, and of its regulariser, do to the steps of a method."""

import copy
from typing import Any

import pytest
import torch
from test_learners import METHODS, OWN_WEIGHTS, batch, copied, learner, same, trained
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.methods import Learner, State, StepInfo

NOISY = ("hypernet.noise=3", "hypernet.dropout=0.3")
EVERYTHING = (
    *NOISY,
    "hypernet.normalization=layer",
    "hypernet.init.name=normal",
    "hypernet.embedding_scale=0.5",
    "hypernet.embedding_init=previous",
    "hypernet.chunk_size=auto",
    "hypernet.compression_ratio=1.5",
)
EARLIER = "method.train_earlier_embeddings=true"


def begun(method: Learner, task: int, steps: int = 5) -> tuple[State, Any]:
    """The state and the context as a task begins."""
    state = method.start_task(trained(method, task, steps), task)
    return state, method.task_context(state, task)


def options_for(name: str) -> list[str]:
    own = [each for each in EVERYTHING if name != "scratch" or "embedding_init" not in each]
    return [f"method.name={name}", *own, *([EARLIER] if name == "hnet" else [])]


@pytest.mark.parametrize("name", [name for name in METHODS if f"method.name={name}" not in OWN_WEIGHTS])
class TestEveryMethodWithEveryOption:
    def test_resumes_from_its_state_alone(self, name: str) -> None:
        options = options_for(name)
        whole = trained(learner(*options), 3)
        half = copied(trained(learner(*options), 2))
        assert same(trained(learner(*options), 3, state=half, first=2), whole)

    def test_a_task_does_not_change_the_state_it_begins_with(self, name: str) -> None:
        method = learner(*options_for(name))
        before = method.start_task(trained(method, 1), 1)
        kept = copied(before)
        trained(method, 2, state=before, first=1)
        assert same(before, kept)

    def test_predicts_without_noise_and_dropout(self, name: str) -> None:
        method = learner(*options_for(name))
        state, inputs = trained(method, 1), batch(5)[0]
        assert torch.equal(method.predictor(state, 0)(inputs), method.predictor(state, 0)(inputs))
        dropped = method._drawn(1, StepInfo(0, 0, 1e-2))
        hypernet = method.spec.hypernet
        evaluated, noisy = (hypernet(state["theta"], state["embeddings"][:1], draws) for draws in (None, dropped))
        target = method.spec.target
        outputs, _ = target(evaluated[0], state["buffers"]["0"], inputs, training=False)
        if name != "scratch":  # whose theta of a learned task lies elsewhere
            torch.testing.assert_close(method.predictor(state, 0)(inputs), outputs[:, :2].detach())
        assert not torch.allclose(evaluated, noisy)


@pytest.mark.parametrize("option", NOISY)
@pytest.mark.parametrize("seed", [1, 2])
def test_each_step_draws_anew_from_seed_task_and_step(option: str, seed: int) -> None:
    method = learner(option, f"training.seed={seed}")
    state, context = begun(method, 0)
    torch.manual_seed(3)  # nothing is drawn from torch's own generator
    moments = [StepInfo(0, step, 1e-2) for step in (0, 0, 1)]
    first, again, later = (method.step(copied(state), context, [batch(1)], info)[0] for info in moments)
    assert same(first["theta"], again["theta"])
    assert not same(first["theta"], later["theta"])
    plain = learner(f"training.seed={seed}")
    state, context = begun(plain, 0)
    first, later = (plain.step(state, context, [batch(1)], StepInfo(0, step, 1e-2))[0] for step in (0, 1))
    assert same(first["theta"], later["theta"])


@pytest.mark.parametrize("subset", ["null", "1"])
def test_the_regularizer_sees_neither_noise_nor_dropout(subset: str) -> None:
    """Where nothing has moved yet, it is zero."""
    method = learner(*NOISY, "method.lookahead=false", f"method.regularizer.tasks={subset}")
    state, context = begun(method, 2)
    _, losses = method.step(state, context, [batch(1)], StepInfo(2, 0, 1e-2))
    assert losses["regularizer"] == 0


def test_noise_makes_the_weights_of_a_step_differ_from_those_that_predict() -> None:
    """With noise the loss of a step is not the loss of the network that predicts."""
    method = learner("hypernet.noise=3")
    state, context = begun(method, 0)
    inputs, labels = batch(1)
    _, losses = method.step(state, context, [(inputs, labels)], StepInfo(0, 0, 1e-2))
    assert losses["task"] != cross_entropy(method.predictor(state, 0)(inputs), labels)


@pytest.mark.parametrize("name", ["hnet", "finetune", "joint"])
def test_an_embedding_starts_as_the_one_before_was_learned(name: str) -> None:
    method, normal = (
        learner(f"method.name={name}", f"hypernet.embedding_init={kind}") for kind in ("previous", "normal")
    )
    assert same(method.init(), normal.init())
    state = trained(method, 2)
    assert not torch.equal(state["embeddings"][1], state["embeddings"][0])
    begun_third = method.start_task(state, 2)
    assert torch.equal(begun_third["embeddings"][2], state["embeddings"][1])
    assert torch.equal(begun_third["embeddings"][:2], state["embeddings"][:2])
    assert torch.equal(normal.start_task(state, 2)["embeddings"], state["embeddings"])


def test_a_full_hypernetwork_takes_hyperfan_with_a_layer_norm() -> None:
    trained(learner("hypernet.name=full", "hypernet.init.name=hyperfan_in", "hypernet.normalization=layer"), 1)


@pytest.mark.parametrize("init", ["hyperfan_in", "hyperfan_out", "normal"])
def test_an_initialisation_is_drawn_from_the_seed_with_the_targets_shapes(init: str) -> None:
    first, again, other = (
        learner(f"hypernet.init.name={init}", f"training.seed={seed}").init()["theta"] for seed in (1, 1, 2)
    )
    assert same(first, again)
    assert not same(first, other)
    assert not same(first, learner().init()["theta"])


class TestEarlierEmbeddings:
    def test_move_on_the_regularizer_alone(self) -> None:
        method = learner(EARLIER)
        state, context = begun(method, 2)
        later, _ = method.step(copied(state), context, [batch(1)], StepInfo(2, 0, 1e-2))
        assert not torch.equal(later["embeddings"][:2], state["embeddings"][:2])
        loose = learner(EARLIER, "method.beta=1e-30", "training.optimizer.name=sgd")
        state, context = begun(loose, 2)
        later, _ = loose.step(copied(state), context, [batch(1)], StepInfo(2, 0, 1e-2))
        assert torch.equal(later["embeddings"][:2], state["embeddings"][:2])

    def test_of_the_task_being_learned_does_not_feel_the_regularizer(self) -> None:
        own = []
        for beta in (0.5, 500.0):
            method = learner(EARLIER, f"method.beta={beta}", "training.optimizer.name=sgd")
            state = method.start_task(trained(learner(), 2), 2)
            later, _ = method.step(copied(state), method.task_context(state, 2), [batch(1)], StepInfo(2, 0, 1e-2))
            own.append(later)
        assert torch.equal(own[0]["embeddings"][2], own[1]["embeddings"][2])
        assert not torch.equal(own[0]["embeddings"][:2], own[1]["embeddings"][:2])

    def test_lower_the_regularizer(self) -> None:
        """Sixty steps from one state under a weak regulariser; the mean of the last ten."""
        means = []
        for change in ("method.train_earlier_embeddings=false", EARLIER):
            method = learner(change, "method.beta=0.005")
            state = method.start_task(trained(learner(), 2, steps=20), 2)
            context, values = method.task_context(state, 2), []
            for step in range(60):
                state, losses = method.step(state, context, [batch(step)], StepInfo(2, step, 1e-2))
                values.append(float(losses["regularizer"]))
            means.append(sum(values[-10:]) / 10)
        assert means[1] < 0.6 * means[0]

    @pytest.mark.parametrize("lookahead", [True, False])
    def test_take_the_steps_of_an_optimizer_of_their_own(self, lookahead: bool) -> None:
        """Written out with autograd and torch's Adam; the look-ahead of an embedding is a step on no gradient."""
        method: Any = learner(EARLIER, f"method.lookahead={lookahead}".lower(), "method.regularizer.mask_heads=false")
        state, context = begun(method, 2)
        hypernet = method.spec.hypernet
        stored = hypernet(state["theta"], state["embeddings"][:2]).detach()
        rows = state["embeddings"][:2].clone().requires_grad_()
        adam = torch.optim.Adam([rows], lr=1e-2)
        for step in range(4):
            info, drawn = StepInfo(2, step, 1e-2), [batch(step)]
            _, grads, _, _ = method._task_gradients(state, [2], drawn, info)
            theta = method.optimizer.look_ahead(state["theta"], grads, state["optimizer"]["theta"], info.lr)
            point = rows.detach().clone().requires_grad_()
            if lookahead:
                trial = torch.optim.Adam([point], lr=1e-2)
                trial.load_state_dict(copy.deepcopy(adam.state_dict()))
                point.grad = torch.zeros_like(point)
                trial.step()
            moved = hypernet(theta if lookahead else state["theta"], point)
            value = (moved - stored).square().sum() / 2
            rows.grad = 0.5 * torch.autograd.grad(value, point)[0]
            state, losses = method.step(state, context, drawn, info)
            torch.testing.assert_close(losses["regularizer"], value.detach(), rtol=1e-4, atol=1e-6)
            adam.step()
            torch.testing.assert_close(state["embeddings"][:2], rows.detach(), rtol=1e-4, atol=1e-5)

    def test_go_with_subsets_and_head_masks(self) -> None:
        method = learner(EARLIER, "method.regularizer.tasks=1", "training.optimizer.name=sgd")
        state, context = begun(method, 2)
        later, _ = method.step(copied(state), context, [batch(1)], StepInfo(2, 0, 1e-2))
        moved: Tensor = (later["embeddings"] != state["embeddings"]).any(1)
        assert moved[:2].sum() == 1

    def test_are_compared_with_what_they_were_as_the_task_began(self) -> None:
        """Also after a restart in the middle of a task."""
        method = learner(EARLIER)
        state, context = begun(method, 2)
        whole = copied(state)
        for step in range(6):
            whole, _ = method.step(whole, context, [batch(step)], StepInfo(2, step, 1e-2))
        for step in range(6):
            context = learner(EARLIER).task_context(state, 2)
            state, _ = method.step(copied(state), context, [batch(step)], StepInfo(2, step, 1e-2))
        assert same(state, whole)
