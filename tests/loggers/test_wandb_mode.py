import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from hypercl.config.models.sweep import Wandb
from hypercl.loggers import decide_mode, wandb_mode


@pytest.fixture(autouse=True)
def bare_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    names = (
        "WANDB_API_KEY",
        "WANDB_MODE",
        "WANDB_DISABLED",
        "WANDB_BASE_URL",
        "NETRC",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    )
    for name in (*names, *(name.lower() for name in names), "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    from wandb.sdk import wandb_setup

    monkeypatch.setattr(wandb_setup.singleton(), "_settings", None)
    yield
    wandb_setup.singleton()._settings = None


@contextmanager
def answering(status: int) -> Iterator[int]:
    """The port of a server that answers every request with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture
def listening():
    with answering(200) as port:
        yield port


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def timed(settings: Wandb, offline: bool = False):
    begun = time.monotonic()
    mode, reason = decide_mode(settings, offline)
    assert time.monotonic() - begun < 5
    return mode, reason


def test_the_file_can_say_offline():
    assert timed(Wandb(mode="offline")) == ("offline", "W&B is offline: logging.wandb.mode says so")


def test_the_command_can_say_offline():
    assert timed(Wandb(), offline=True) == ("offline", "W&B is offline: --offline, or HYPERCL_OFFLINE, says so")


def test_the_environment_can_say_offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert timed(Wandb()) == ("offline", "W&B is offline: WANDB_MODE=offline")


def test_no_key_is_offline_with_the_remedy(monkeypatch, listening):
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening}")
    mode, reason = timed(Wandb())
    assert mode == "offline"
    assert "no key for http://127.0.0.1" in reason
    assert "WANDB_API_KEY" in reason


def test_a_closed_port_is_offline(monkeypatch, closed_port):
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    mode, reason = timed(Wandb())
    assert mode == "offline"
    assert f"127.0.0.1:{closed_port} cannot be reached" in reason
    assert "kkkk" not in reason
    assert "refused" in reason


def test_a_server_that_accepts_and_never_answers_is_offline(monkeypatch):
    monkeypatch.setattr(wandb_mode, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        mode, reason = timed(Wandb())
    assert mode == "offline"
    assert "timed out" in reason


@pytest.mark.parametrize(("status", "mode"), [(500, "offline"), (503, "offline"), (404, "online")])
def test_a_server_that_answers_with_its_own_errors_is_offline(monkeypatch, status, mode):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    with answering(status) as port:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        found, reason = timed(Wandb())
    assert found == mode
    assert (f"it answers {status}" in reason) is (mode == "offline")


@pytest.mark.parametrize("switch", [("WANDB_MODE", "disabled"), ("WANDB_DISABLED", "true")])
@pytest.mark.parametrize("wanted", ["online", "offline"])
def test_the_environment_can_disable_it(monkeypatch, switch, wanted):
    monkeypatch.setenv(*switch)
    assert timed(Wandb(mode=wanted))[0] == "disabled"


def test_a_malformed_key_is_offline_and_is_not_shown(monkeypatch, listening):
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening}")
    monkeypatch.setenv("WANDB_API_KEY", "s3cret")
    mode, reason = timed(Wandb())
    assert mode == "offline"
    assert "s3cret" not in reason


@pytest.mark.parametrize("place", ["environment", "netrc"])
def test_a_key_and_a_server_that_answers_are_online(monkeypatch, tmp_path, listening, place):
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening}")
    if place == "environment":
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    else:
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1:{listening}\n  login user\n  password {'k' * 40}\n")
        (tmp_path / ".netrc").chmod(0o600)
    assert timed(Wandb()) == ("online", f"W&B is online at http://127.0.0.1:{listening}")


def test_behind_a_proxy_it_is_the_proxy_that_must_answer(monkeypatch, listening):
    monkeypatch.setenv("WANDB_BASE_URL", "http://example.org")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{listening}")
    assert timed(Wandb())[0] == "online"
