"""Replay beside each batch: what it costs in every scenario, and what is replayed by whom."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import pytest
import torch
from few_samples import FewSamples
from hypothesis import given, settings
from hypothesis import strategies as st
from test_learners import batch, copied, experiment, same, trained
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.config import ConfigError, Experiment
from hypercl.methods import Batch, Learner, LearnerSpec, State, StepInfo
from hypercl.methods.replay import Replayed, ReplayLearner
from hypercl.training import build_learner
from hypercl.training.parts import Networks

CPU = torch.device("cpu")
CLASSES = {"task": (2, 3, 4), "domain": (2, 2, 2), "class": (2, 3, 4)}
HARD = ("method.name=dgr", "method.targets=hard")
SOFT = ("method.name=dgr", "method.targets=soft")


class Replaying(ReplayLearner):
    """Replays what a test lays into it."""

    replayed_now: Sequence[Replayed] = ()

    def _replay(self, source: Any, batch: Batch, info: StepInfo) -> Sequence[Replayed]:
        return self.replayed_now


def setting(scenario: str, *overrides: str) -> Experiment:
    stream = [f"tasks.scenario={scenario}", f"tasks.classes_per_task={list(CLASSES[scenario])}"]
    return experiment(*overrides, *stream)


def method_of(scenario: str, *overrides: str) -> Any:
    return build_learner(setting(scenario, *overrides), CPU)


def replaying(scenario: str, *overrides: str) -> Replaying:
    chosen = setting(scenario, *overrides)
    networks = Networks.of(chosen, CPU)
    return Replaying(LearnerSpec(networks.target, networks.hypernet, networks.shape, CPU, (chosen,)))


def of_three_kinds() -> list[Replayed]:
    """Samples of a known task, of one with labels, and the new batch's own inputs for whichever."""
    first, second = batch(31)[0][:5], batch(32)[0][:7]
    return [Replayed(first, 0), Replayed(second, 1, torch.arange(7) % 2), Replayed(None, None)]


def at_third_task(method: Learner) -> State:
    """A student that has left its teacher."""
    state = method.start_task(trained(method, 2), 2)
    weights = state["theta"]["weights"]
    weights += 0.3 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(4))
    return state


