"""Tests of hypercl.sweep.workers."""
