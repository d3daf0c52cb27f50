"""Which form is taken, at the points where it changes."""

from dataclasses import replace

import pytest

from hypercl.hypernets import Hypernetwork
from hypercl.regularizers import GramForm, cheaper_form
from hypercl.regularizers.output import Sizes, direct_cost, gram_cost

SPLIT_MNIST = Hypernetwork(475_202, 42_000, (10, 10), 96, 96)
PERMUTED_100 = Hypernetwork(2_036_010, 7_500, (200, 250, 350), 128, 12)
RESNET = Hypernetwork(468_540, 7_000, (), 32, 32)
FULL = Hypernetwork(50_000, 50_000, (100,), 32)
SMALL = Hypernetwork(1_000, 200, (6,), 4, 3)


def switches_at(hypernet: Hypernetwork) -> int | None:
    """The number of earlier tasks from which on the Gram form is taken."""
    forms = [cheaper_form(GramForm(hypernet).sizes(tasks)) for tasks in range(1, 400)]
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
    assert GramForm(SPLIT_MNIST).sizes(4) == Sizes(48, 0, 10, 42_000, 10 * 192 + 100, False)
