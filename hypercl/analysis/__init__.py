"""Tables and figures from the folders of finished runs and sweeps."""

from hypercl.analysis.matrix import matrix_figure, read_matrix, write_matrix_png
from hypercl.analysis.sweep import history_figure, parameter_figure, read_trials, write_sweep_figures

__all__ = [
    "history_figure",
    "matrix_figure",
    "parameter_figure",
    "read_matrix",
    "read_trials",
    "write_matrix_png",
    "write_sweep_figures",
]
