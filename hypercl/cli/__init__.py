"""Commands: parse, print the plan, call one function below."""

from hypercl.cli.main import main

__all__ = ["main"]
