"""Tables and figures from the folders of finished runs and sweeps."""

from hypercl.analysis.final import About, FinalResult, Reported, read_final, write_final
from hypercl.analysis.front import comparison_figure, comparison_table, front_figure
from hypercl.analysis.matrix import matrix_figure, read_matrix, write_matrix_png
from hypercl.analysis.optimism import Joined, joined_optimism, optimism_figure, write_optimism
from hypercl.analysis.race import draw_race
from hypercl.analysis.sweep import (
    draw_sweep,
    history_figure,
    importance_figure,
    parameter_figure,
    read_trials,
    under_protocol,
)
from hypercl.reproduce.results import (
    read_reproduction,
    reproduction_figure,
    reproduction_markdown,
    reproduction_results,
)

__all__ = [
    "About",
    "FinalResult",
    "Joined",
    "Reported",
    "comparison_figure",
    "comparison_table",
    "draw_race",
    "draw_sweep",
    "front_figure",
    "history_figure",
    "importance_figure",
    "joined_optimism",
    "matrix_figure",
    "optimism_figure",
    "parameter_figure",
    "read_final",
    "read_matrix",
    "read_reproduction",
    "read_trials",
    "reproduction_figure",
    "reproduction_markdown",
    "reproduction_results",
    "under_protocol",
    "write_final",
    "write_matrix_png",
    "write_optimism",
]
