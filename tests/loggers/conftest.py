import warnings

import pytest


@pytest.fixture
def own_home(tmp_path_factory, monkeypatch):
    """W&B's caches and netrc are not the machine's."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(home))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(scope="module")
def service_ends_here():
    yield
    import wandb

    with warnings.catch_warnings():
        wandb.teardown()
