"""Reproducing published results: a table of cells, its runs, its results."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.reproduce.jobs import Job, file_named, published_experiments, reproduction_jobs, table_file
    from hypercl.reproduce.results import (
        read_reproduction,
        reproduction_figure,
        reproduction_markdown,
        reproduction_results,
    )
    from hypercl.reproduce.table import Comparison, Reproduction, cells_of, load_reproduction

__all__, __getattr__ = lazy(__name__, __file__)
