"""The harness of the benchmarks; nothing is timed here."""

import json
import platform
import resource
from itertools import islice
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from hypercl.config import UserError
from hypercl.training.memory import keep_freed_memory
from tests.benchmarks import agreement, products, run, step, timing, whole_run
from tests.benchmarks.apart import Apart
from tests.benchmarks.options import Options
from tests.benchmarks.settings import PERMUTED_MNIST_100, RESNET_32, SPLIT_MNIST, learner_of, synthetic_batches
from tests.benchmarks.sides import Ours, Theirs
from tests.benchmarks.table import FIELDS, Row, share, speedup

CPU = torch.device("cpu")
OLD_TORCH = pytest.mark.filterwarnings("ignore:This overload of .* is deprecated:UserWarning")
SMALL = {"target__hidden": [6], "hypernet__chunk_size": 1000}
SLOW, QUICK = speedup("slow", ">= 7", ours=1.0, peer=6.9), speedup("quick", ">= 7", ours=1.0, peer=7.0)


@pytest.fixture
def measured(monkeypatch):
    """Gives a group its rows, or what it raises."""

    def give(*found):
        def measures(options):
            del options
            for row in found:
                if isinstance(row, Exception):
                    raise row
                yield row

        monkeypatch.setattr(run.importlib, "import_module", Mock(return_value=SimpleNamespace(measures=measures)))

    return give


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (SLOW, False),
        (QUICK, True),
        (share("growth", "<= 1.1", "ms", ours=11.0, peer=10.0), True),
        (share("growth", "<= 1.1", "ms", ours=11.1, peer=10.0), False),
        (Row("gpu", ">= 6", "ms"), None),
    ],
)
def test_met_follows_from_ratio_and_goal(row, met):
    assert row.met is met


def test_a_speedup_tells_milliseconds_and_how_often_ours_fits_into_the_peer():
    assert (QUICK.ours, QUICK.peer, QUICK.ratio) == (1000, 7000, 7)


def test_table_and_json_have_the_same_fields(measured, tmp_path, capsys):
    measured(QUICK, Row("on a GPU", ">= 6", "ms", note="no CUDA device here"))
    given = ["--only", "step", "--json", str(tmp_path / "t.json"), "--markdown", str(tmp_path / "t.md")]
    assert run.main(given) == 0
    quick, gpu = json.loads((tmp_path / "t.json").read_text())
    assert tuple(quick) == FIELDS
    assert quick["met"] is True
    assert "met" not in gpu
    assert gpu["ratio"] is None
    header, _, first, second = (tmp_path / "t.md").read_text().splitlines()
    assert [cell.strip() for cell in header.split("|")[1:-1]] == [*FIELDS, "note"]
    assert [cell.strip() for cell in first.split("|")[1:-1]] == ["quick", ">= 7", "1000", "7000", "7", "ms", "yes", ""]
    assert "not measured" in second
    assert "quick" in capsys.readouterr().out


@pytest.mark.parametrize(("rows", "code"), [([QUICK], 0), ([QUICK, SLOW], 1), ([QUICK, UserError("no data")], 2)])
def test_a_miss_is_exit_code_1_and_what_cannot_be_measured_2(measured, rows, code, capsys):
    measured(*rows)
    assert run.main(["--only", "step"]) == code
    assert ("no data" in capsys.readouterr().err) is (code == 2)


