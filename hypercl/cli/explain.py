"""`hypercl explain`: what a key of a file is for."""

import argparse

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from hypercl.cli.tables import pairs
from hypercl.config.explain import Kind, Part, Setting, explain_key, schema_text
from hypercl.files import write_text

WIDEST = 100


def explain_command(args: argparse.Namespace) -> int:
    """Prints a key, a section, or all sections."""
    console = Console(highlight=False, markup=False)
    console.width = min(console.width, WIDEST)
    subject = explain_key(args.path or "")
    for block in _setting(subject) if isinstance(subject, Setting) else _part(subject):
        console.print(block)
    return 0


def _setting(setting: Setting) -> list[str | Table | Padding]:
    texts = list(dict.fromkeys(variant.about for variant in setting.variants))
    rows = [
        ("type", "; ".join(dict.fromkeys(variant.type for variant in setting.variants))),
        ("default", _defaults(setting)),
        ("with", setting.kinds),
        ("source", setting.source),
        ("option", setting.override),
        ("space", setting.space or (setting.closed and f"a space cannot vary this: {setting.closed}")),
    ]
    blocks: list[str | Table | Padding] = [setting.path, *(_inset(text) for text in texts if text), ""]
    return [*blocks, _inset(pairs([row for row in rows if row[1]]))]


def _defaults(setting: Setting) -> str:
    """One default, or that of each kind where they differ."""
    kinds: dict[str, list[str]] = {}
    for variant in setting.variants:
        kinds.setdefault(variant.default, []).append(variant.kind)
    return "; ".join(f"{value} ({', '.join(names)})" if len(kinds) > 1 else value for value, names in kinds.items())


def _part(part: Part) -> list[str | Table | Padding]:
    blocks: list[str | Table | Padding] = [part.path or "hypercl explain PATH", _inset(part.about)]
    if part.kinds:
        kinds = [(f"{kind.name} (default)" if kind.default else kind.name, _about(kind)) for kind in part.kinds]
        bare = next((kind.name for kind in part.kinds if not kind.needs), "")
        short = f" or by the name alone ({_last(part.path)}: {bare})" if bare else ""
        blocks += ["", f"kinds, by the key `name`{short}:", _inset(pairs(kinds))]
    by_kinds: dict[str, list[Setting]] = {}
    for setting in part.settings:
        by_kinds.setdefault(_owners(setting, part), []).append(setting)
    for owners, settings in by_kinds.items():
        rows = [(_last(setting.path), _defaults(setting), setting.variants[0].about) for setting in settings]
        blocks += ["", f"keys of {owners}:" if owners else "keys:", _inset(pairs(rows))]
    if part.parts:
        blocks += ["", "sections:", _inset(pairs([(path, about) for path, about in part.parts]))]
    return blocks


def _about(kind: Kind) -> str:
    return kind.about + (f" Needs {', '.join(kind.needs)}." if kind.needs else "")


def _owners(setting: Setting, part: Part) -> str:
    """The kinds that have a key; '' where all have it."""
    names = [variant.kind for variant in setting.variants]
    return "" if not part.kinds or len(names) == len(part.kinds) else ", ".join(names)


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _inset(block: str | Table) -> Padding:
    return Padding(block, (0, 0, 0, 2))


def schema_command(args: argparse.Namespace) -> int:
    """Prints the schema, or writes it into a file."""
    if args.write is None:
        print(schema_text(), end="")
    else:
        write_text(args.write, schema_text())
        print(f"written: {args.write}")
    return 0
