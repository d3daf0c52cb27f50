"""Tests of hypercl.config.checks."""
