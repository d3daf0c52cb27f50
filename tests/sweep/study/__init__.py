"""Tests of hypercl.sweep.study."""
