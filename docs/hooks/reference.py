"""The file reference: a page for each section of a sweep's file, written from the models when the site is built."""

import re
from typing import Any

FOLDER = "reference"
_CODE = re.compile(r"(`[^`]*`)")


def on_files(files: Any, config: Any) -> Any:
    """MkDocs asks for the site's files: the generated pages are added."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> dict[str, str]:
    """Path below the site's pages -> Markdown."""
    sections = [path for path, _ in _explain("").parts if path != "experiment"]
    return {f"{FOLDER}/index.md": _overview(sections)} | {f"{FOLDER}/{path}.md": _page(path) for path in sections}


def _explain(path: str) -> Any:
    """A section or a key as `hypercl explain` shows it."""
    from hypercl.config.explain import explain_key

    return explain_key(path)


def _overview(sections: list[str]) -> str:
    file, experiment = _explain(""), _explain("experiment")
    inside = [path for path, _ in experiment.parts]
    lines = [
        "# File reference",
        "",
        "Every key that a file may hold, generated from the models that read it. `hypercl explain PATH` prints the "
        "same in a terminal, for example `hypercl explain method.beta`.",
        "",
    ]
    outside = [path for path in sections if path not in inside]
    for title, paths in (("The run: sections of `experiment`", inside), ("The sweep over it", outside)):
        lines += [f"## {title}", "", "| section | what it holds |", "|---|---|"]
        lines += [f"| [`{path}`]({path}.md) | {_text(_explain(path).about)} |" for path in paths] + [""]
    lines += ["## Keys outside of a section", ""]
    for setting in {setting.path: setting for setting in (*file.settings, *experiment.settings)}.values():
        lines += _setting(setting)
    return "\n".join(lines)


def _page(path: str) -> str:
    return "\n".join([f"# `{path}`", "", *_section(path)])


def _section(path: str) -> list[str]:
    """What a section is for, its kinds, its keys, and the sections inside it."""
    section = _explain(path)
    lines = [_text(section.about), ""]
    if section.kinds:
        lines += ["| `name` | what it is |", "|---|---|"]
        default = {kind.name: " (default)" if kind.default else "" for kind in section.kinds}
        lines += [f"| `{kind.name}`{default[kind.name]} | {_text(kind.about)} |" for kind in section.kinds] + [""]
    for setting in section.settings:
        lines += _setting(setting)
    for inner, _ in section.parts:
        lines += [f"## Section `{inner}`" + _anchor(inner, inner), "", *_section(inner)]
    return lines


def _setting(setting: Any) -> list[str]:
    abouts: dict[str, list[str]] = {}
    for variant in setting.variants:
        abouts.setdefault(variant.about, []).append(variant.kind)
    label = setting.path.rpartition(".")[2]
    lines = [f"### `{setting.path}`" + _anchor(setting.path, label), ""]
    for about, kinds in abouts.items():
        of_kinds = f"{', '.join(f'`{kind}`' for kind in kinds)}: " if len(abouts) > 1 else ""
        lines += [of_kinds + _text(about), ""]
    rows = [
        ("type", _by_kind(setting, "type", _text)),
        ("default", _by_kind(setting, "default", lambda value: value if value == "required" else f"`{value}`")),
        ("only with", _text(setting.kinds)),
        ("source", _text(setting.source)),
        ("in a space", f"`{setting.space}`" if setting.space else _text(setting.closed)),
    ]
    return [*lines, *(f"- {name}: {value}" for name, value in rows if value), ""]


def _by_kind(setting: Any, attribute: str, shown: Any) -> str:
    """A value that all kinds have, or that of each."""
    kinds: dict[str, list[str]] = {}
    for variant in setting.variants:
        kinds.setdefault(getattr(variant, attribute), []).append(variant.kind)
    if len(kinds) == 1:
        return shown(next(iter(kinds)))
    return "; ".join(f"{shown(value)} ({', '.join(names)})" for value, names in kinds.items())


def _anchor(path: str, label: str) -> str:
    """A heading's address, and what the table of contents calls it."""
    return f' {{ #{path} data-toc-label="{label}" }}'


def _text(text: str) -> str:
    """A docstring as Markdown: what is not code is escaped, for a table's cell too."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_\[\]<>|#])", r"\\\1", part) for part in parts)
