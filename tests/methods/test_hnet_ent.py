"""The network that is surest of its answer decides, and nothing it says can make that undefined."""

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_learners import learner, trained

from hypercl.methods import Decision
from hypercl.methods.hnet_ent import relative_entropy

ENT = ("method.name=hnet_ent", "tasks.scenario=class")


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_entropy_is_a_share_of_the_largest_and_never_undefined(rows: list[list[float]]) -> None:
    found = relative_entropy(torch.tensor(rows))
    assert torch.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= 1 + 1e-5).all()


def test_the_entropy_is_that_of_the_softmax() -> None:
    logits = torch.tensor([[0.0, 0.0], [3.0, 1.0]], dtype=torch.float64)
    share = torch.softmax(logits, -1)
    wanted = -(share * share.log()).sum(-1) / log(2)
    torch.testing.assert_close(relative_entropy(logits), wanted)
    assert relative_entropy(torch.tensor([[1e4, -1e4]])).tolist() == [0.0]


def decided(method, state, inputs, met: int) -> Decision:
    decision = None
    for decide in method.task_inferences(state, met):
        decision = decide(inputs, decision)
    assert decision is not None
    return decision


@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_of_all_tasks_met_the_one_with_the_least_entropy_answers(scenario: str) -> None:
    method = learner(*ENT, f"tasks.scenario={scenario}", "method.temperature=2")
    state = trained(method, 3)
    inputs = torch.rand(40, 1, 8, 8)
    for met in (1, 2, 3):
        found = decided(method, method.inference_state(state), inputs, met)
        each = torch.stack([method.predictor(state, task)(inputs) for task in range(met)])
        tasks = relative_entropy(each / 2).argmin(0)
        answers = each.argmax(-1).gather(0, tasks[None])[0]
        assert torch.equal(found.tasks, tasks)
        assert torch.equal(found.outputs, answers + (2 * tasks if scenario == "class" else 0))


def test_one_pass_a_task_holds_the_weights_of_few_tasks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    method = learner(*ENT)
    state, inputs = trained(method, 3), torch.rand(10, 1, 8, 8)
    whole = decided(method, state, inputs, 3)
    monkeypatch.setattr("hypercl.methods.network_learner.WEIGHTS_AT_ONCE", 1)
    assert torch.equal(decided(method, state, inputs, 3).outputs, whole.outputs)
    assert len(list(method.task_inferences(state, 3))) == 3


def test_replicas_decide_each_for_itself() -> None:
    bundle = learner(*ENT, "training.replicas=2")
    state, inputs = bundle.init(), torch.rand(30, 1, 8, 8)
    found = decided(bundle, state, inputs, 3)
    for replica, seed in enumerate(bundle.spec.seeds):
        alone = learner(*ENT, f"training.seed={seed}")
        single = decided(alone, alone.init(), inputs, 3)
        assert torch.equal(found.outputs[replica], single.outputs)
        assert torch.equal(found.tasks[replica], single.tasks)
