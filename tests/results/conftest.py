import os
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PLUGINS = [path for path in sorted((REPO / "plugins").glob("*")) if (path / path.name).is_dir()]


@pytest.fixture(scope="session", autouse=True)
def _plugins_importable():
    sys.path.extend(str(path) for path in PLUGINS if str(path) not in sys.path)


@pytest.fixture(scope="session")
def tables() -> dict[str, str]:
    found = {}
    for plugin in PLUGINS:
        for path in sorted((plugin / plugin.name / "tables").glob("*.toml")):
            found[tomllib.loads(path.read_text())["name"]] = f"{plugin.name}:tables/{path.name}"
    for path in sorted((REPO / "harness" / "results" / "tables").glob("*.toml")):
        found[tomllib.loads(path.read_text())["name"]] = f"harness.results:tables/{path.name}"
    return found


@pytest.fixture(scope="session")
def papers() -> Path:
    shared = Path(os.environ.get("CXR_SHARED", REPO.parent / "shared"))
    if not (shared / "papers").is_dir():
        pytest.skip(f"the papers' texts are not at {shared / 'papers'}")
    return shared / "papers"
