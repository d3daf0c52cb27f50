"""Sweep files as no person would write them, from the shipped ones: damaged text, and values that do not belong."""

import random
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import yaml

from hypercl.config.reading import content_of

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**9, -(10**9), 10**30, 10**400, 2**63, -(2**63), 0.5, -0.0, 1e-320, 1e308),
    *(float("inf"), float("-inf"), float("nan"), "", " ", "a", "0", "1e400", "é", "日本語", "\u202eabc", "\U0001f600"),
    *("\x7f", "\ufeff", "a\nb", "a" * 5000, "../../etc/passwd", "/dev/zero", "~", "$HOME", "[b]x[/b]", "%s {0} {x}"),
    *("null", "adam", "hnet", "class", "os:system", "subprocess:Popen", "builtins:eval", "__main__:x", ":", "a:b:c"),
    *([], [None], [[]], [1, "a", None], [-1], [0], [10**9], [10**30], ["a"] * 300, list(range(2000)), {}, {"": None}),
    *({"name": None}, {"name": []}, {"name": "hnet"}, {"path": "os:system"}, {1: 2}, {None: 1}, {True: 0}, {1.5: []}),
    *({"path": "subprocess:Popen", "kwargs": {"args": ["touch", "RAN"]}}, {"name": {"name": {}}}, {"a.b": 1}),
    *({"choice": []}, {"choice": [None]}, {"choice": [[], {}, "x"]}, {"uniform": [0, 0]}, {"uniform": [1, 0]}),
    *({"log_uniform": [0, 1]}, {"log_uniform": [1e-320, 1e308]}, {"int": [0, 10**30]}, {"int_log": [1, 2**63]}),
    *({"uniform": ["a", None]}, {"choice": [1, 1, 1.0, True]}, {"uniform": [0, float("inf")]}, {"normal": [0, 1]}),
    *({"choice": [1], "when": {}}, {"choice": [1], "when": {"method.beta": 1}}, {"choice": [1], "when": []}),
    *({"expr": "1/0"}, {"expr": "9**9**9**9"}, {"expr": "__import__('os').system('touch RAN')"}, {"expr": "((((("}),
    *("9**9**9", "1/0", "method.beta / 0", "num_tasks * 10**500", "import os", "x" * 200 + "(", "-" * 3000 + "1"),
)
"""Values that are put in the place of others."""
TEXTS = (
    *("!!python/object/apply:os.system ['touch RAN']", "!!python/name:os.system", "!!python/object/new:type {}"),
    *("!!binary aGk=", "!!set {a, b}", "!!omap [a: 1, a: 2]", "!!pairs [a: 1]", "!!timestamp 2026-01-01", "!x y", "!"),
    *(
        "!!int x",
        "!!float x",
        "!!bool x",
        "!!null x",
        "!!str [a]",
        "!!seq {a: 1}",
        "!!map [1]",
        "!!int []",
        "!!float {}",
    ),
    *("&a", "*a", "&a {k: *a}", "*", "&", "<<: *a", "<<: 1", "<<: [1]", "{<<: {a: 1}}", "? a", "? [a]", "? {a: 1}: b"),
    *(
        "2026-01-01",
        "12:30:45",
        "0o17",
        "0x1F",
        "0b1",
        "1_000",
        "+.inf",
        ".nan",
        "-.INF",
        "1e999",
        "9" * 5000,
        "0x" + "f" * 5000,
        "=",
        "- ",
    ),
    *("|", ">", "|9", ">-", "'", '"', '"\\x"', '"\\ud800"', "%YAML 9.9", "%TAG ! x", "---", "...", "--- a\n--- b"),
    *(
        "[" * 60,
        "{" * 60,
        "[" * 3000,
        "{a: " * 3000,
        "- " * 3000,
        "]",
        "}",
        ",",
        ":",
        ": ",
        "#",
        "@",
        "`",
        "\t",
        "\t- a",
    ),
    *("\x00", "\x1b[31m", "\x85", "\u2028", "\ufeff", "\ud7ff", "\U0010ffff", "é", "include: .", "include: /dev/null"),
    *(
        "include: nowhere.yaml",
        "include: [shared/search.yaml, shared/search.yaml]",
        "include: {a: b}",
        "include: shared",
    ),
)
"""Pieces that are put into a text."""