@pytest.mark.parametrize("group", ["run", "replicas"])
def test_missing_data_is_said_and_exit_code_2(group, tmp_path, capsys):
    assert run.main(["--only", group, "--data-dir", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_two_runs_take_turns_and_each_is_timed_alone(monkeypatch):
    clock, order = [0.0], []

    def side(name, seconds, accuracies):
        for accuracy in accuracies:
            order.append(name)
            clock[0] += seconds
            yield accuracy
        clock[0] += seconds

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    seconds, last = whole_run.in_turns(
        {"peer": timing.told(side("peer", 3, [0.1, 0.2])), "ours": timing.told(side("ours", 1, [0.3, 0.4]))}
    )
    assert order == ["peer", "ours"] * 2
    assert seconds == {"peer": 9, "ours": 3}
    assert last == {"peer": 0.2, "ours": 0.4}


def test_the_groups_are_listed_and_none_is_run(measured, capsys):
    measured(AssertionError("something was measured"))
    assert run.main(["--list"]) == 0
    listed = "step growth memory run replicas inference kernels sweep search"
    assert capsys.readouterr().out.split() == listed.split()


def test_every_group_has_its_module():
    for group, module in run.GROUPS.items():
        assert callable(run.importlib.import_module(f"tests.benchmarks.{module}").measures), group


def test_sides_are_timed_in_turns(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS_A_TURN", 0.0)
    calls = []
    sides = {name: timing.timed(lambda name=name: calls.append(name)) for name in ("peer", "ours")}
    timing.alternate(sides, seconds=0.0)
    turns = [name for name, before in zip(calls, [None, *calls], strict=False) if name != before]
    assert turns == ["peer", "ours"] * 4


@OLD_TORCH
@pytest.mark.parametrize("cl1", [False, True], ids=["one head", "heads of CL1"])
def test_agreement_with_hypnettorch_holds(cl1):
    experiment, shape = SPLIT_MNIST.experiment(cl1, **SMALL), SPLIT_MNIST.shape(cl1)
    batch = synthetic_batches(shape, 8, CPU)[0]
    agreement.require_agreement(experiment, shape, 2, batch)


@OLD_TORCH
@pytest.mark.parametrize("what", ["loss", "regularizer", "gradient"])
def test_a_disagreement_stops_before_anything_is_timed(what, monkeypatch):
    monkeypatch.setattr(step, "alternate", Mock(side_effect=AssertionError("something was timed")))
    method = {"loss": "logits", "regularizer": "regularizer", "gradient": "regularizer"}[what]
    true = getattr(Theirs, method)

    def wrong(self, *given):
        if what == "loss":
            return true(self, *given) + torch.tensor([0.0, 1.0])
        value = true(self, *given)
        if what == "gradient":
            self.hnet.unconditional_params[0].grad.mul_(1.1)
            return value
        return 1.1 * value

    monkeypatch.setattr(Theirs, method, wrong)
    with pytest.raises(agreement.Disagreement, match=rf"disagree in the {'task' if what == 'loss' else what[:8]}"):
        step._against_hypnettorch(SPLIT_MNIST, 1, False, ">= 7", Options(), CPU)


@OLD_TORCH
def test_both_sides_compute_the_same_steps_with_adam():
    experiment = SPLIT_MNIST.experiment(**SMALL, training__optimizer__eps=1e-12)
    shape = SPLIT_MNIST.shape()
    batches = synthetic_batches(shape, 8, CPU)
    ours = Ours(experiment, shape, 2, CPU)
    theirs = Theirs(experiment, shape, ours.state["theta"], ours.state["embeddings"]).start_task(2)
    for batch in batches:
        found, expected = ours.step(batch), theirs.step(batch)
        torch.testing.assert_close(found["task"], expected["task"], rtol=1e-4, atol=0)
        torch.testing.assert_close(found["regularizer"], expected["regularizer"], rtol=1e-2, atol=0)
    assert found["regularizer"] > 0


@pytest.mark.parametrize("cl1", [False, True])
def test_one_head_serves_all_tasks_and_cl1_has_a_head_a_task(cl1):
    shape = RESNET_32.shape(cl1)
    learner = learner_of(RESNET_32.experiment(cl1), shape, CPU)
    assert learner.spec.heads[5] == (slice(50, 60) if cl1 else slice(0, 10))
    assert learner.spec.target.num_outputs == (60 if cl1 else 10)
    assert (learner.regularizer.gram.mask is not None) is cl1


def test_the_products_of_a_step_are_those_of_the_gram_form():
    experiment = PERMUTED_MNIST_100.experiment()
    learner = learner_of(experiment, PERMUTED_MNIST_100.shape(), CPU)
    found = products.products_of_step(experiment, learner.spec.hypernet, learner.spec.target, earlier=99)
    pairs, own, rows, batch = 99 * 272, 272, 7500, 128
    trunk = 3 * pairs * (200 * 250 + 250 * 350)
    weights = 3 * own * (140 * 200 + 200 * 250 + 250 * 350 + 350 * rows)
    target = batch * (2 * 1024 * 1000 + 3 * 1000 * 1000 + 3 * 1000 * 10)
    assert sum(p.flops for p in found) == 2 * (
        4 * rows * 351**2 + trunk + 2 * pairs * (350**2 + 351 * 350) + weights + target
    )


def test_products_are_done_with_their_factors_transposed_as_said():
    given = [products.Product(2, 3, 4), products.Product(2, 3, 4, True, True), products.Product(5, 2, 1, True)]
    products.stepper(given, CPU)()


def test_a_side_apart_gives_what_it_gives_here_and_its_errors_come_back():
    with Apart(range_of, 2) as side:
        assert [found for _, found in side] == [1, 2, None]
    with Apart(range_of, "two") as side, pytest.raises(TypeError):
        next(side)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep freed memory")
def test_a_side_apart_has_the_memory_management_of_its_c_library():
    keep_freed_memory()
    with Apart(page_faults) as side:
        apart = [found for _, found in islice(side, 4)][-1]
    here = list(islice(page_faults(), 4))[-1]
    assert here < 0.1 * apart


def range_of(number):
    yield from range(1, number + 1)


def page_faults():
    while True:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(10_000_000).sum()
        yield resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before + 1
