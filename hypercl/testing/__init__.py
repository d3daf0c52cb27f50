"""What a method must do, as a test class to inherit; needs pytest, which the rest of hypercl does not."""

from hypercl.testing.method_contract import MethodContract

__all__ = ["MethodContract"]
