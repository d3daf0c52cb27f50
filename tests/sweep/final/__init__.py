"""Tests of hypercl.sweep.final."""
