"""The contracts of a method and of a logger as test classes to inherit. Requires pytest, unlike the rest of hypercl."""

from hypercl.testing.logger_contract import LoggerContract
from hypercl.testing.method_contract import MethodContract

__all__ = ["LoggerContract", "MethodContract"]
