"""Tests of hypercl.sweep.planner."""
