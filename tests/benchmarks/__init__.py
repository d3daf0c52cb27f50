"""Speed, side by side with hypnettorch: `python -m tests.benchmarks.run`, or `pytest -m benchmark`."""
