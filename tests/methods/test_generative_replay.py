"""HNET+R, HNET+TIR and DGR: what is replayed, to whom, and what becomes of it."""

from typing import Any

import pytest
import torch
from few_samples import FewSamples
from small_generators import OPTIONS, SMALL, generative
from test_learners import batch, experiment, learner, same, trained
from test_replicas import SEEDS, assert_replicas_are_single_runs
from test_replicas import trained as trained_in_float64

from hypercl.methods import Decision, Learner, State, StepInfo
from hypercl.tasks import BundledBatches, open_stream
from hypercl.training import build_bundle, build_learner

NAMES = tuple(OPTIONS)
NOW = StepInfo(2, 3, 1e-2)


def decided(method: Learner, state: State, met: int, inputs: torch.Tensor) -> Decision:
    decision = None
    for decide in method.task_inferences(state, met):
        decision = decide(inputs, decision)
    assert decision is not None
    return decision


def memory_of(method: Learner) -> tuple[State, Any]:
    state = method.start_task(trained(method, 2), 2)
    return state, method.task_context(state, 2)


@pytest.mark.parametrize("name", NAMES)
def test_each_replica_equals_its_own_single_run(name: str) -> None:
    assert_replicas_are_single_runs(6, *OPTIONS[name])


def test_replicas_may_differ_in_the_generators_beta() -> None:
    betas = [f"method.generator.beta={beta}" for beta in (0.1, 0, 7)]
    settings = [experiment(*OPTIONS["hnet_replay"], beta) for beta in betas]
    rate = settings[0].training.optimizer.lr
    state, _ = trained_in_float64(build_bundle(settings, torch.device("cpu")), 4, SEEDS, rate)
    for index, (setting, seed) in enumerate(zip(settings, SEEDS, strict=True)):
        own, _ = trained_in_float64(build_learner(setting, torch.device("cpu")), 4, (seed,), rate)
        for name, expected in own["generator"]["theta"].items():
            torch.testing.assert_close(state["generator"]["theta"][name][index], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_restart_amid_a_task_changes_nothing(name: str) -> None:
    def steps(method: Learner, state: State, context: Any, first: int) -> State:
        for step in range(first, first + 3):
            state, _ = method.step(state, context, [batch(step)], StepInfo(2, step, 1e-2))
        return state

    method = generative(name)
    state, context = memory_of(method)
    whole = steps(method, steps(method, state, context, 0), context, 3)
    half, context = memory_of(generative(name))
    half, other = steps(method, half, context, 0), generative(name)
    assert same(steps(other, half, other.task_context(half, 2), 3), whole)


def test_hnet_replay_shares_the_replay_among_the_earlier_tasks() -> None:
    method: Any = generative("hnet_replay")
    _, context = memory_of(method)
    for samples in (16, 15):
        inputs, labels = batch(1)
        found = method._replay(context.source, (inputs[:samples], labels[:samples]), NOW)
        assert [each.task for each in found] == [0, 1]
        assert [each.inputs.shape for each in found] == [(8, 1, 8, 8)] * 2  # ceil(B / t)
        assert all(each.labels is None for each in found)


def test_hnet_replay_shares_the_replay_among_the_earlier_classes() -> None:
    method: Any = generative("hnet_replay, classes")
    _, context = memory_of(method)
    for samples, of_task in ((16, 8), (15, 8), (17, 10)):  # ceil(B / 4) of each class
        inputs, labels = (each[:samples] for each in batch(1)) if samples < 17 else (None, torch.zeros(17))
        found = method._replay(context.source, (inputs, labels), NOW)
        assert [each.task for each in found] == [0, 1]
        assert [each.inputs.shape for each in found] == [(of_task, 1, 8, 8)] * 2
        assert all(each.labels is None for each in found)


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_sample_of_a_class_has_it_as_hard_target(scenario: str, replicas: int) -> None:
    changes = f"tasks.scenario={scenario}", "method.targets=hard", f"training.replicas={replicas}"
    method: Any = generative("hnet_replay, classes", *changes)
    state = method.start_task(method.init(), 2)
    assert not state["teacher"]
    source, leading = method.task_context(state, 2).source, (replicas,) if replicas > 1 else ()
    found = method._replay(source, (None, torch.zeros(*leading, 16)), NOW)
    drawn = method.generator.draw(source, 4, NOW)
    assert [each.task for each in found] == [0, 1]
    for task, each in enumerate(found):
        assert torch.equal(each.labels, torch.tensor([0] * 4 + [1] * 4).expand(*leading, -1))
        for label in range(2):
            own = each.inputs[..., 4 * label : 4 * label + 4, :, :, :]
            assert torch.equal(own, drawn[..., 2 * task + label, :, :, :, :])


def test_dgr_replays_as_many_samples_as_are_new_of_no_known_task() -> None:
    method: Any = generative("dgr")
    _, context = memory_of(method)
    (found,) = method._replay(context.source, batch(1), NOW)
    assert found.inputs.shape == (16, 1, 8, 8)
    assert found.task is None
    assert found.labels is None


@pytest.mark.parametrize("name", ["hnet_replay", "dgr"])
def test_soft_and_hard_targets_teach_something_else(name: str) -> None:
    soft, hard = (trained(generative(name, f"method.targets={kind}"), 2) for kind in ("soft", "hard"))
    assert same(soft["generator"], hard["generator"])
    assert not same(soft["theta"], hard["theta"])


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_every_task_can_be_shown(name: str) -> None:
    method = generative(name)
    state = trained(method, 3)
    shown = [method.replayed(state, task, 7) for task in range(3)]
    for inputs in shown if name != "dgr" else shown[:1]:
        assert inputs is not None
        assert inputs.shape == (7, 1, 8, 8)
        assert inputs.min() >= 0
        assert inputs.max() <= 1
    if name == "dgr":
        assert shown[1:] == [None, None]


@pytest.mark.parametrize("name", NAMES)
def test_predictions_need_no_generator(name: str) -> None:
    method = generative(name, "tasks.scenario=class")
    state = trained(method, 2)
    known = method.inference_state(state)
    assert "generator" not in known
    inputs, _ = batch(1)
    assert torch.equal(decided(method, known, 2, inputs).outputs, decided(method, state, 2, inputs).outputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_put_back_to_its_best_knowledge_goes_on(name: str) -> None:
    """As a run does when a task is learned whose validation accuracy had been higher."""
    method = generative(name, "tasks.scenario=class")
    state, context = memory_of(method)
    best = method.inference_state(state)
    state, _ = method.step(state, context, [batch(1)], NOW)
    ended = method.end_task({**state, **best}, 2, FewSamples(2))
    assert same(method.inference_state(ended), best)
    assert method.replayed(ended, 2, 3) is not None or name == "dgr"


class TestTaskInference:
    def test_learns_its_classifier_as_hnet_does(self) -> None:
        alone = trained(learner("method={name: hnet}"), 3)
        both = trained(generative("hnet_tir"), 3)
        assert same(both["theta"], alone["theta"])
        assert same(both["embeddings"], alone["embeddings"])

    def test_has_nothing_to_tell_apart_at_the_first_task(self) -> None:
        method = generative("hnet_tir")
        assert same(trained(method, 1)["inference"]["theta"], method.init()["inference"]["theta"])
        assert (decided(method, trained(method, 1), 1, batch(1)[0]).tasks == 0).all()  # pyright: ignore[reportOptionalMemberAccess]
        assert not same(trained(method, 2)["inference"]["theta"], method.init()["inference"]["theta"])

    @pytest.mark.parametrize("scenario", ["domain", "class"])
    def test_the_inferred_task_decides_with_its_own_network(self, scenario: str) -> None:
        method: Any = generative("hnet_tir", f"tasks.scenario={scenario}")
        state = trained(method, 3)
        inputs = torch.rand(60, 1, 8, 8)
        found = decided(method, state, 3, inputs)
        inference = method.inference
        logits, _ = inference.spec.target(state["inference"]["theta"]["weights"], {}, inputs, training=False)
        assert logits.shape == (60, 3)
        assert found.tasks is not None
        assert torch.equal(found.tasks, logits.argmax(1))
        for task, head in enumerate(method.spec.heads):
            own = found.tasks == task
            expected = method.predictor(state, task)(inputs[own]).argmax(1) + head.start
            assert torch.equal(found.outputs[own], expected)

    def test_samples_of_an_earlier_task_are_labelled_by_it(self) -> None:
        method: Any = generative("hnet_tir", "method.replay_share=0.25")
        _, context = memory_of(method)
        (found,) = method.inference._replay(context.generator, batch(1), NOW)
        assert found.inputs.shape == (16, 1, 8, 8)
        assert found.labels.tolist() == [0] * 8 + [1] * 8
        assert method.inference.spec.heads == (slice(0, 1), slice(1, 2), slice(2, 3))
        assert method.inference.share(2) == 0.25

    def test_samples_of_an_earlier_class_are_labelled_by_its_task(self) -> None:
        method: Any = generative(
            "hnet_tir, classes", "tasks.classes_per_task=[2, 3, 4]", "method.generator.condition_size=9"
        )
        _, context = memory_of(method)
        (found,) = method.inference._replay(context.generator, batch(1), NOW)
        assert found.inputs.shape == (20, 1, 8, 8)  # ceil(16 / 5) of each class
        assert found.labels.tolist() == [0] * 8 + [1] * 12


@pytest.mark.parametrize("name", ["finetune", *NAMES])
def test_digits_of_earlier_tasks_are_told_apart_thanks_to_replay(name: str, tmp_path: Any) -> None:
    """Real digits in scenario class: without replay only the last task's are right, a third."""
    options = ["method={name: finetune}", "hypernet.name=none"] if name == "finetune" else list(OPTIONS[name])
    options = [each for each in options if each not in SMALL]
    if name != "finetune":
        options += ["method.generator.encoder=[60]", "method.generator.decoder=[60]", "method.generator.latent=8"]
    if name not in ("finetune", "dgr"):
        options += ["method.generator.hypernet.chunk_size=2000", "method.generator.hypernet.hidden=[10]"]
    config = experiment(*options, "tasks.scenario=class", "target.hidden=[40]")
    method, stream = build_learner(config, torch.device("cpu")), open_stream(config.tasks, tmp_path, offline=True)
    state, tasks = method.init(), [stream.task(index) for index in range(3)]
    for task in range(3):
        state, batches = method.start_task(state, task), BundledBatches(tasks[task], 32, [1])
        context = method.task_context(state, task)
        for step in range(80):
            inputs, labels = (each[0] for each in batches(step))
            state, _ = method.step(state, context, [(inputs, labels)], StepInfo(task, step, 1e-2))
        state = method.end_task(state, task, FewSamples(task))
    right = []
    for task in tasks:
        images, labels = task.validation[torch.arange(len(task.validation))]
        found = decided(method, state, 3, task.inputs(images))
        right.append(float((found.outputs == labels + task.head.start).float().mean()))
    assert (sum(right) / 3 > 0.6) == (name != "finetune"), right
