"""Tests of hypercl.sweep.plan."""
