"""The drawing of the rooms on the architecture page: the layers that import-linter enforces, as an inline SVG."""

import ast
import re
import textwrap
import tomllib
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PLACE = re.compile(r"^<!-- rooms: ([\w.]+) -->$", re.MULTILINE)
WIDTH, GAP, LINE, LETTER = 760, 10, 15, 6.1


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs asks for a page's text: `<!-- rooms: hypercl.sweep -->` is replaced by the layers of that package."""
    return _PLACE.sub(lambda found: svg(found[1]), markdown)


def layers(package: str) -> list[list[str]]:
    """The layers of a package, top first, each the names of the rooms that stand side by side."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in project["tool"]["importlinter"]["contracts"]:
        if contract["type"] != "layers":
            continue
        prefixes = contract.get("containers", [])
        full = [re.split(r"\s*[|:]\s*", layer.strip("()")) for layer in contract["layers"]]
        if package in prefixes:
            return [[f"{package}.{name.strip('()')}" for name in row] for row in full]
        if not prefixes and all(name.rpartition(".")[0] == package for row in full for name in row):
            return full
    raise KeyError(f"pyproject.toml has no layers contract of {package}")


def purpose(module: str) -> str:
    """The first sentence of a module's docstring."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=[.])\s", " ".join(text.replace("`", "").split()))[0]


def svg(package: str) -> str:
    """The layers as boxes: a room imports from the rows below its own."""
    parts, y = [f"<title>Layers of {package}: a room imports only from the rows below it</title>"], GAP
    for row in layers(package):
        width = (WIDTH - GAP * (len(row) + 1)) / len(row)
        texts = {module: _wrapped(purpose(module), int(width / LETTER)) for module in row}
        height = 34 + LINE * max(len(lines) for lines in texts.values())
        for column, (module, lines) in enumerate(texts.items()):
            parts.append(_box(module.rpartition(".")[2], lines, GAP + column * (width + GAP), y, width, height))
        y += height + GAP
    return f'<div><svg class="rooms" viewBox="0 0 {WIDTH} {y}" role="img">{"".join(parts)}</svg></div>'


def _box(name: str, lines: list[str], x: float, y: int, width: float, height: int) -> str:
    middle, top = x + width / 2, y + (height - LINE * len(lines)) / 2 + 5
    texts = [f'<text class="room" x="{middle:.0f}" y="{top:.0f}">{escape(name)}</text>']
    texts += [
        f'<text class="purpose" x="{middle:.0f}" y="{top + LINE * number:.0f}">{escape(line)}</text>'
        for number, line in enumerate(lines, 1)
    ]
    return f'<g><rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{height}" rx="6"/>{"".join(texts)}</g>'


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text.rstrip("."), width, break_on_hyphens=False)
