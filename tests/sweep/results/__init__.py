"""Tests of hypercl.sweep.results."""
