"""Tests of hypercl.sweep.race."""
