"""Hyperparameter sweeps of task-conditioned hypernetworks for continual learning."""

__version__ = "0.1.0"
