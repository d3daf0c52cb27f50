"""Reproducing published results: a table of cells, its runs, its results."""
