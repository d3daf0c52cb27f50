"""What each method adds to what every method must do (test_contract.py)."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from few_samples import FewSamples
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.config import Experiment, UserError, loads
from hypercl.methods import Batch, Learner, State, StepInfo
from hypercl.training import build_learner

CPU = torch.device("cpu")
METHODS = ("hnet", "finetune", "scratch", "joint", "lwf", "er", "stored_real")
OWN_WEIGHTS = {f"method.name={name}" for name in ("ewc", "online_ewc", "si", "lwf", "dgr", "er", "stored_real")}
OWN_WEIGHTS |= {"method.name=hnet_replay"}


def experiment(*overrides: str) -> Experiment:
    text = """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  target: {name: mlp, hidden: [12]}
  hypernet: {name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  method: {name: hnet, beta: 0.5}
  training: {optimizer: {name: adam, lr: 1e-2}}
"""
    none = ["hypernet.name=none"] if OWN_WEIGHTS & set(overrides) else []
    return loads(text, "x", [*overrides, *none]).experiment


def learner(*overrides: str) -> Learner:
    return build_learner(experiment(*overrides), CPU)


def batch(seed: int) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(16, 1, 8, 8, generator=draw), torch.randint(0, 2, (16,), generator=draw)


def trained(method: Learner, tasks: int, steps: int = 5, state: State | None = None, first: int = 0) -> State:
    state = method.init() if state is None else state
    for task in range(first, tasks):
        state = method.start_task(state, task)
        context = method.task_context(state, task)
        for step in range(steps):
            batches = [batch(100 * each + step) for each in method.trains_on(task)]
            state, _ = method.step(state, context, batches, StepInfo(task, step, 1e-2))
        state = method.end_task(state, task, FewSamples(task))
    return state


def copied(tree: Any) -> Any:
    return {key: copied(value) for key, value in tree.items()} if isinstance(tree, dict) else tree.clone()


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return torch.equal(left, right)


def _optimizer(name: str) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
    return {
        "adam": lambda values: torch.optim.Adam(values, lr=1e-2),
        "sgd": lambda values: torch.optim.SGD(values, lr=1e-2, momentum=0.9),
    }[name]


@pytest.mark.parametrize("lookahead", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("bound", [None, 0.5])
def test_hnet_takes_the_steps_of_the_paper(lookahead: bool, optimizer: str, bound: float | None) -> None:
    """The order of method.md 3.1, written out with autograd, a loop over tasks and torch's own optimisers."""
    changes = [f"method.lookahead={lookahead}".lower(), "method.regularizer.mask_heads=false"]
    changes += [f"training.optimizer.name={optimizer}", f"training.clip_norm={bound or 'null'}"]
    method: Any = learner(*changes)
    state = method.start_task(trained(method, 2), 2)
    context = method.task_context(state, 2)

    hypernet, target = method.spec.hypernet, method.spec.target
    theta = {name: value.clone().requires_grad_() for name, value in state["theta"].items()}
    embedding = state["embeddings"][2:3].clone().requires_grad_()
    stored = [hypernet(state["theta"], state["embeddings"][task : task + 1]).detach() for task in range(2)]
    of_theta = _optimizer(optimizer)(list(theta.values()))
    of_embedding = _optimizer(optimizer)([embedding])
    for step in range(4):
        inputs, labels = batch(200 + step)
        state, _ = method.step(state, context, [(inputs, labels)], StepInfo(2, step, 1e-2))

        outputs, _ = target(hypernet(theta, embedding)[0], {}, inputs, training=True)
        loss = cross_entropy(outputs[:, 4:6], labels)
        *grads, own = torch.autograd.grad(loss, [*theta.values(), embedding])
        ahead = {name: value.detach().clone().requires_grad_() for name, value in theta.items()}
        if lookahead:
            trial = _optimizer(optimizer)(list(ahead.values()))
            trial.load_state_dict(copy.deepcopy(of_theta.state_dict()))
            for value, grad in zip(ahead.values(), grads, strict=True):
                value.grad = grad.clone()
            if bound:
                torch.nn.utils.clip_grad_norm_(ahead.values(), bound)
            trial.step()
        moved = [hypernet(ahead, state["embeddings"][task : task + 1]) for task in range(2)]
        residuals = [(now - then).square().sum() for now, then in zip(moved, stored, strict=True)]
        pull = torch.autograd.grad(torch.stack(residuals).sum() / 2, list(ahead.values()))
        for value, grad, pulled in zip(theta.values(), grads, pull, strict=True):
            value.grad = grad + 0.5 * pulled
        embedding.grad = own
        if bound:
            torch.nn.utils.clip_grad_norm_(theta.values(), bound)
            torch.nn.utils.clip_grad_norm_([embedding], bound)
        of_theta.step()
        of_embedding.step()
    for name, value in theta.items():
        torch.testing.assert_close(state["theta"][name], value.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(state["embeddings"][2:3], embedding.detach(), rtol=1e-4, atol=1e-6)


def test_hnet_freezes_the_embeddings_of_earlier_tasks() -> None:
    method = learner()
    before, after = trained(method, 2), trained(method, 3)
    assert torch.equal(before["embeddings"][:2], after["embeddings"][:2])
    assert not torch.equal(before["embeddings"][2], after["embeddings"][2])


def test_hnet_drifts_less_with_a_larger_beta() -> None:
    inputs, _ = batch(7)

    def drift(beta: float) -> float:
        method = learner(f"method.beta={beta}")
        first = trained(method, 1, steps=20)
        last = trained(method, 3, steps=20, state=first, first=1)
        return float((method.predictor(first, 0)(inputs) - method.predictor(last, 0)(inputs)).norm())

    assert drift(100.0) < 0.5 * drift(0.1)


def test_hnet_without_beta_is_finetuning() -> None:
    unprotected, finetuned = trained(learner("method.beta=0"), 3), trained(learner("method.name=finetune"), 3)
    assert all(torch.equal(unprotected["theta"][name], value) for name, value in finetuned["theta"].items())


def test_hnet_compares_a_subset_of_the_earlier_tasks_when_asked() -> None:
    some, every = learner("method.regularizer.tasks=1"), learner()
    assert same(trained(some, 2)["theta"], trained(every, 2)["theta"])
    assert not same(trained(some, 3)["theta"], trained(every, 3)["theta"])


def test_a_masked_head_is_free_to_move() -> None:
    masked, whole = learner("method.regularizer.mask_heads=true"), learner("method.regularizer.mask_heads=false")
    assert not same(trained(masked, 2)["theta"], trained(whole, 2)["theta"])


@pytest.mark.parametrize("weights", ["chunked", "none"])
def test_scratch_keeps_every_task_as_it_was_learned(weights: str) -> None:
    method = learner("method.name=scratch", f"hypernet={{name: {weights}}}", "target.batch_norm=true")
    inputs, _ = batch(7)
    first, last = trained(method, 1), trained(method, 3)
    assert torch.equal(method.predictor(first, 0)(inputs), method.predictor(last, 0)(inputs))


def test_scratch_begins_each_task_with_new_running_statistics() -> None:
    method = learner("method.name=scratch", "hypernet={name: none}", "target.batch_norm=true")
    begun = method.start_task(trained(method, 2), 2)
    assert torch.equal(begun["buffers"]["2"]["norms.0.running_mean"], torch.zeros(12))


@pytest.mark.parametrize("name", ["finetune", "hnet", "dgr", "hnet_tir"])
def test_an_optimiser_goes_on_over_the_stream_where_it_is_not_renewed(name: str) -> None:
    scenario = "class" if name == "hnet_tir" else "task"
    changes = [f"method={{name: {name}}}", f"tasks.scenario={scenario}"]
    changes += ["hypernet={name: none}"] if name == "dgr" else []
    new, going_on = learner(*changes), learner(*changes, "training.optimizer.renew=false")
    learned = trained(going_on, 1)
    of_network = going_on.start_task(learned, 1)["optimizer"]
    assert same(of_network["theta"], learned["optimizer"]["theta"])
    assert not same(new.start_task(learned, 1)["optimizer"]["theta"], of_network["theta"])
    if "generator" in learned:
        begun, before = going_on.start_task(learned, 1)["generator"]["optimizer"], learned["generator"]["optimizer"]
        assert all(same(begun[key], before[key]) for key in ("theta", "encoder"))
    assert not same(trained(new, 2)["theta"], trained(going_on, 2)["theta"])
    first = trained(going_on, 1)["optimizer"]["theta"]
    trained(going_on, 2, state=learned, first=1)
    assert same(learned["optimizer"]["theta"], first), "the state that a task is begun from is not changed"


def test_scratch_takes_no_optimiser_along() -> None:
    method = learner("method.name=scratch", "training.optimizer.renew=false")
    learned = trained(method, 1)
    assert not same(method.start_task(learned, 1)["optimizer"]["theta"], learned["optimizer"]["theta"])


def test_joint_trains_the_embeddings_of_all_tasks_met() -> None:
    method = learner("method.name=joint")
    before, after = trained(method, 2), trained(method, 3)
    assert list(method.trains_on(2)) == [0, 1, 2]
    assert not torch.equal(before["embeddings"][0], after["embeddings"][0])


def test_running_statistics_are_kept_for_each_task() -> None:
    method = learner("target.name=import", "target.path=small_nets:NormNet", "target.kwargs={width: 5}")
    state = trained(method, 2)
    means = [state["buffers"][str(task)]["norm.running_mean"] for task in range(3)]
    assert not torch.equal(means[0], means[1])
    assert torch.equal(means[2], torch.zeros(5))


def test_finetuning_generated_weights_shares_running_statistics_where_asked() -> None:
    norm = ("target.name=import", "target.path=small_nets:NormNet", "target.kwargs={width: 5}")
    method = learner(*norm, "method={name: finetune, share_buffers: true}")
    state = trained(method, 1)
    after_first = state["buffers"]["0"]["norm.running_mean"].clone()
    state = trained(method, 2, state=state, first=1)
    assert state["buffers"].keys() == {"0"}
    assert not torch.equal(state["buffers"]["0"]["norm.running_mean"], after_first)
    inputs, _ = batch(3)
    outputs = [predict(inputs) for predict in method.predictors(state, range(3))]
    assert all(found.isfinite().all() for found in outputs)


@pytest.mark.parametrize("name", ["finetune", "si", "ewc", "online_ewc"])
def test_one_network_keeps_running_statistics_for_each_task_where_asked(name: str) -> None:
    norm = ("target.name=import", "target.path=small_nets:NormNet", "target.kwargs={width: 5}", "hypernet=none")
    inputs, _ = batch(3)

    def learned(task_buffers: str) -> tuple[State, list[Tensor]]:
        method = learner(*norm, f"method={{name: {name}, task_buffers: {task_buffers}}}")
        first = trained(method, 1)
        state = trained(method, 2, state=first, first=1)
        with_first = {**state, "buffers": first["buffers"]}
        return state, [method.predictor(each, 0)(inputs) for each in (state, with_first)]

    own, (now, before) = learned("true")
    assert own["buffers"].keys() == {"0", "1", "2"}
    assert torch.equal(now, before)  # the second task changed weights, no statistics of the first
    shared, (now, before) = learned("false")
    assert shared["buffers"].keys() == {"0"}
    assert not torch.equal(now, before)


@pytest.mark.parametrize("change", ["hypernet.name=none", "target={name: lenet}", "target={name: mlp}"])
def test_sharing_statistics_is_refused_where_it_would_have_no_effect(change: str) -> None:
    with pytest.raises(UserError, match=r"share_buffers would have no effect"):
        experiment("method={name: finetune, share_buffers: true}", change)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("hypernet.name=chunked", "would have no effect with a hypernetwork, whose tasks each have their own"),
        ("target={name: mlp}", "would have no effect: target mlp has no batch normalisation here"),
        ("tasks.scenario=domain", "needs the task at test time, which scenario domain does not tell"),
    ],
)
def test_statistics_of_each_task_are_refused_where_they_cannot_be(change: str, why: str) -> None:
    with pytest.raises(UserError, match=f"method.task_buffers {why}"):
        experiment("method={name: finetune, task_buffers: true}", "hypernet=none", "target={name: resnet32}", change)


def test_dropout_is_the_same_for_the_same_seed() -> None:
    changes = ("target.name=import", "target.path=small_nets:DropNet", "target.kwargs={width: 8}")
    torch.manual_seed(1)
    first = trained(learner(*changes), 2)
    torch.manual_seed(2)
    assert same(trained(learner(*changes), 2), first)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("room", [1, 10**9])
def test_predictors_of_several_tasks_are_those_of_each(
    name: str, replicas: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypercl.methods.network_learner.WEIGHTS_AT_ONCE", room)
    method = learner(f"method.name={name}", f"training.replicas={replicas}")
    state = method.start_task(method.init(), 0)
    state = method.start_task(method.end_task(state, 0, FewSamples(0)), 1)
    inputs = batch(3)[0]
    for task, predict in zip([1, 0, 2], method.predictors(state, [1, 0, 2]), strict=True):
        torch.testing.assert_close(predict(inputs), method.predictor(state, task)(inputs))
