"""The forms of the output regulariser, in a learner."""

from typing import Any

import pytest
import torch
from test_learners import batch, copied, learner, trained
from torch import Tensor

from hypercl.methods import Learner, StepInfo
from hypercl.regularizers import GramAnchor

FORM = "method.regularizer.form"


def memory_of(method: Any, task: int) -> Any:
    state = method.start_task(trained(method, task), task)
    return method.task_context(state, task)


@pytest.mark.parametrize("options", [(), ("method.train_earlier_embeddings=true",), ("hypernet.hidden=[]",)])
@pytest.mark.parametrize("heads", ["true", "false"])
def test_the_gram_form_trains_as_the_direct_form_does(options: tuple[str, ...], heads: str) -> None:
    options = (*options, f"method.regularizer.mask_heads={heads}", "training.optimizer.name=sgd")
    direct = trained(learner(*options, f"{FORM}=direct"), 3, steps=8)
    gram = trained(learner(*options, f"{FORM}=gram"), 3, steps=8)
    for name, value in direct["theta"].items():
        torch.testing.assert_close(gram["theta"][name], value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gram["embeddings"], direct["embeddings"], rtol=1e-4, atol=1e-6)


def test_the_cheaper_form_is_taken_at_each_task() -> None:
    small = learner()
    assert not isinstance(memory_of(small, 2), GramAnchor)
    large = learner("target={name: mlp, hidden: [1000, 1000]}", "hypernet.chunk_size=4000")
    state = large.start_task({**large.init(), "anchor": {}}, 1)
    assert isinstance(large.task_context(state, 1), GramAnchor)
    assert isinstance(memory_of(learner(f"{FORM}=gram"), 1), GramAnchor)
    large = learner("target={name: mlp, hidden: [1000, 1000]}", "hypernet.chunk_size=4000", f"{FORM}=direct")
    state = large.start_task({**large.init(), "anchor": {}}, 1)
    assert not isinstance(large.task_context(state, 1), GramAnchor)


def test_a_step_compares_so_many_pairs_as_asked_others_at_each_step() -> None:
    some, every = learner("method.regularizer.pairs=3"), learner(f"{FORM}=gram")
    state = every.start_task(trained(every, 2), 2)
    context = every.task_context(state, 2)
    assert isinstance(some.task_context(state, 2), GramAnchor)
    state, _ = every.step(state, context, [batch(0)], StepInfo(2, 0, 1e-2))

    def value(method: Learner, step: int) -> Tensor:
        return method.step(copied(state), context, [batch(0)], StepInfo(2, step, 1e-2))[1]["regularizer"]

    still = [value(some, step) for step in range(400)]
    again, whole = value(some, 7), value(every, 7)
    values = torch.stack(still)
    assert again == values[7]
    assert len(set(values.tolist())) > 20
    assert abs(values.mean() - whole) < 4 * values.std() / 20


def test_more_pairs_than_there_are_compare_all() -> None:
    many, every = learner("method.regularizer.pairs=10000"), learner()
    assert torch.equal(trained(many, 3)["theta"]["chunks"], trained(every, 3)["theta"]["chunks"])


def test_a_subset_of_the_tasks_is_compared_in_the_gram_form_too() -> None:
    values = [
        trained(learner("method.regularizer.tasks=1", f"{FORM}={form}"), 3)["theta"]["head"]
        for form in ("direct", "gram")
    ]
    torch.testing.assert_close(values[0], values[1], rtol=1e-3, atol=1e-5)
