"""What the site shares with the repository: the pictures, and the tables of results beside the benchmarks."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
PICTURES = ROOT / ".github" / "pictures"
_INCLUDED = re.compile(r"^<!-- include: (\S+) -->$", re.MULTILINE)
_HEADING = re.compile(r"^#+ ", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """MkDocs asks for the site's files: the README's pictures and the contributing guide are added."""
    from mkdocs.structure.files import File

    for picture in sorted(PICTURES.iterdir()):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    files.append(File.generated(config, "contributing.md", abs_src_path=str(CONTRIBUTING)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs asks for a page's text: `<!-- include: PATH -->` is replaced by the repository's file."""
    return included(markdown)


def included(markdown: str) -> str:
    """A page's text with what it includes, whose headings are one level lower."""
    return _INCLUDED.sub(lambda found: _HEADING.sub(r"#\g<0>", (ROOT / found[1]).read_text(encoding="utf-8")), markdown)
