"""Which form is taken, at the points where it changes."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from hypercl.hypernets import Hypernetwork
from hypercl.regularizers import DirectForm, GramForm, HeadMask, cheaper_form
from hypercl.regularizers.costs import (
    MOST_GENERATED,
    NUMBERS_AT_ONCE,
    Sizes,
    at_once,
    direct_cost,
    direct_work,
    gram_cost,
    gram_work,
    numbers_at_once,
    quicker_form,
)
from hypercl.regularizers.device_speed import ASSUMED, DeviceSpeed
from tests.pretended_gpu import DEVICE, pretended_gpu

CPU = torch.device("cpu")

SPLIT_MNIST = Hypernetwork(475_202, 42_000, (10, 10), 96, 96)
PERMUTED_100 = Hypernetwork(2_036_010, 7_500, (200, 250, 350), 128, 12)
RESNET = Hypernetwork(468_540, 7_000, (), 32, 32)
FULL = Hypernetwork(50_000, 50_000, (100,), 32)
SMALL = Hypernetwork(1_000, 200, (6,), 4, 3)


def switches_at(hypernet: Hypernetwork) -> int | None:
    """The number of earlier tasks from which on the Gram form is taken."""
    forms = [cheaper_form(GramForm(hypernet).sizes(tasks), CPU) for tasks in range(1, 400)]
    first = forms.index("gram") if "gram" in forms else None
    assert first is None or set(forms[first:]) == {"gram"}
    return None if first is None else first + 1


@pytest.mark.parametrize("hypernet", [SPLIT_MNIST, PERMUTED_100, RESNET], ids=["split", "permuted", "resnet"])
def test_the_settings_of_the_paper_take_the_gram_form_from_the_second_task_to_be_held_on(hypernet):
    assert switches_at(hypernet) in (1, 2)


def test_a_full_hypernetwork_takes_it_once_tasks_outnumber_what_the_head_reads():
    tasks = switches_at(FULL)
    assert tasks is not None
    assert 20 < tasks < 200


def test_a_small_hypernetwork_keeps_the_direct_form_of_few_calls():
    assert (switches_at(SMALL) or 400) > 50


def test_a_linear_hypernetworks_cost_does_not_depend_on_the_pairs():
    sizes = GramForm(RESNET).sizes(5)
    assert gram_cost(replace(sizes, pairs=10 * sizes.pairs)) == gram_cost(sizes)
    assert direct_cost(replace(sizes, pairs=10 * sizes.pairs)) == 10 * direct_cost(sizes)


def test_the_sizes_are_those_of_the_hypernetwork():
    assert GramForm(SPLIT_MNIST).sizes(4) == Sizes(48, 0, 10, 42_000, 10 * 192 + 100, False, 2, 10, 2)


SLOW_CALLS = DeviceSpeed(call=1e-3, replayed_call=1e-4, operation=1e-13, number=1e-12)
SLOW_MEMORY = DeviceSpeed(call=1e-7, replayed_call=1e-8, operation=1e-13, number=1e-9)


def test_where_calls_are_slow_the_form_of_few_is_taken_and_where_memory_is_the_form_of_few_numbers() -> None:
    sizes = GramForm(SPLIT_MNIST).sizes(4)
    assert quicker_form(sizes, SLOW_CALLS, recorded=False) == "direct"
    assert quicker_form(sizes, SLOW_MEMORY, recorded=False) == "gram"


def test_recorded_steps_pay_less_for_calls() -> None:
    sizes = GramForm(SPLIT_MNIST).sizes(4)
    speed = replace(SLOW_MEMORY, call=1e-2)
    assert quicker_form(sizes, speed, recorded=False) == "direct"
    assert quicker_form(sizes, speed, recorded=True) == "gram"


def test_replicas_share_calls_and_nothing_else() -> None:
    sizes, speed = GramForm(SPLIT_MNIST).sizes(1), replace(SLOW_MEMORY, call=1e-3)
    assert quicker_form(sizes, speed, recorded=False) == "direct"
    assert quicker_form(sizes, speed, recorded=False, replicas=64) == "gram"
    assert {cheaper_form(sizes, CPU, replicas=replicas) for replicas in (1, 64)} == {cheaper_form(sizes, CPU)}


def test_on_an_accelerator_too_the_gram_form_stays_once_it_is_taken() -> None:
    sizes = [GramForm(PERMUTED_100).sizes(tasks) for tasks in range(1, 100)]
    forms = [quicker_form(each, ASSUMED, recorded=True) for each in sizes]
    first = forms.index("gram")
    assert first > 0
    assert set(forms[first:]) == {"gram"}


def test_what_would_take_much_memory_is_not_generated_at_once() -> None:
    sizes = GramForm(SMALL).sizes(4)
    assert quicker_form(sizes, SLOW_CALLS, recorded=True) == "direct"
    many = replace(sizes, pairs=MOST_GENERATED // sizes.rows + 1)
    assert quicker_form(many, SLOW_CALLS, recorded=True) == "gram"


def test_the_choice_of_the_cpu_is_not_that_of_an_accelerator() -> None:
    sizes = GramForm(SPLIT_MNIST).sizes(4)
    assert cheaper_form(sizes, CPU) == "gram"
    assert cheaper_form(sizes, DEVICE) == quicker_form(sizes, ASSUMED, recorded=False) == "direct"


def test_a_block_of_pairs_is_as_large_as_makes_its_calls_cheap_within_bounds() -> None:
    assert numbers_at_once(CPU) == NUMBERS_AT_ONCE == 2_000_000
    assert at_once(DeviceSpeed(call=1e-6, replayed_call=1e-6, operation=1e-13, number=1e-12)) == 8_000_000
    assert at_once(SLOW_MEMORY) == NUMBERS_AT_ONCE
    assert at_once(SLOW_CALLS) == MOST_GENERATED // 4
    assert numbers_at_once(DEVICE) == at_once(ASSUMED)


def test_more_blocks_of_pairs_make_more_calls() -> None:
    sizes = GramForm(SPLIT_MNIST).sizes(4)
    assert gram_work(sizes, 48).calls < gram_work(sizes, 24).calls < gram_work(sizes, 5).calls


KINDS = {
    "two layers": Hypernetwork(47_202, 4_200, (10, 10), 9, 9),
    "three layers": Hypernetwork(20_301, 750, (20, 25, 35), 12, 12),
    "linear": Hypernetwork(46_540, 7_000, (), 32, 32),
    "full": Hypernetwork(50_000, 50_000, (100,), 32),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_calls_of_the_model_are_those_of_a_step_within_a_quarter(kind: str, masked: bool) -> None:
    hypernet, tasks = KINDS[kind], 3
    with pretended_gpu() as gpu:
        heads = torch.tensor([[0, 2], [2, 4], [4, 6], [6, 8], [8, 10]]).to(DEVICE)
        mask = HeadMask(_outputs(hypernet.num_weights), heads) if masked else None
        theta = {name: value.to(DEVICE) for name, value in hypernet.init(torch.Generator().manual_seed(1)).items()}
        embeddings = torch.ones(tasks, hypernet.embedding_size, device=DEVICE)
        forms: list[Any] = [GramForm(hypernet, mask), DirectForm(hypernet, mask)]
        for form in forms:
            anchor, gradient = form.anchor(theta, embeddings), {n: torch.zeros_like(v) for n, v in theta.items()}
            gpu.reset()
            form.add_gradient_(gradient, theta, anchor)
            calls, sizes = sum(gpu.kernels.values()), GramForm(hypernet, mask).sizes(tasks)
            work = gram_work(sizes, sizes.pairs) if isinstance(form, GramForm) else direct_work(sizes)
            assert calls == pytest.approx(work.calls, rel=0.25, abs=3)


def _outputs(weights: int) -> Tensor:
    """The last weights belong to ten outputs."""
    outputs = torch.full((weights,), -1)
    outputs[-500:] = torch.arange(10).repeat_interleave(50)
    return outputs.to(DEVICE)
