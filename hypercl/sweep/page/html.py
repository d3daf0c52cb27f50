"""Pieces of a page, each of which escapes what it is given."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

FIGURES = {
    "front": (
        "Pareto front",
        "What no other trial beats in one goal without losing in another; the star is the setting of best.yaml.",
    ),
    "importance": (
        "Which parameters mattered",
        "Share in being among the best third of the trained trials. A bar that stays left of its orange mark could be "
        "chance (one in twenty).",
    ),
    "parameters": (
        "Each parameter against the objective",
        "Every trial by one parameter at a time, over the range that was searched. The star is the best setting; short "
        "strokes are pruned trials.",
    ),
    "parallel": (
        "All parameters at once",
        "A line is a trial; the brighter, the better. Drag along an axis to keep the trials there, double-click to see "
        "all again.",
    ),
    "seeds": (
        "The best settings on the same further seeds",
        "Validation data. A dot is a seed, the bar the mean with its 95 % t interval.",
    ),
    "final": (
        "The final step, on test data",
        "On fresh seeds. A dot is a seed, the bar the mean with its 95 % t interval.",
    ),
    "pruning": ("How far trials got", "Number of trials by the tasks that they had learned when they ended."),
    "together": ("Which search found what, and when", "The best value so far of each sweep."),
}
"""Kind of figure -> its title and what to see in it; `page.js` draws it."""


def figure(kind: str, text: str = "", heading: str = "") -> str:
    """A place for a figure."""
    given, words = FIGURES.get(kind, (heading, text))
    return (
        f'<figure data-figure="{kind}"><figcaption><h3>{escape(given)}</h3><p>{escape(words)}</p></figcaption>'
        f'<div class="plot" role="img" aria-label="{escape(given)}"></div></figure>\n'
    )


def section(heading: str, *content: str, kind: str = "") -> str:
    """A card with a heading; nothing without content."""
    return f'<section class="{kind}"><h2>{escape(heading)}</h2>{"".join(content)}</section>\n' if any(content) else ""


def text(words: str, kind: str = "") -> str:
    """A paragraph; nothing without words."""
    return f'<p class="{kind}">{escape(words)}</p>' if words else ""


def code(command: str) -> str:
    """A command to be copied; nothing without one."""
    return f"<pre><code>{escape(command)}</code></pre>" if command else ""


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of the same keys; a wide one scrolls by itself."""
    head = "".join(f"<th>{escape(key)}</th>" for key in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row.values())}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Rows of a name and a sentence."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(words)}</td></tr>' for name, words in rows)
    return f'<div class="scroll"><table class="pairs"><tbody>{body}</tbody></table></div>' if body else ""


def details(heading: str, content: str) -> str:
    """A text that opens on a click."""
    return f"<details><summary>{escape(heading)}</summary><pre>{escape(content)}</pre></details>"
