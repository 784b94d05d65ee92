import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real, freely redistributable data, beside the repository or at CXR_SHARED."""
    beside = Path(__file__).resolve().parents[3].parent / "shared"
    root = Path(os.environ.get("CXR_SHARED", beside)) / "data"
    if not root.is_dir():
        pytest.skip(f"no real NIH files: {root} does not exist and CXR_SHARED names no other")
    return root


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory):
    """Keep what tests index out of the user's HARNESS_HOME."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(tmp_path_factory.mktemp("home")))
        yield
