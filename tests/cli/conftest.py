"""Commands as they are on a machine that says nothing about data."""

import pytest


@pytest.fixture(autouse=True)
def _no_data_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYPERCL_DATA", raising=False)