def mutated(text: str, source: str, seed: int) -> bytes:
    """One to three mutations of a file's text, or of what it holds with all that it includes."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        data = content_of(text, source).data
        for _ in range(rng.randint(1, 3)):
            rng.choice(_OF_VALUES)(rng, data)
        try:
            text = yaml.safe_dump(data, sort_keys=False, allow_unicode=rng.random() < 0.5)
        except (yaml.YAMLError, ValueError):  # an int of more digits than Python prints
            text = str(data.keys())
        if rng.random() < 0.8:
            return text.encode()
    content = text.encode()
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(_OF_TEXTS)(rng, content)
    return content


Place = tuple[Any, Any]
"""A mapping or a list, and a key of it."""


def _places(value: Any) -> list[Place]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def _place(rng: random.Random, data: Any) -> Place:
    return rng.choice(_places(data) or [(data, "x")])


def _other_value(rng: random.Random, data: Any) -> None:
    node, key = _place(rng, data)
    node[key] = deepcopy(rng.choice(ODD))


def _other_key(rng: random.Random, data: Any) -> None:
    node, key = _place(rng, data)
    if isinstance(node, dict) and key in node:
        odd = rng.choice([*(each for each in ODD if not isinstance(each, dict | list)), f"{key}x", str(key)[1:]])
        node[odd] = node.pop(key)


def _swapped(rng: random.Random, data: Any) -> None:
    (one, key), (two, other) = _place(rng, data), _place(rng, data)
    if key in (one if isinstance(one, dict) else range(len(one))):
        first = yaml.safe_load(yaml.safe_dump(one[key])) if not isinstance(one[key], int) else one[key]
        two[other] = first


def _removed(rng: random.Random, data: Any) -> None:
    node, key = _place(rng, data)
    if isinstance(node, dict):
        node.pop(key, None)


def _wrapped(rng: random.Random, data: Any) -> None:
    node, key = _place(rng, data)
    value = node[key] if not isinstance(node, dict) or key in node else None
    for _ in range(rng.choice((1, 1, 1, 2, 45, 60))):
        value = [value] if rng.random() < 0.5 else {rng.choice(("name", "choice", "x", 3)): value}
    node[key] = value


def _added(rng: random.Random, data: Any) -> None:
    node, key = _place(rng, data)
    if isinstance(node, dict):
        names = [str(name) for _, name in _places(data)]
        node[rng.choice([*names, "include", "space", "search", "by_task", "x"])] = deepcopy(rng.choice(ODD))
    elif isinstance(node, list):
        node.insert(key, deepcopy(rng.choice(ODD)))


_OF_VALUES: tuple[Callable[[random.Random, Any], None], ...] = (
    *(_other_value, _other_value, _other_value, _other_key, _swapped, _removed, _wrapped, _added),
)


def _cut(rng: random.Random, text: bytes) -> bytes:
    return text[: rng.randrange(len(text) + 1)]


def _lines_moved(rng: random.Random, text: bytes) -> bytes:
    lines = text.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _indented(rng: random.Random, text: bytes) -> bytes:
    lines = text.split(b"\n")
    place = rng.randrange(len(lines))
    lines[place] = rng.choice((b" ", b"  ", b"\t", b"    ", b"- ")) + lines[place].lstrip(rng.choice((b" ", b"")))
    return b"\n".join(lines)


def _random_bytes(rng: random.Random, text: bytes) -> bytes:
    place, count = rng.randrange(len(text) + 1), rng.choice((1, 1, 2, 8, 200))
    return text[:place] + rng.randbytes(count) + text[place + rng.choice((0, count)) :]


def _piece_put_in(rng: random.Random, text: bytes) -> bytes:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(TEXTS).encode() + text[place:]


def _word_replaced(rng: random.Random, text: bytes) -> bytes:
    words = list(re.finditer(rb"[\w.+-]+", text))
    if not words:
        return rng.choice(TEXTS).encode()
    word = rng.choice(words)
    other = rng.choice(words)[0] if rng.random() < 0.4 else rng.choice(TEXTS).encode()
    return text[: word.start()] + other + text[word.end() :]


_OF_TEXTS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_cut, _lines_moved, _lines_moved, _indented, _random_bytes, _piece_put_in, _word_replaced, _word_replaced),
)