class Expected:
    """Losses written out, one sample after the other, at the third task."""

    def __init__(self, scenario: str, targets: str, new_classes: str) -> None:
        self.scenario, self.targets, self.new_classes = scenario, targets, new_classes
        self.heads = [range(2)] * 3 if scenario == "domain" else [range(2), range(2, 5), range(5, 9)]

    def labelled(self, student: Tensor, task: int, labels: Any) -> Tensor:
        head = self.heads[task]
        if self.scenario == "class":
            return cross_entropy(student, labels + head.start, reduction="none")
        return cross_entropy(student[:, list(head)], labels, reduction="none")

    def distilled(self, student: Tensor, teacher: Tensor, task: int | None) -> Tensor:
        if self.scenario == "class":
            return self._held(student, teacher[:, :5])
        tasks = [0, 1] if task is None else [task]
        each = [self._held(student[:, list(self.heads[of])], teacher[:, list(self.heads[of])]) for of in tasks]
        return sum(each) / len(each)  # pyright: ignore[reportReturnType]

    def _held(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.targets == "hard":
            return cross_entropy(student, teacher.argmax(1), reduction="none")
        new = student.shape[1] - teacher.shape[1]
        extended = torch.cat([teacher, torch.zeros(len(teacher), new)], 1)
        if self.new_classes == "exclude":
            extended[:, teacher.shape[1] :] = -torch.inf
        wanted = torch.softmax(extended / 2, 1)
        return 4 * -(wanted * torch.log_softmax(student / 2, 1)).sum(1)


@pytest.mark.parametrize("share", ["growing", "0.3"])
@pytest.mark.parametrize(
    ("scenario", "targets", "new_classes"),
    [
        ("task", "soft", "exclude"),
        ("task", "hard", "exclude"),
        ("domain", "soft", "exclude"),
        ("domain", "hard", "exclude"),
        ("class", "soft", "exclude"),
        ("class", "soft", "zero_logit"),
        ("class", "hard", "exclude"),
    ],
)
def test_a_step_lowers_the_loss_of_the_new_batch_and_of_all_that_is_replayed(
    scenario: str, targets: str, new_classes: str, share: str
) -> None:
    """The gradient too: nothing flows into the teacher."""
    options = (f"method.targets={targets}", f"method.new_classes={new_classes}", f"method.replay_share={share}")
    method: Any = replaying(scenario, "method.name=dgr", *options)
    state = at_third_task(method)
    first, second, _ = method.replayed_now = of_three_kinds()
    inputs, labels = batch(33)
    before = copied(state)
    told, grads, _, _ = method._task_gradients(
        state, method.task_context(state, 2), [(inputs, labels)], StepInfo(2, 0, 1e-2)
    )
    assert same(state, before)

    weights = state["theta"]["weights"].clone().requires_grad_()

    def said(by: Tensor, samples: Any) -> Tensor:
        return method.spec.target(by, {}, samples, training=True)[0]

    of_teacher = state["teacher"]["theta"]["weights"]
    expected = Expected(scenario, targets, new_classes)
    task = expected.labelled(said(weights, inputs), 2, labels).mean()
    each = [
        expected.distilled(said(weights, first.inputs), said(of_teacher, first.inputs), 0),
        expected.labelled(said(weights, second.inputs), 1, second.labels),
        expected.distilled(said(weights, inputs), said(of_teacher, inputs), None),
    ]
    replay = torch.cat(each).mean()
    weight = 2 / 3 if share == "growing" else 0.3
    (gradient,) = torch.autograd.grad((1 - weight) * task + weight * replay, weights)
    torch.testing.assert_close(told, {"task": task.detach(), "replay": replay.detach()})
    torch.testing.assert_close(grads["weights"], gradient)


def test_the_share_grows_with_the_tasks_met() -> None:
    growing, fixed = (method_of("task", "method.name=lwf", f"method.replay_share={it}") for it in ("growing", 0.3))
    assert [growing.share(task) for task in range(3)] == pytest.approx([0, 1 / 2, 2 / 3])
    assert [fixed.share(task) for task in range(3)] == [0, 0.3, 0.3]


def test_all_inputs_go_through_the_network_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    method = replaying("class", *SOFT)
    state = at_third_task(method)
    method.replayed_now = of_three_kinds()
    context, seen = method.task_context(state, 2), []
    forward = method._outputs

    def counted(weights: Tensor, buffers: Any, inputs: Tensor, seeds: Any = None) -> Any:
        seen.append((len(inputs), seeds is not None))
        return forward(weights, buffers, inputs, seeds)

    monkeypatch.setattr(method, "_outputs", counted)
    method.step(state, context, [batch(33)], StepInfo(2, 0, 1e-2))
    assert sorted(seen) == [(5 + 16, False), (16 + 5 + 7, True)]


def test_the_teacher_answers_in_evaluation_mode() -> None:
    drop = ("target.name=import", "target.path=small_nets:DropNet", "target.kwargs={width: 40}")
    method = replaying("task", *SOFT, *drop)
    state = at_third_task(method)
    given = batch(31)[0]
    (answers,) = method._taught([Replayed(given, 0)], given, method.task_context(state, 2))
    expected, _ = method.spec.target(state["teacher"]["theta"]["weights"], {}, given, training=False)
    torch.testing.assert_close(answers, expected)


@pytest.mark.parametrize(("name", "asks"), [("lwf", True), ("er", False), ("stored_real", False)])
def test_a_teacher_is_kept_while_a_later_task_is_learned_and_no_longer(name: str, asks: bool) -> None:
    method = method_of("class", f"method.name={name}")
    state = method.start_task(method.init(), 0)
    assert state["teacher"] == {}
    state = method.start_task(method.end_task(state, 0, FewSamples(0)), 1)
    assert bool(state["teacher"]) == asks
    assert "teacher" not in method.inference_state(state)
    assert method.end_task(state, 1, FewSamples(1))["teacher"] == {}


def test_the_teachers_statistics_stay_as_they_were() -> None:
    norm = ("target.name=import", "target.path=small_nets:NormNet", "target.kwargs={width: 5}")
    method = method_of("class", "method.name=lwf", *norm)
    state = method.start_task(trained(method, 1), 1)
    taught = copied(state["teacher"])
    assert same(taught["buffers"], state["buffers"]["0"])
    context = method.task_context(state, 1)
    state, _ = method.step(state, context, [batch(1)], StepInfo(1, 0, 1e-2))
    assert same(state["teacher"], taught)
    assert not same(taught["buffers"], state["buffers"]["0"])


def test_lwf_replays_the_new_batch_for_all_earlier_tasks_at_once() -> None:
    method = method_of("task", "method.name=lwf")
    (replayed,) = method._replay(None, batch(1), StepInfo(2, 0, 1e-2))
    assert (replayed.inputs, replayed.task, replayed.labels) == (None, None, None)


def test_lwf_at_a_temperature_of_its_own_learns_otherwise() -> None:
    cool, warm = (method_of("class", "method.name=lwf", f"method.temperature={value}") for value in (1, 5))
    assert not same(trained(cool, 2)["theta"], trained(warm, 2)["theta"])
    assert same(trained(cool, 1)["theta"], trained(warm, 1)["theta"])


class Places(FewSamples):
    """Samples that say which they are: task, label, place."""

    def __init__(self, task: int, classes: int, samples: int) -> None:
        self.labels = torch.arange(samples) % classes
        self.inputs = torch.zeros(samples, 1, 8, 8)
        self.inputs[:, 0, 0, :3] = torch.stack(
            [torch.full((samples,), float(task)), self.labels.float(), torch.arange(samples).float()], dim=1
        )


def kept_by(budget: int, sizes: Sequence[int], *overrides: str, scenario: str = "class") -> list[tuple[Any, State]]:
    """The method and its state after each task, nothing trained."""
    method = method_of(scenario, "method.name=er", f"method.budget={budget}", *overrides)
    state, found = method.init(), []
    for task, (classes, size) in enumerate(zip(CLASSES[scenario], sizes, strict=True)):
        state = method.end_task(method.start_task(state, task), task, Places(task, classes, size))
        found.append((method, state))
    return found


@settings(max_examples=25, deadline=None)
@given(budget=st.integers(9, 60), sizes=st.tuples(*[st.integers(12, 40)] * 3))
def test_the_budget_is_shared_evenly_by_the_classes_met_and_never_exceeded(budget: int, sizes: Any) -> None:
    before: set[tuple[int, ...]] = set()
    for task, (_, state) in enumerate(kept_by(budget, sizes)):
        counts, classes = state["buffer"]["counts"].tolist(), CLASSES["class"]
        share = budget // sum(classes[: task + 1])
        of = [(each, label) for each in range(task + 1) for label in range(classes[each])]
        there = [len(range(label, sizes[each], classes[each])) for each, label in of]
        assert counts == [min(share, most) for most in there]
        rows = [tuple(map(int, row)) for row in state["buffer"]["inputs"][: sum(counts), 0, 0, :3].tolist()]
        assert [row[:2] for row in rows] == [key for key, count in zip(of, counts, strict=True) for _ in range(count)]
        assert len(set(rows)) == len(rows)
        assert {row for row in rows if row[0] < task} <= before
        assert len(state["buffer"]["inputs"]) == budget
        assert not state["buffer"]["inputs"][sum(counts) :].any()
        before = set(rows)


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_er_replays_what_it_kept_of_each_earlier_task_with_its_labels(scenario: str) -> None:
    method, state = kept_by(20, (24, 24, 24), scenario=scenario)[1]
    new = torch.zeros(15, 1, 8, 8), torch.zeros(15)
    found = method._replay(method.task_context(state, 2).source, new, StepInfo(2, 3, 0.1))
    assert [each.task for each in found] == [0, 1]
    kept = {tuple(row) for row in state["buffer"]["inputs"][:, 0, 0, :3].tolist()}
    for each in found:
        rows = each.inputs[:, 0, 0, :3]
        assert len(rows) == ceil(15 / 2)
        assert {tuple(row) for row in rows.tolist()} <= kept
        assert torch.equal(rows[:, 0], torch.full((8,), float(each.task)))
        assert torch.equal(rows[:, 1].long(), each.labels)


def test_er_draws_anew_at_each_step_and_for_each_seed() -> None:
    (method, state), (other, _) = (kept_by(40, (24,) * 3, f"training.seed={seed}")[1] for seed in (1, 2))
    source, new = method.task_context(state, 2).source, batch(1)

    def drawn(by: Any, step: int) -> Tensor:
        return torch.cat([each.inputs for each in by._replay(source, new, StepInfo(2, step, 0.1))])

    assert torch.equal(drawn(method, 1), drawn(method, 1))
    assert not torch.equal(drawn(method, 1), drawn(method, 2))
    assert not torch.equal(drawn(method, 1), drawn(other, 1))


def test_each_replica_keeps_a_choice_of_its_own() -> None:
    _, state = kept_by(9, (24, 24, 24), "training.seed=5", "training.replicas=2")[2]
    alone = [kept_by(9, (24, 24, 24), f"training.seed={seed}")[2][1] for seed in (5, 6)]
    assert torch.equal(state["buffer"]["inputs"], torch.stack([each["buffer"]["inputs"] for each in alone]))
    assert not torch.equal(*state["buffer"]["inputs"])


def test_a_replica_that_diverged_takes_nothing_from_the_others_buffers() -> None:
    method, state = kept_by(18, (24, 24, 24), "training.seed=5", "training.replicas=2")[1]
    _, whole = kept_by(18, (24, 24, 24), "training.seed=5", "training.replicas=2")[2]
    for value in state["buffer"].values():
        value[0] = 0
    state = method.end_task(method.start_task(state, 2), 2, Places(2, 4, 24))
    assert torch.equal(state["buffer"]["inputs"][1], whole["buffer"]["inputs"][1])


def test_er_replays_something_before_anything_was_kept_so_that_memory_can_be_measured() -> None:
    method = method_of("class", "method.name=er")
    state = method.start_task(method.init(), 2)
    _, losses = method.step(state, method.task_context(state, 2), [batch(1)], StepInfo(2, 0, 0.0))
    assert losses["replay"].isfinite()


@pytest.mark.parametrize("replicas", [1, 2])
def test_stored_real_replays_the_first_samples_of_a_batch_of_each_earlier_task(replicas: int) -> None:
    method = method_of("class", "method.name=stored_real", f"training.replicas={replicas}")
    assert [list(method.trains_on(task)) for task in range(3)] == [[0], [0, 1], [0, 1, 2]]
    drawn = [batch(seed) for seed in range(3 * replicas)]
    if replicas > 1:
        pairs = zip(drawn[::2], drawn[1::2], strict=True)
        drawn = [(torch.stack(inputs), torch.stack(labels)) for inputs, labels in (zip(*p, strict=True) for p in pairs)]
    for task, each in enumerate(method._replay(drawn[:2], drawn[2], StepInfo(2, 0, 0.1))):
        inputs, labels = drawn[task]
        assert each.task == task
        assert torch.equal(each.inputs, inputs[..., :8, :, :, :])
        assert torch.equal(each.labels, labels[..., :8])


@pytest.mark.parametrize(
    ("scenario", "overrides", "message"),
    [
        ("task", ["method.name=lwf", "method.new_classes=zero_logit"], "would have no effect in scenario task"),
        ("domain", [*SOFT, "method.new_classes=zero_logit"], "would have no effect in scenario domain"),
        ("class", [*HARD, "method.new_classes=zero_logit"], "would have no effect with hard targets"),
        ("class", [*HARD, "method.temperature=3"], "temperature 3.0 would have no effect with hard targets"),
        ("class", ["method.name=er", "method.budget=8"], "each of the stream's 9 classes: give at least 9"),
        ("class", ["method.name=er", "method.replay_share=1"], "replay_share"),
    ],
)
def test_what_would_do_nothing_is_refused(scenario: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        setting(scenario, *overrides)
