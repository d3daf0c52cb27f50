"""Tests of hypercl.config.models."""
