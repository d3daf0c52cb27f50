from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercl.config import ConfigError, SweepFile, UserError, check_sweep, loads
from hypercl.sweep.study.protocols import (
    Role,
    final_config,
    has_orders,
    leaks,
    protocol_in_words,
    race_config,
    search_config,
)
from hypercl.sweep.study.settings import best_experiment

DIGITS = "{name: split_digits}"
ORDERED = "{name: split_digits, order_seed: 3}"
PERMUTED = "{name: permuted_mnist, num_tasks: 4}"


def file_of(protocol: str, tasks: str = DIGITS, *overrides: str) -> SweepFile:
    text = f"experiment: {{tasks: {tasks}}}\nspace: {{method.beta: {{log_uniform: [1e-3, 10]}}}}\nprotocol: {protocol}"
    return loads(text, "x.yaml", overrides)


def tasks_of(file: SweepFile) -> set[int]:
    tasks = search_config(file).experiment.tasks
    return set(range(tasks.skip, tasks.skip + tasks.num_tasks))


def reported_tasks(file: SweepFile) -> set[int]:
    tasks = final_config(file, {}).tasks
    return set(range(tasks.skip, tasks.skip + tasks.num_tasks))


@pytest.mark.parametrize(
    ("protocol", "tuned", "reported"),
    [
        ("{name: stream}", {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}),
        ("{name: first_k}", {0, 1, 2}, {3, 4}),
        ("{name: first_k, k: 1}", {0}, {1, 2, 3, 4}),
        ("{name: first_task}", {0}, {0, 1, 2, 3, 4}),
        ("{name: stability_decay}", {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}),
        ("{name: test_leak}", {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}),
    ],
)
def test_a_protocol_says_which_tasks_are_tuned_and_which_reported_on(protocol, tuned, reported):
    file = file_of(protocol)
    assert tasks_of(file) == tuned
    assert reported_tasks(file) == reported


def test_trials_have_a_fraction_of_the_length_and_what_is_selected_all_of_it():
    file = file_of("{name: stream}", DIGITS, "training.epochs=20", "search.fidelity={training.epochs: 0.33}")
    trial, race, final = search_config(file).experiment, race_config(file, {}, 0, 1), final_config(file, {})
    assert (trial.training.epochs, race.training.epochs, final.training.epochs) == (7, 20, 20)
    assert file.at_fidelity == search_config(file).at_fidelity == " after 33 % of the epochs"


def test_no_length_is_rounded_to_nothing():
    file = file_of("{name: stream}", DIGITS, "search.fidelity={training.iterations: 0.0001}")
    assert search_config(file).experiment.training.iterations == 1


def test_auto_is_a_tenth_of_the_length_that_the_experiment_has():
    lengths = ("training.iterations=3000", "training.epochs=50")
    files = [file_of("{name: stream}", DIGITS, "search.fidelity=auto", length) for length in lengths]
    assert [file.fidelity for file in files] == [{"training.iterations": 0.1}, {"training.epochs": 0.1}]
    assert [search_config(file).experiment.training.epochs for file in files] == [None, 5]


def test_trials_on_a_part_of_the_stream_have_its_first_tasks():
    unequal = "{name: split_digits, classes_per_task: [2, 3, 3, 2]}"
    file = file_of("{name: stream}", unequal, "search.fidelity={tasks.num_tasks: 0.5}")
    assert search_config(file).experiment.tasks.classes == (2, 3)
    assert race_config(file, {}, 0, 1).tasks.classes == final_config(file, {}).tasks.classes == (2, 3, 3, 2)


def test_a_protocol_may_cut_the_stream_and_trials_be_shorter_too():
    file = file_of("{name: first_k, k: 2}", DIGITS, "search.fidelity={training.iterations: 0.5}")
    trial, race = search_config(file).experiment, race_config(file, {}, 0, 1)
    assert [(one.tasks.num_tasks, one.training.iterations) for one in (trial, race)] == [(2, 1000), (2, 2000)]


def test_a_stream_that_begins_later_is_cut_where_it_begins():
    file = file_of("{name: first_k, k: 2}", "{name: split_digits, skip: 1, num_tasks: 4}")
    assert tasks_of(file) == {1, 2}
    assert reported_tasks(file) == {3, 4}


def test_tasks_of_unequal_size_are_cut_with_their_classes():
    file = file_of("{name: first_k, k: 1}", "{name: split_digits, classes_per_task: [2, 3, 5]}")
    assert search_config(file).experiment.tasks.classes == (2,)
    assert final_config(file, {}).tasks.classes == (3, 5)


