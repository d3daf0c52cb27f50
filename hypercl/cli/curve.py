"""A curve in a terminal."""

from collections.abc import Sequence

WIDTH, HEIGHT = 62, 10


def curve(points: Sequence[tuple[int, float]], steps: int, ticks: dict[int, str]) -> list[str]:
    """A plot of values between 0 and 1 against steps, in less than 80 columns of plain characters.

    Args:
        points: (step, value), steps from 1.
        steps: the last step there could be: the width of the plot.
        ticks: step -> what to write below it.
    """
    values = [value for _, value in points]
    low, high = min([*values, 1.0]), max([*values, 0.0])
    low, high = (low, high) if high > low else (low - 0.05, high + 0.05)
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for step, value in points:
        row = round((high - value) / (high - low) * (HEIGHT - 1))
        grid[row][_column(step, steps)] = "*"
    lines = []
    for row, cells in enumerate(grid):
        label = f"{high - row / (HEIGHT - 1) * (high - low):.3f}" if row in (0, HEIGHT // 2, HEIGHT - 1) else ""
        lines.append(f"{label:>8} |{''.join(cells)}".rstrip())
    axis, below = ["-"] * WIDTH, [" "] * (WIDTH + 8)
    for step, text in ticks.items():
        column = _column(step, steps)
        axis[column] = "+"
        start = max(0, column - len(text) + 1)
        if all(cell == " " for cell in below[max(0, start - 1) : start + len(text)]):
            below[start : start + len(text)] = text
    return [*lines, " " * 9 + "+" + "".join(axis), " " * 10 + "".join(below).rstrip()]


def _column(step: int, steps: int) -> int:
    return min(WIDTH - 1, max(0, round(step / max(1, steps) * (WIDTH - 1))))
