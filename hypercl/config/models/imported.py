"""A part of the search that is a user's own, or a library's."""

from typing import Any

from pydantic import Field

from hypercl.config.models.section import ImportPath, Section


class Imported(Section):
    """A part of your own, or any of Optuna's, by import path."""

    import_: ImportPath = Field(alias="import")
    """`package.module:Class`, found beside the file, in the working directory, or installed."""
    kwargs: dict[str, Any] = {}
    """Keyword arguments."""

    def __hash__(self) -> int:
        return hash(self.import_)

    @property
    def short_name(self) -> str:
        """The last name of the path."""
        return self.import_.replace(":", ".").rpartition(".")[2]
