"""What `hypercl explain` reads from the models."""

import pytest

from hypercl.config import Experiment, UserError, loads
from hypercl.config.checks.check import sweep_problems
from hypercl.config.explain.explain import Part, Setting, _cited, explain_key, known_keys
from hypercl.config.models.sweep import SweepFile
from hypercl.config.reading.keys import entries, sentence

TEXT = "experiment: {tasks: {name: split_digits}}\nspace: {method.beta: {uniform: [0, 1]}}\n"


def settings() -> list[Setting]:
    found = [explain_key(path) for path in known_keys()]
    return [each for each in found if isinstance(each, Setting)]


def test_a_key_is_told_with_sentence_type_default_kinds_and_examples() -> None:
    found = explain_key("method.beta")
    assert isinstance(found, Setting)
    assert found == explain_key("experiment.method.beta") == explain_key("space.method.beta")
    variant = next(each for each in found.variants if each.kind == "hnet")
    assert variant.about.startswith("Weight of the output regulariser")
    assert (variant.type, variant.default) == ("a number, 0 or more", "0.01")
    assert found.kinds.startswith("method hnet")
    assert found.override == "--set method.beta=0.01"
    assert found.space == "method.beta: {log_uniform: [0.001, 0.1]}"


def test_kinds_of_a_section_with_other_defaults_are_told_apart() -> None:
    found = explain_key("tasks.num_tasks")
    assert isinstance(found, Setting)
    defaults = {each.kind: each.default for each in found.variants}
    assert (defaults["split_digits"], defaults["permuted_mnist"], defaults["split_cifar"]) == ("5", "10", "6")


INITIALISED = ("chunked", "task_chunked", "structured", "perturbed", "partial", "modulation", "self_attention", "full")


def test_a_kind_within_kinds_is_listed_once() -> None:
    found = explain_key("hypernet.init.std")
    assert isinstance(found, Setting)
    assert [each.kind for each in found.variants] == ["normal"]
    assert found.kinds == f"hypernet {' or '.join(INITIALISED)}, hypernet.init normal"


def test_a_section_lists_its_kinds_and_keys() -> None:
    found = explain_key("training.optimizer")
    assert isinstance(found, Part)
    assert found == explain_key("training.optimizer.name")
    assert [kind.name for kind in found.kinds if kind.default] == ["adam"]
    assert {"training.optimizer.lr", "training.optimizer.momentum"} <= {each.path for each in found.settings}


def test_the_file_lists_its_sections_and_the_space_its_distributions() -> None:
    whole, space = explain_key(""), explain_key("space")
    assert isinstance(whole, Part)
    assert isinstance(space, Part)
    sections = {*SweepFile.model_fields, *Experiment.model_fields} - {"name", "include", "by_task"}
    assert {path for path, _ in whole.parts} == sections
    assert {"space.log_uniform", "space.int", "space.choice", "space.step"} <= {each.path for each in space.settings}


