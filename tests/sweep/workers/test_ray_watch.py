"""A cluster is given up once one of its servers has been silent for long, not at its first lost packet."""

import socket

import pytest

from hypercl.sweep.workers import ray_watch
from hypercl.sweep.workers.ray_watch import LONGEST_SILENCE, Silent


def test_a_server_that_is_silent_for_long_is_named_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(ray_watch.time, "monotonic", lambda: now)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        head = Silent("the head of the cluster", address)
        now += 10 * LONGEST_SILENCE  # nobody asked, and it answers
        assert head() == ""
    now += LONGEST_SILENCE - 1
    assert head() == ""
    now += 2
    assert head() == (
        f"the head of the cluster, {address}, does not answer\n"
        "    fix:     check the cluster with ray status, or start it again"
    )
    port = int(address.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        assert head() == ""
    assert head() == ""
