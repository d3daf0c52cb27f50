"""Every built-in method keeps the contract that a user's own is tested with."""

from typing import Any

import pytest

from hypercl.config.models.method import ImportedMethod, Method
from hypercl.config.models.section import kind_of, models_in
from hypercl.methods.build import LEARNERS
from hypercl.testing import MethodContract

SMALL: dict[str, Any] = {"name": "chunked", "hidden": [6], "chunk_size": 200, "task_embedding": 4, "chunk_embedding": 3}
PLAIN = {"encoder": [12], "decoder": [12], "latent": 4}
GENERATOR = PLAIN | {"condition_size": 3, "hypernet": SMALL | {"chunk_size": 500}}
SETTINGS: dict[str, dict[str, Any]] = {
    "hnet": {"beta": 0.5},
    "hnet_ent": {"beta": 0.5},
    "hnet_tir": {"generator": GENERATOR},
    "hnet_replay": {"generator": GENERATOR},
    "finetune": {},
    "scratch": {},
    "joint": {},
    "ewc": {"strength": 100.0},
    "online_ewc": {"strength": 100.0},
    "si": {},
    "lwf": {},
    "dgr": {"generator": PLAIN},
    "er": {"budget": 40},
    "stored_real": {},
}
WITH_HYPERNET = ("finetune", "scratch", "joint")
PROTECTED: dict[str, dict[str, Any]] = {
    "first_order": {"regularizer": {"kind": "first_order"}, "backpropagate_lookahead": True},
    "proximal": {"regularizer": {"kind": "value_preserving"}, "proximal": {"steps": 2}},
    "fisher": {"regularizer": {"importance": "fisher", "task_factors": [1, 2, 3]}},
    "theta": {"regularizer": {"kind": "ewc"}, "beta": 100},
}
"""Options of hnet."""
BY_CLASS = {"generator": {**GENERATOR, "condition_size": 6, "embedding": "class"}}
"""Options of the methods with a generated decoder."""
BUILT = {kind_of(model) for model in LEARNERS} - {kind_of(ImportedMethod)}


def contract(name: str, **attributes: Any) -> type:
    method = {"name": name, **SETTINGS[name]}
    return type(f"Test_{name}", (MethodContract,), {"method": method, "__module__": __name__, **attributes})


for _name in SETTINGS:
    if _name in BUILT:
        own = {"sections": {"hypernet": {"name": "none"}}} if _name in WITH_HYPERNET else {}
        globals()[f"Test_{_name}"] = contract(_name, **own)
for _name in WITH_HYPERNET:
    globals()[f"Test_{_name}_generated"] = contract(_name, sections={"hypernet": SMALL}, scenarios=("task",))
for _name in ("hnet_tir", "hnet_replay"):
    _attributes = {"method": {"name": _name, **BY_CLASS}, "__module__": __name__}
    globals()[f"Test_{_name}_classes"] = type(f"Test_{_name}_classes", (MethodContract,), _attributes)
for _name, _options in PROTECTED.items():
    _attributes = {"method": {"name": "hnet", "beta": 0.5, **_options}, "__module__": __name__}
    if _name == "theta":  # some gradients are 0 up to rounding, which Adam would make steps of
        _training = {"iterations": 4, "batch_size": 16, "optimizer": {"name": "sgd", "lr": 1e-2}}
        _attributes["sections"] = {"training": _training}
    globals()[f"Test_hnet_{_name}"] = type(f"Test_hnet_{_name}", (MethodContract,), _attributes)


@pytest.mark.parametrize("model", models_in(Method), ids=kind_of)
def test_every_method_of_a_file_has_a_learner_and_a_contract(model: type) -> None:
    name = kind_of(model)
    assert model in LEARNERS
    assert name in SETTINGS or model is ImportedMethod