def test_what_a_validator_fills_in_is_the_default() -> None:
    found = explain_key("training.iterations")
    assert isinstance(found, Setting)
    assert found.variants[0].default == "2000"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("method.betta", "did you mean 'method.beta'?"),
        ("bogus", "unknown key 'bogus'"),
        ("lr", "hypercl explain training.optimizer.lr"),
        ("beta", "hypercl explain method.beta or hypercl explain method.generator.beta"),
        ("optimizer.lr", "hypercl explain training.optimizer.lr"),
    ],
)
def test_an_unknown_key_is_refused(path: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        explain_key(path)
    assert words in str(caught.value)


def test_every_key_and_every_kind_has_a_sentence() -> None:
    bare = [
        f"{entry.model.__module__}.{entry.model.__name__}.{entry.path}"
        for entry in entries([SweepFile])
        if not sentence(entry.model.__doc__ if entry.path.endswith(".name") else entry.field.description)
    ]
    assert not bare, "write a sentence under the field, or into the docstring of the kind"


def test_what_a_docstring_cites_is_told_as_the_source() -> None:
    alpha, factor = explain_key("training.optimizer.alpha"), explain_key("training.schedule.factor")
    assert isinstance(alpha, Setting)
    assert isinstance(factor, Setting)
    assert (alpha.source, factor.source) == ("Hinton, 2012", "von Oswald et al. (2020)")


@pytest.mark.parametrize("path", ["pruner.warmup_tasks", "pruner.reports_per_task", "target.dropout"])
def test_a_key_of_kinds_with_and_without_a_source_has_none(path: str) -> None:
    found, halving = explain_key(path), explain_key("pruner.reduction_factor")
    assert isinstance(found, Setting)
    assert isinstance(halving, Setting)
    assert (found.source, halving.source[:10]) == ("", "Li et al. ")


def test_a_list_of_mappings_is_told_in_words() -> None:
    found = explain_key("search.enqueue")
    assert isinstance(found, Setting)
    assert found.variants[0].type == "a list of mappings"


def test_a_named_source_is_the_last_sentence() -> None:
    found = [(entry.field.description, entry.model.__doc__) for entry in entries([SweepFile])]
    texts = [sentence(text) for pair in found for text in pair]
    assert all(text.count("Source: ") == text.endswith(".") for text in texts if "Source: " in text)
    loose = [text for text in texts if "et al." in text and not _cited(text)]
    assert not loose


NEEDED = {
    "hypernet partial": ["hypernet.generated=[head]"],
    "hypernet.init.per_tensor": ["hypernet.name=full"],
    "method.generator.hypernet.init.per_tensor": ["method.generator.hypernet.name=full"],
    "method.generator.hypernet.others": ["method.generator.hypernet.generated=[head]"],
    "method.generator.hypernet.own_chunks": ["method.generator.hypernet.generated=[head]"],
    "method hnet_ent": ["tasks.scenario=class"],
    "method hnet_tir": ["tasks.scenario=class"],
    "tasks copy": ["target={name: lstm, predicts: each_step}"],
    "tasks image_folder": ["tasks.path=photos", "tasks.num_tasks=2", "tasks.classes_per_task=2"],
    "hypernet.compression_ratio": ["hypernet.chunk_size=auto"],
    "method.generator.hypernet.compression_ratio": ["method.generator.hypernet.chunk_size=auto"],
    "method.generator.deviation": ["method.generator.likelihood=gaussian"],
    "method.share_buffers": ["target.batch_norm=true"],
    "method.task_buffers": ["hypernet=none", "target={name: resnet32}"],
    "method.new_classes": ["tasks.scenario=class"],
    "method.regularizer.fisher_": ["method.regularizer.importance=fisher"],
    "method.proximal.steps": ["method.proximal.weight=1"],
    "method.proximal.weight": ["method.proximal.steps=5"],
    "training.early_stopping.patience": ["training.early_stopping.checks=100"],
    "training.early_stopping.checks": ["training.early_stopping.patience=2"],
    "search.population": ["search.sampler=nsga2"],
}
"""What must stand beside a key, or beside the keys of a kind."""
ALONE = {
    "hypernet.compression_ratio",
    "method.generator.hypernet.compression_ratio",
    "method.generator.decoder",
    "method.regularizer.kind",
}
"""Keys that cannot be varied with all else as it was: null means nothing beside chunk_size auto, a ratio nothing
beside a number; the methods begin with other decoders; two kinds of regulariser need what another one refuses."""


def beside(found: Setting) -> list[str]:
    """Overrides that make a key exist, in the first kind that has it."""
    kinds = [pair.split(" ")[:2] for pair in found.kinds.split(", ") if pair]
    needed = [more for key, more in NEEDED.items() if found.kinds.startswith(key) or found.path.startswith(key)]
    return [*(f"{section}.name={kind}" for section, kind in kinds), *(each for more in needed for each in more)]


def tried() -> list[Setting]:
    """Without the keys of imported code, beside which a path of the user's own must stand."""
    return [each for each in settings() if not each.kinds.endswith(" import")]


@pytest.mark.parametrize("found", [each for each in tried() if each.override], ids=lambda found: found.path)
def test_an_example_can_be_typed(found: Setting) -> None:
    loads(TEXT, "test", [*beside(found), found.override.removeprefix("--set ").strip("'")])


@pytest.mark.parametrize(
    "found", [each for each in tried() if each.space and each.path not in ALONE], ids=lambda found: found.path
)
def test_a_line_for_the_space_holds_the_default_and_can_be_searched(found: Setting) -> None:
    file = loads(TEXT.replace("method.beta: {uniform: [0, 1]}", found.space), "test", beside(found))
    assert sweep_problems(file) == []


def test_a_key_in_a_list_of_sections_refers_to_the_list() -> None:
    found = explain_key("hypernet.parts.net.hidden")
    assert isinstance(found, Setting)
    assert (found.override, found.space) == ("", "")
    assert "hypernet.parts is set and varied as a whole" in found.closed


def test_closed_keys_say_why() -> None:
    found = explain_key("training.seed")
    assert isinstance(found, Setting)
    assert not found.space
    assert "luckiest" in found.closed
