"""The contract of a method as a test class to inherit. Requires pytest, unlike the rest of hypercl."""

from hypercl.testing.method_contract import MethodContract

__all__ = ["MethodContract"]
