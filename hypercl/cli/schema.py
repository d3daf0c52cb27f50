"""`hypercl schema`: the JSON Schema of a sweep's file."""

import argparse

from hypercl.config.explain.schema import schema_text
from hypercl.files import write_text


def schema_command(given: argparse.Namespace) -> int:
    """Prints the schema, or writes it into a file."""
    if given.write is None:
        print(schema_text(), end="")
    else:
        write_text(given.write, schema_text())
        print(f"written: {given.write}")
    return 0
