"""What every test may rely on: a home of its own, one thread, and no user settings around it."""

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """Keep what tests make out of the user's folders."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HARNESS_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    return tmp_path / "home"
