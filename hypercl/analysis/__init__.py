"""Tables and figures from the folders of finished runs."""

from hypercl.analysis.matrix import matrix_figure, read_matrix, write_matrix_png

__all__ = ["matrix_figure", "read_matrix", "write_matrix_png"]
