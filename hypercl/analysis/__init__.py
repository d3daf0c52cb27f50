"""Tables and figures from the folders of finished runs and sweeps."""

from hypercl.analysis.comparison import comparison_figure, comparison_table
from hypercl.analysis.importance import importance_figure
from hypercl.analysis.matrix import matrix_figure, read_matrix, write_matrix_png
from hypercl.analysis.sweep import draw_sweep, history_figure, parameter_figure, read_trials

__all__ = [
    "comparison_figure",
    "comparison_table",
    "draw_sweep",
    "history_figure",
    "importance_figure",
    "matrix_figure",
    "parameter_figure",
    "read_matrix",
    "read_trials",
    "write_matrix_png",
]
