import warnings

import pytest
from wandb_server import KEY, serving


@pytest.fixture
def own_home(tmp_path_factory, monkeypatch):
    """W&B's caches and netrc are not the machine's."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(home))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    from wandb.sdk import wandb_setup

    monkeypatch.setattr(wandb_setup.singleton(), "_settings", None)  # which hold the address of a test before
    return home


@pytest.fixture(scope="module")
def service_ends_here():
    yield
    import wandb

    with warnings.catch_warnings():
        wandb.teardown()


@pytest.fixture
def server(own_home, monkeypatch):  # noqa: ARG001 - the home comes first
    """A W&B server on the loopback interface, and a key for it."""
    with serving() as held:
        monkeypatch.setenv("WANDB_BASE_URL", held.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.delenv("HYPERCL_OFFLINE", raising=False)
        yield held
        held.trouble = lambda _path: None
        import wandb

        wandb.teardown()
