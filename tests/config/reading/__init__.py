"""Tests of hypercl.config.reading."""
