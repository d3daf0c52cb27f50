"""search_spaces/schema.json, as editors and checkers use it."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hypercl.config import ConfigError, Experiment, load, loads
from hypercl.config.explain.explain import Setting, explain_key, known_keys
from hypercl.config.explain.schema import schema_text, sweep_schema
from hypercl.config.reading.paths import known_paths, lookup, set_value
from hypercl.config.reading.yaml_text import dump, parse

SPACES = Path(__file__).parents[3] / "search_spaces"
FILES = sorted(SPACES.glob("*.yaml"))
VALIDATOR = Draft202012Validator(sweep_schema())


def data_of(text: str) -> Any:
    return parse(text, "test")[0]


def test_the_committed_schema_is_current() -> None:
    committed = json.loads((SPACES / "schema.json").read_text(encoding="utf-8"))
    assert committed == json.loads(schema_text()), "mend it with: hypercl schema --write search_spaces/schema.json"


def test_the_schema_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(sweep_schema())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_shipped_file_names_the_schema_and_is_accepted(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=schema.json"
    assert [error.message for error in VALIDATOR.iter_errors(data_of(text))] == []


GOOD = {
    "a section of the default kind without a name": "experiment: {tasks: {name: split_digits}, hypernet: {hidden: []}}",
    "a named section": "experiment: {tasks: {name: split_digits}, hypernet: {name: full, hidden: []}}",
    "numbers as people write them": "experiment: {tasks: {name: split_digits}, training: {optimizer: {lr: 1e-3}}}",
    "a whole number in powers of ten": "experiment: {tasks: {name: split_digits}, training: {iterations: 1e3}}",
    "null where it is the default": "experiment: {tasks: {name: split_digits}, training: {clip_norm: null}}",
    "int with a step": "experiment: {tasks: {name: split_digits}}\n"
    "space: {hypernet.chunk_size: {int: [1, 9], step: 2}}",
    "a condition": "experiment: {tasks: {name: split_digits}}\n"
    "space: {training.optimizer.momentum: {uniform: [0, 0.9], when: {training.optimizer.name: sgd}}}",
    "an expression": "experiment: {tasks: {name: split_digits}}\n"
    "space: {hypernet.task_embedding: {equals: hypernet.chunk_embedding}}",
    "a list that stands for itself": "experiment: {tasks: {name: split_digits}}\n"
    "space: {hypernet.hidden: {equals: [8, 9]}, hypernet.task_embedding: {equals: 8}}",
    "settings of a sampler": "experiment: {tasks: {name: split_digits}}\nsearch: {sampler: nsga2, population: 4}",
    "settings of the default sampler": "experiment: {tasks: {name: split_digits}}\nsearch: {startup_trials: 4}",
    "nothing but an include": "include: shared/x.yaml",
    "kinds by their names alone": "experiment: {tasks: split_digits, method: ewc, training: {optimizer: sgd}}\n"
    "protocol: test_leak\npruner: {name: patient, rule: median}",
    "sections that are switched on": "experiment: {tasks: split_digits, training: {early_stopping: true}}\n"
    "logging: {wandb: true}\nsearch: {race: false}",
    "a kind by its name alone beside an include": "include: a.yaml\nexperiment: {method: ewc}\nlogging: {wandb: true}",
    "several includes": "include: [a.yaml, b.yaml]\nexperiment: {}",
    "keys of a kind that is included": "include: x.yaml\n"
    "experiment: {tasks: {scenario: class}, method: {replay_share: 0.5}, training: {optimizer: {momentum: 0.5}}}\n"
    "search: {population: 4}\npruner: {patience: 3, rule: {floor: 0.1}}",
    "a kind whose keys are included": "include: x.yaml\nexperiment: {target: {name: import}}",
    "an entry of the space that is taken out": "include: x.yaml\nspace: {method.beta: null}",
    "a keyword of one's own module": "experiment: {tasks: {name: split_digits}}\n"
    "space: {target.kwargs.width: {int: [8, 64]}}",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_may_be_written_is_accepted(text: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(data_of(text))] == []


DIGITS = "experiment: {tasks: {name: split_digits}"
BAD = {
    "an unknown section": DIGITS + "}\nspaces: {}",
    "an unknown key": DIGITS + ", method: {betta: 0.1}}",
    "a key of another kind": DIGITS + ", method: {name: finetune, beta: 0.1}}",
    "an unknown kind": DIGITS + ", method: {name: hnets}}",
    "a kind that must be named": DIGITS + ", hypernet: {name: null}}",
    "the name alone of a kind that needs more": DIGITS + ", target: import}",
    "an unknown kind by its name alone": DIGITS + ", method: hnets}",
    "true for a section that is always there": DIGITS + ", training: true}",
    "a stream without name": "experiment: {tasks: {num_tasks: 5}}",
    "no stream": "experiment: {method: {beta: 0.1}}",
    "a text for a number": DIGITS + ", method: {beta: much}}",
    "a number for a flag": DIGITS + ", method: {lookahead: 1}}",
    "a fraction for a whole number": DIGITS + ", hypernet: {chunk_size: 10.5}}",
    "below a bound": DIGITS + ", method: {beta: -1}}",
    "zero where one is the least": DIGITS + ", training: {batch_size: 0}}",
    "both lengths": DIGITS + ", training: {epochs: 1, iterations: 10}}",
    "an unknown path in the space": DIGITS + "}\nspace: {method.betta: {uniform: [0, 1]}}",
    "a seed in the space": DIGITS + "}\nspace: {training.seed: {int: [0, 9]}}",
    "the stream in the space": DIGITS + "}\nspace: {tasks.num_tasks: {int: [2, 5]}}",
    "two kinds of a distribution": DIGITS + "}\nspace: {method.beta: {uniform: [0, 1], choice: [1]}}",
    "no kind of a distribution": DIGITS + "}\nspace: {method.beta: {step: 1}}",
    "three ends of a range": DIGITS + "}\nspace: {method.beta: {uniform: [0, 1, 2]}}",
    "a test metric": DIGITS + "}\nobjective: {maximize: test/final_accuracy}",
    "an objective of no metric": DIGITS + "}\nobjective: {maximize: speed}",
    "a setting of another sampler": DIGITS + "}\nsearch: {sampler: random, startup_trials: 3}",
    "a setting that the default sampler lacks": DIGITS + "}\nsearch: {population: 3}",
    "a flag to compute from": DIGITS + "}\nspace: {method.beta: {equals: true}}",
    "an entry of the space that is null": DIGITS + "}\nspace: {method.beta: null}",
    "no file to include": "include: 3\n" + DIGITS + "}",
    "an unknown key beside an include": "include: x.yaml\nexperiment: {method: {betta: 1}}",
    "a key of another kind beside an include": "include: x.yaml\nexperiment: {method: {name: finetune, beta: 0.1}}",
    "a text for a number beside an include": "include: x.yaml\nexperiment: {method: {beta: much}}",
    "an entry without a kind beside an include": "include: x.yaml\nspace: {method.beta: {step: 1}}",
    "both lengths beside an include": "include: x.yaml\nexperiment: {training: {epochs: 1, iterations: 10}}",
    "a bound without an end": DIGITS + "}\nconstraints: {compression_ratio: {}}",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_mistake_is_refused(text: str) -> None:
    assert not VALIDATOR.is_valid(data_of(text))


def test_every_property_is_described_and_has_its_default() -> None:
    def properties(node: Any) -> list[dict[str, Any]]:
        if isinstance(node, list):
            return [found for each in node for found in properties(each)]
        if not isinstance(node, dict):
            return []
        own = list(node["properties"].values()) if isinstance(node.get("properties"), dict) else []
        inside = [value for key, value in node.items() if key not in ("default", "then")]
        return own + [found for value in inside for found in properties(value)]

    every = properties(sweep_schema())
    assert len(every) > 150
    assert [each for each in every if not each.get("description")] == []
    beta = sweep_schema()["$defs"]["Hnet"]["properties"]["beta"]
    assert (beta["default"], beta["minimum"]) == (0.01, 0)


def leaves(data: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(data, dict):
        return [path, *(found for key, value in data.items() for found in leaves(value, (*path, key)))]
    return [path]


ANY = [-1, 0, 0.5, 1e3, 2.5, True, "relu", "hnet", "", [], [1, 2], {}, {"name": "none"}]


def other_forms(value: Any) -> list[Any]:
    """Values of the same kind, most of which may stand in the same place; the first is another way to write it."""
    if isinstance(value, bool):
        return [value, not value]
    if isinstance(value, int | float):
        return [float(value), 2 * value, value / 2]
    if isinstance(value, list):
        return [list(value), value[:1], value[::-1]]
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return [value["name"]]
    return [value]


@cache
def settings_of_experiments() -> list[Setting]:
    """Of every kind."""
    found = [explain_key(path) for path in known_keys() if path.partition(".")[0] in Experiment.model_fields]
    return [each for each in found if isinstance(each, Setting)]


@cache
def settings_of(file: Path) -> list[tuple[str, Any]]:
    """Keys of the kinds that a file's experiment is of, with a value that may stand there."""
    experiment = load(file).experiment
    there = set(known_paths(experiment))
    settings = [each for each in settings_of_experiments() if each.path in there]
    return [(each.path, lookup(experiment, each.path) if each.example is None else each.example) for each in settings]


