"""What a key means: its sentence, type, default, bounds and source; the JSON schema."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.config.explain.explain import Kind, Part, Setting, explain_key, known_keys
    from hypercl.config.explain.schema import schema_text

__all__, __getattr__ = lazy(__name__, __file__)
