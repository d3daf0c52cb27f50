"""The shipped search spaces: each can be swept as it is, and what they share is really shared."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hypercl.config import assign, load, load_sweep
from hypercl.config.explain.schema import sweep_schema
from hypercl.config.reading.include import content_of
from hypercl.config.reading.yaml_text import parse
from hypercl.sweep.study.constraints import Bounds
from hypercl.training import sizes

FOLDER = Path(__file__).parents[2] / "search_spaces"
FILES = sorted(FOLDER.glob("*.yaml"))
SHARED = sorted((FOLDER / "shared").glob("*.yaml"))
METHODS = {
    "split_mnist": "hnet",
    "split_mnist_ent": "hnet_ent",
    "split_mnist_tir": "hnet_tir",
    "split_mnist_replay": "hnet_replay",
    "split_mnist_finetune": "finetune",
    "split_mnist_scratch": "scratch",
    "split_mnist_joint": "joint",
    "split_mnist_ewc": "ewc",
    "split_mnist_online_ewc": "online_ewc",
    "split_mnist_si": "si",
    "split_mnist_lwf": "lwf",
    "split_mnist_dgr": "dgr",
    "split_mnist_dgr_distill": "dgr",
    "split_mnist_er": "er",
    "split_mnist_stored_real": "stored_real",
    "permuted_mnist_ewc": "ewc",
    "permuted_mnist_online_ewc": "online_ewc",
    "permuted_mnist_si": "si",
    "permuted_mnist_ent": "hnet_ent",
    "permuted_mnist_tir": "hnet_tir",
    "permuted_mnist_replay": "hnet_replay",
    "permuted_mnist_lwf": "lwf",
    "permuted_mnist_dgr": "dgr",
    "permuted_mnist_dgr_distill": "dgr",
    "permuted_mnist_100_online_ewc": "online_ewc",
    "permuted_mnist_100_si": "si",
    "permuted_mnist_100_dgr_distill": "dgr",
    "permuted_mnist_100_tir": "hnet_tir",
    "permuted_mnist_100_small": "hnet",
    "permuted_mnist_100_own_chunks": "hnet",
    "permuted_mnist_250": "hnet",
    "cifar_zenke_soft": "hnet",
    "cifar_zenke_si": "si",
    "copy": "hnet",
    "cifar_cl3": "hnet_ent",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_space_can_be_searched_and_its_base_is_within_its_bounds(file: Path) -> None:
    found = load_sweep(file)
    bounds = Bounds(found, sizes)
    assert bounds.of(found.experiment).feasible
    assert bounds.share(most=20, seconds=0)[0] > 0


@pytest.mark.parametrize(("name", "method"), METHODS.items())
def test_every_method_has_a_space_of_its_own(name: str, method: str) -> None:
    file = load_sweep(FOLDER / f"{name}.yaml")
    assert file.experiment.method.name == method
    own = [path for path in file.space if path.startswith("method.")]
    assert own or method in ("finetune", "scratch", "joint")


@pytest.mark.parametrize("name", [name for name in METHODS if name.endswith(("_ent", "_tir", "_replay"))])
def test_task_inference_and_replay_are_class_incremental_and_run_domain_too(name: str) -> None:
    file = FOLDER / f"{name}.yaml"
    assert load(file).experiment.tasks.scenario == "class"
    assert "--set tasks.scenario=domain" in file.read_text()
    changes = ["tasks.scenario=domain"]
    if name.endswith("_replay"):  # only in scenario class do new classes compete
        assert "--set method.new_classes=exclude" in file.read_text()
        changes.append("method.new_classes=exclude")
    assert load(file, changes).experiment.tasks.scenario == "domain"


@pytest.mark.parametrize("name", [name for name in METHODS if name.endswith(("_tir", "_replay"))])
def test_files_of_the_papers_replay_methods_train_as_its_code_does(name: str) -> None:
    method = load(FOLDER / f"{name}.yaml").experiment.method
    assert method.own_weights_init == "xavier"
    assert getattr(method, "new_classes", "zero_logit") == "zero_logit"


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("split_mnist")])
def test_all_of_split_mnist_train_the_same_network_alike(name: str) -> None:
    base, other = (load(FOLDER / f"{each}.yaml").experiment for each in ("split_mnist", name))
    theirs = name.removeprefix("split_mnist_") in ("ewc", "online_ewc", "si", "lwf", "dgr", "dgr_distill")
    training = assign(base, {"training.optimizer.renew": not theirs}).training  # van de Ven and Tolias keep one Adam
    assert (other.target, other.training) == (base.target, training)


def test_what_is_shared_is_included_by_two_or_more_and_accepted_by_the_schema_it_names() -> None:
    validator = Draft202012Validator(sweep_schema())
    read = [path.resolve() for file in FILES for path in content_of(file.read_text(), str(file)).files]
    assert SHARED
    for file in SHARED:
        assert read.count(file) > 1, file
        text = file.read_text()
        if text.startswith("# yaml-language-server: $schema=../schema.json"):
            assert [error.message for error in validator.iter_errors(parse(text, str(file))[0])] == []