@given(
    tasks=st.sampled_from([DIGITS, ORDERED, PERMUTED]),
    protocol=st.sampled_from(["{name: stream}", "{name: first_k, k: 2}", "{name: test_leak}", "{name: first_task}"]),
    first=st.integers(0, 999),
    seeds=st.integers(1, 50),
    start=st.integers(0, 500),
)
def test_seeds_and_orders_of_searching_selecting_and_reporting_never_meet(tasks, protocol, first, seeds, start):
    file = file_of(protocol, tasks, f"training.seed={first}", f"search.seeds={seeds}")
    tuned = search_config(file)
    runs = {
        Role.SEARCH: tuned.experiment,
        Role.SELECTION: race_config(tuned, {"method.beta": 0.1}, start, seeds),
        Role.REPORT: final_config(file, {"method.beta": 0.1}, start, seeds),
    }
    for one, other in combinations(runs.values(), 2):
        used, new = (set(range(e.training.seed, e.training.seed + e.training.replicas)) for e in (one, other))
        assert not used & new
        if has_orders(file.experiment) and "first_k" not in protocol:
            assert one.tasks.order_seed != other.tasks.order_seed
    assert runs[Role.SELECTION].tasks.num_tasks == tuned.experiment.tasks.num_tasks


def test_a_stream_in_its_own_order_keeps_it():
    assert final_config(file_of("{name: stream}"), {}, start=4).tasks.order_seed is None


@pytest.mark.parametrize("tasks", [ORDERED, PERMUTED])
@pytest.mark.parametrize("protocol", ["{name: stream}", "{name: first_task}", "{name: test_leak}"])
def test_the_best_setting_is_trained_on_the_stream_as_written(tasks, protocol):
    file = file_of(protocol, tasks)
    best = best_experiment(file, {"method.beta": 0.5}, threads=2)
    assert best.tasks == file.experiment.tasks
    assert (best.method.beta, best.training.threads) == (0.5, 2)
    assert best.training.seed not in (file.experiment.training.seed, race_config(file, {}, 0, 1).training.seed)


def test_the_best_setting_is_trained_on_the_stream_that_transfer_names():
    file = file_of("{name: transfer, to: {order_seed: 7}}", PERMUTED)
    assert best_experiment(file, {}, threads=1).tasks.order_seed == 7
    assert best_experiment(file_of("{name: first_k, k: 2}", ORDERED), {}, threads=1).tasks.skip == 2


def test_tasks_that_were_not_tuned_on_need_no_other_order():
    file = file_of("{name: first_k}", ORDERED)
    assert final_config(file, {}, start=4).tasks.order_seed == search_config(file).experiment.tasks.order_seed


def test_transfer_reports_on_other_permutations():
    file = file_of("{name: transfer, to: {order_seed: 7}}", PERMUTED)
    assert search_config(file) == file
    found = final_config(file, {"method.beta": 0.5})
    assert found.tasks.order_seed not in (file.experiment.tasks.order_seed, None)
    assert (found.tasks.num_tasks, found.tasks.padding, found.method.beta) == (4, 2, 0.5)


def test_transfer_reports_on_another_data_set_of_the_same_shape():
    file = file_of("{name: transfer, to: {name: split_cifar100, num_tasks: 3}}", "{name: split_cifar10}")
    found = final_config(file, {})
    assert (found.tasks.name, found.tasks.num_tasks, found.tasks.classes_per_task) == ("split_cifar100", 3, 10)


@pytest.mark.parametrize(
    ("file", "fragment"),
    [
        (("{name: transfer, to: {name: split_cifar10}}",), "name a stream of the same shape"),
        (("{name: transfer, to: {name: split_digits}}",), "it is the stream that is tuned on"),
    ],
)
def test_a_stream_that_cannot_be_reported_on_is_refused_with_the_fix(file, fragment):
    with pytest.raises(UserError, match=fragment):
        final_config(file_of(*file), {})


@pytest.mark.parametrize(
    ("file", "fragment"),
    [
        (("{name: first_k, k: 5}",), r"protocol.k: tuning on the first 5 of 5 tasks leaves none[\s\S]*at most 4"),
        (("{name: stream}", DIGITS, "search.seeds=3", "training.replicas=2"), "leave out experiment.training.replicas"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused_before_any_work(file, fragment):
    with pytest.raises(ConfigError, match=fragment):
        check_sweep(file_of(*file), "x.yaml")


def test_a_mistake_in_the_stream_to_report_on_is_named():
    with pytest.raises(ConfigError, match=r"protocol.to[\s\S]*num_taks[\s\S]*num_tasks"):
        final_config(file_of("{name: transfer, to: {num_taks: 3}}"), {})


def test_seeds_of_the_search_are_replicas_of_a_trial():
    assert search_config(file_of("{name: stream}", DIGITS, "search.seeds=3")).experiment.training.replicas == 3
    assert final_config(file_of("{name: stream}", DIGITS, "search.seeds=3"), {}).training.replicas == 1


@pytest.mark.parametrize(
    "protocol",
    ["stream", "first_k", "first_task", "stability_decay", "test_leak", "transfer, to: {order_seed: 1}"],
)
def test_every_protocol_is_told_in_words(protocol):
    file = file_of(f"{{name: {protocol}}}")
    name = protocol.partition(",")[0]
    text = protocol_in_words(file)
    assert text.startswith(f"{name}: ")
    assert leaks(file) == ("TUNED ON TEST DATA" in text) == (name == "test_leak")
