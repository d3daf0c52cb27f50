"""A space that compares methods: which of its entries are part of a setting with which method."""

from collections.abc import Mapping
from typing import Any

from hypercl.config.models.any_method import AnyMethod
from hypercl.config.models.method import ImportedMethod, Method
from hypercl.config.models.section import is_list, is_mapping, kind_of, models_in, name_in
from hypercl.config.models.space import key_of, label_of

METHOD = "method.name"
CHOOSING = (METHOD, "method")
"""The entries of a space that choose between methods: by name, or as whole sections."""


def compared(space: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The entry of a space in plain data that chooses between methods, and its choices; none where there is none."""
    for name in CHOOSING:
        choice = space.get(name)
        given: Any = choice.get("choice") if is_mapping(choice) else None
        if is_list(given):
            return name, [each for each in given if name_in(each) is not None]
    return METHOD, []


def with_conditions(experiment: Any, space: Mapping[str, Any]) -> dict[str, Any]:
    """A space in plain data, with the conditions that follow from a choice of methods.

    `hypernet.chunk_size` is drawn with the methods that have a hypernetwork, `method.beta` with those that have the
    key, `method.strength@ewc` with ewc. What is conditioned on the method already stays as it is.

    Args:
        experiment: the file's section, in plain data.
        space: entry -> distribution.
    """
    parent, methods = compared(space)
    return {name: _conditioned(name, one, parent, methods, experiment) for name, one in space.items()}


def _conditioned(name: Any, one: Any, parent: str, methods: list[Any], experiment: Any) -> Any:
    if not is_mapping(one) or not isinstance(name, str) or name == parent:
        return one  # what is no path is refused later
    when: Any = one.get("when", {})
    if not is_mapping(when) or parent in when:
        return one
    if label := label_of(name):
        having = [each for each in methods if name_in(each) == label]
    else:
        having = [each for each in methods if _has(str(name_in(each)), key_of(name), experiment)]
    return one if len(having) in (0, len(methods)) else {**one, "when": {**when, parent: having}}


def _has(method: str, path: str, experiment: Any) -> bool:
    """Whether a key is there with a method; of what does not hang on the method it always is."""
    section, _, key = path.partition(".")
    model = next((each for each in models_in(Method) if kind_of(each) == method), None)
    if model is None or path == METHOD or section not in ("method", "hypernet"):
        return True
    assert issubclass(model, AnyMethod)
    if section == "method":
        return key.partition(".")[0] in model.model_fields
    if model.generated is not None and model is not ImportedMethod:
        return model.generated
    return _is_generated(experiment)


def _is_generated(experiment: Any) -> bool:
    """Whether the experiment as written has a hypernetwork; methods that may have one or none then keep it."""
    if not is_mapping(experiment):
        return True
    own = name_in(experiment.get("method", "hnet"))
    plain = any(kind_of(each) == own and getattr(each, "generated", None) is False for each in models_in(Method))
    return name_in(experiment.get("hypernet", "none" if plain else "chunked")) != "none"
