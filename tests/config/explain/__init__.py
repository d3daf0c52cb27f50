"""Tests of hypercl.config.explain."""
