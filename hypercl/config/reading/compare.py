"""Where two settings differ."""

from typing import Any

from hypercl.config.reading.yaml_text import dump


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Key path, old and new value of everything that differs between two plain values."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            found
            for key in keys
            for found in differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if old == new else [(path, old, new)]


def difference_line(path: str, old: Any, new: Any) -> str:
    """A difference for people: `    method.beta: 0.01 -> 0.5`."""
    return f"    {path}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    return "(not there)" if value is None else dump(value).strip().removesuffix("\n...").replace("\n", "; ")
