import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from harness import plugins
from harness.cli import main

HERE = Path(__file__).parent
PLUGINS = HERE.parents[1] / "plugins"


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    error: str


@pytest.fixture
def _toys(monkeypatch, tmp_path):
    """Let the toy plugin and the datasets be the only plugins there are."""
    monkeypatch.syspath_prepend(str(HERE / "toy_plugin"))
    monkeypatch.syspath_prepend(str(PLUGINS / "cxr_datasets"))
    entries = [EntryPoint(name, name, "harness") for name in ("toy_plugin", "cxr_datasets")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries)
    monkeypatch.delenv("HARNESS_PLUGINS", raising=False)
    monkeypatch.chdir(tmp_path)
    plugins.registry.cache_clear()
    yield
    plugins.registry.cache_clear()


@pytest.fixture
def harness(_toys, monkeypatch, capsys):
    """Return a function that runs one command of the command line in this process."""
    before = torch.are_deterministic_algorithms_enabled()

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    yield command
    torch.use_deterministic_algorithms(before)


@pytest.fixture
def refused(harness, tmp_path):
    """Return a function that runs a command which must end in one message and leave nothing."""

    def command(*words):
        ended = harness(*words)
        assert ended.code == 1, ended
        assert "Traceback" not in ended.error
        assert ended.error.count("error: ") == 1, ended.error
        results = Path(os.environ["HARNESS_RESULTS"])
        assert not list(results.rglob("*")), "something was written to the results"
        assert not list(tmp_path.rglob("*.tmp")), "something half-written is left"
        return ended.error.partition("error: ")[2]

    return command


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Sixty phantoms in NIH's layout."""
    sys.path.append(str(PLUGINS / "cxr_datasets"))
    from cxr_datasets.nih import NIH

    root = tmp_path_factory.mktemp("phantoms") / "nih"
    NIH.write_phantoms(root, 60, {"size": 64, "enrich": 0.5, "images_per_patient": 2.0})
    return root


@pytest.fixture
def nih(phantoms, tmp_path):
    """A copy of the phantoms that a test may break."""
    return shutil.copytree(phantoms, tmp_path / "nih")