@st.composite
def changed_files(draw: Callable[..., Any]) -> Any:
    """A shipped file with one change: nine in ten are such as a person makes, and load."""
    file = draw(st.sampled_from(FILES))
    changed = data_of(file.read_text(encoding="utf-8"))
    if draw(st.booleans()):
        path, value = draw(st.sampled_from(settings_of(file)))
        set_value(changed, f"experiment.{path}", draw(st.sampled_from(other_forms(value))))
        return changed
    place = draw(st.sampled_from([path for path in leaves(changed) if path]))
    node = changed
    for key in place[:-1]:
        node = node[key]
    action = draw(st.sampled_from(["reform", "reform", "remove", "replace"]))
    if action == "remove":
        del node[place[-1]]
    else:
        node[place[-1]] = draw(st.sampled_from(ANY if action == "replace" else other_forms(node[place[-1]])))
    return changed


@settings(max_examples=100, deadline=None)
@given(changed=changed_files())
def test_what_a_changed_file_loads_as_the_schema_accepts(changed: Any) -> None:
    """An editor must not mark what works; what the schema lets pass beyond that is told by the loader."""
    try:
        loads(dump(changed), str(SPACES / "changed.yaml"))
    except ConfigError:
        reject()
    assert [error.message for error in VALIDATOR.iter_errors(changed)] == []
