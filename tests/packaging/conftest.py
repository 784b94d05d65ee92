"""Wheels of every distribution, and fresh environments to install them in.

What is large comes from the environment that runs the tests, by links; nothing is downloaded.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", ".*")


def run(*command, cwd):
    """Run a command without the settings of the calling process; return what it prints."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HARNESS_"))}
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=inherited, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A fresh environment in a folder of its own."""

    folder: Path

    def python(self, *words, cwd=None):
        """Run its Python, by default in its own folder, and return what it prints."""
        return run(self.folder / "bin" / "python", *words, cwd=cwd or self.folder)


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Return a function that builds the wheel of a copy of a distribution's folder, once."""
    built = {}

    def wheel(project):
        if project not in built:
            place = tmp_path_factory.mktemp(project.name)
            _copy(project, place / "source")
            pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps")
            run(*pip, "--no-build-isolation", "-w", place, place / "source", cwd=place)
            (built[project],) = place.glob("*.whl")
        return built[project]

    return wheel


def _copy(project, place):
    if project != REPO:
        shutil.copytree(project, place, ignore=LEFT_OUT)
        return
    shutil.copytree(REPO / "harness", place / "harness", ignore=LEFT_OUT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (REPO / name).exists():
            shutil.copy(REPO / name, place)


@pytest.fixture(scope="session")
def outer(tmp_path_factory):
    """Return a folder of links to everything installed here but the harness and its plugins."""
    folder = tmp_path_factory.mktemp("outer")
    own = {"harness", *(project.parent.name for project in REPO.glob("plugins/*/pyproject.toml"))}
    for site in (Path(p) for p in sys.path if Path(p).name in ("site-packages", "dist-packages")):
        for entry in site.iterdir():
            ours = entry.name in own or entry.name.startswith(("cxr_harness", "__editable__"))
            link = folder / entry.name
            if not (ours or entry.suffix == ".pth" or link.is_symlink()):
                link.symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def environment(build, outer, tmp_path_factory):
    """Return a function that installs distributions, given by folder, in a fresh environment."""

    def fresh(*projects):
        place = tmp_path_factory.mktemp("environment")
        run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
        (site,) = place.glob("lib/python3.*/site-packages")
        (site / "outer.pth").write_text(f"{outer}\n", encoding="utf-8")
        python = place / "bin" / "python"
        pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
        run(*pip, "--no-index", "--no-deps", *map(build, projects), cwd=place)
        return Environment(place)

    return fresh
