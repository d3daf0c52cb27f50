"""Draws what a terminal shows: `tmux capture-pane -ept NAME -S - | python docs/hooks/terminal.py TITLE FILE.svg`."""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_WEB_FONTS = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)


def draw(captured: str, title: str) -> str:
    """The SVG of a terminal's lines with their colours, without fonts from another host."""
    text = Text.from_ansi(captured.rstrip())
    width = max(line.cell_len for line in text.split()) + 2
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text, no_wrap=True)
    return _WEB_FONTS.sub("", console.export_svg(title=title, theme=MONOKAI)).replace("Fira Code,", "")


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(sys.stdin.read(), sys.argv[1]), encoding="utf-8")
