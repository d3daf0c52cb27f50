"""YAML in and out: safe, numbers as people write them, no key twice, every key path with its line."""

import re
from typing import Any

import yaml
from pydantic import BaseModel

from hypercl.config.models import is_list, is_mapping
from hypercl.config.problems import ConfigError, Problem

MOST_CHARACTERS, MOST_ALIASED, MOST_LEVELS = 1_000_000, 1_000, 50
"""Of a text, of the nodes that its aliases stand for, and of sections inside of each other."""


class _Refused(yaml.YAMLError):
    """YAML that is not read, with the fix."""

    def __init__(self, problem: str, fix: str, node: yaml.Node) -> None:
        super().__init__(problem)
        self.problem, self.fix, self.problem_mark = problem, fix, node.start_mark


class _Loader(yaml.SafeLoader):
    """A safe loader to which `1e-4` is a number (YAML 1.1 wants `1.0e-4`) and a repeated key is a mistake."""

    root: yaml.Node | None = None

    def get_single_node(self) -> yaml.Node | None:
        self.root = super().get_single_node()
        if self.root is not None:
            seen: dict[int, int] = {}
            aliased = _size(self.root, seen, ()) - len(seen)
            if aliased > MOST_ALIASED:
                problem = f"aliases stand for {aliased:,} values"
                raise _Refused(problem, f"write them out; {MOST_ALIASED:,} are allowed", self.root)
        return self.root

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError):  # of `!!bool x`
            kind = node.tag.rpartition(":")[2]
            raise _Refused(f"this cannot be read as {kind}", "leave out the tag (!!)", node) from None


def _size(node: yaml.Node, seen: dict[int, int], above: tuple[int, ...]) -> int:
    """The number of nodes below and with this one, those of aliases each time; `seen` holds those known."""
    if id(node) in above:
        raise _Refused("an alias stands for a section that it is in", "write out what is meant", node)
    if len(above) >= MOST_LEVELS:
        raise _Refused(f"more than {MOST_LEVELS} sections or lists inside of each other", "write it flatter", node)
    if id(node) not in seen:
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = list(node.value)
        seen[id(node)] = 1 + sum(_size(part, seen, (*above, id(node))) for part in inner)
    return seen[id(node)]


_FLOAT = ("tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"))
_BASE = ("!base", re.compile(r"^[-+]?(0[0-7_]*[0-7]|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)$"))
"""Numbers that YAML 1.1 reads in base 8 or 60."""
_Loader.yaml_implicit_resolvers = {
    first: [_BASE, *(one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"), _FLOAT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _no_key_twice(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = str(getattr(key_node, "value", key_node))
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key '{key}'", key_node.start_mark)
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


def _construct_map(loader: _Loader, node: yaml.MappingNode) -> Any:
    data: dict[Any, Any] = {}
    yield data
    data.update(_no_key_twice(loader, node))


def _no_other_base(loader: _Loader, node: yaml.ScalarNode) -> Any:
    del loader
    base = 60 if ":" in node.value else 8
    fix = f"put it into quotes if it is text{'' if base == 60 else ', or leave out the 0 in front'}"
    raise _Refused(f"YAML reads {node.value} as a number in base {base}", fix, node)


def _no_huge_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    value = loader.construct_yaml_int(node)
    if value.bit_length() > 1000:  # neither a float nor, of some thousand digits, to be printed
        raise _Refused("a number of more than 300 digits", "write a smaller one", node)
    return value


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:int", _no_huge_number)
_Loader.add_constructor("!base", _no_other_base)


def parse(text: str, source: str) -> tuple[Any, dict[str, int]]:
    """The value of a YAML text and the line of each key path.

    Raises:
        ConfigError: the text is not YAML, has a tag that would run code, or names a key twice.
    """
    if len(text) > MOST_CHARACTERS:
        problem = Problem("", f"the file has {len(text):,} characters; {MOST_CHARACTERS:,} are allowed")
        raise ConfigError(source, [problem])
    try:
        loader = _Loader(text)
        value = loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error)
        fix = "write plain values only" if "constructor" in message else "check indentation, colons and brackets"
        if "'\\t'" in message:
            message, fix = "tab found; YAML is indented with spaces only", "replace the tab with spaces"
        if isinstance(error, _Refused):
            raise ConfigError(source, [Problem("", message, fix=error.fix, line=error.problem_mark.line + 1)]) from None
        problem = Problem("", f"this is not valid YAML: {message}", fix=fix, line=mark.line + 1 if mark else None)
        raise ConfigError(source, [problem]) from None
    except RecursionError:
        problem = Problem("", f"more than {MOST_LEVELS} sections or lists inside of each other", fix="write it flatter")
        raise ConfigError(source, [problem]) from None
    except (ValueError, TypeError) as error:
        raise ConfigError(source, [Problem("", f"this is not valid YAML: {error}")]) from None
    return value, _lines(loader.root)


def value_of(text: str) -> Any:
    """The value of a piece of YAML, as given to `--set`.

    Raises:
        ConfigError: the text is not YAML.
    """
    return parse(text, "--set")[0]


def dump(value: Any) -> str:
    """A value as YAML that `parse` reads back to the same value; short lists stand on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        flat = all(not isinstance(item, dict | list | tuple) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=True if flat else flow_style)


def _lines(node: yaml.Node | None, path: str = "") -> dict[str, int]:
    found: dict[str, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            here = f"{path}.{getattr(key, 'value', '')}" if path else str(getattr(key, "value", ""))
            found[here] = key.start_mark.line + 1
            found |= _lines(child, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            found |= _lines(child, f"{path}.{index}")
    return found


def value_in_words(value: Any) -> str:
    """A value as one line of YAML."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, float):
        return f"{value:.12g}"
    if is_list(value):
        return "[" + ", ".join(value_in_words(each) for each in value) + "]"
    if is_mapping(value):
        return "{" + ", ".join(f"{key}: {value_in_words(each)}" for key, each in value.items()) + "}"
    return dump(value).strip().removesuffix("...").strip()


def value_in_short(value: Any) -> str:
    """As `value_in_words`, a number with a fraction in four digits: for tables and lines."""
    return f"{value:.4g}" if isinstance(value, float) else value_in_words(value)
