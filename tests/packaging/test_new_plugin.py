"""The plugin that `harness new plugin` writes: complete, installable, an example to follow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app, new
from harness.errors import HarnessError, SettingError

REPO = Path(__file__).parents[2]
NAME = "its-own-method"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    place = tmp_path_factory.mktemp("new")
    done = CliRunner().invoke(app, ["new", "plugin", NAME, "--out", str(place)])
    assert done.exit_code == 0, done.output
    assert f"pip install -e {place / NAME}" in done.output
    return place / NAME


@pytest.fixture(scope="module")
def installed(written, environment):
    return environment(REPO, written)


def test_it_is_listed_and_loads(installed):
    _, listed = json.loads(installed.python("-m", "harness", "list", "--json"))["plugins"]
    assert (listed["name"], listed["origin"]) == (NAME, f"cxr-harness-{NAME}")
    assert listed["models"] == [NAME]
    resolve = (
        f"from harness.plugins import registry; print(registry().resolve('models', '{NAME}')())"
    )
    assert installed.python("-c", resolve).startswith("ItsOwnMethod(width=")


@pytest.mark.parametrize(
    "words",
    [
        ("check", NAME.replace("-", "_")),
        ("check", "--ignore", "D,ANN", "tests"),
        ("format", "--check", "."),
    ],
)
def test_it_follows_the_house_style(written, words):
    ruff = (sys.executable, "-m", "ruff", *words, "--config", REPO / "pyproject.toml")
    done = subprocess.run(ruff, cwd=written, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_it_passes_every_check_and_is_typed(written, installed):
    installed.python("-m", "pytest", "-q", "-m", "slow or not slow", ".", cwd=written)
    installed.python("-m", "mypy", "--strict", "-p", NAME.replace("-", "_"), cwd=written)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My_Method", "such as my-method, not 'My_Method'"),
        ("3d", "such as my-method"),
        ("a--b", "such as my-method"),
        ("class", "such as my-method"),
        ("../up", "such as my-method"),
        ("constant", "offered by cxr-harness"),
        ("json", "a module 'json'"),
    ],
)
def test_names_that_cannot_be_are_refused(name, message):
    with pytest.raises(SettingError, match=message):
        new.check_name(name)


def test_what_is_there_is_not_overwritten(written):
    with pytest.raises(SettingError, match="exists"):
        new.plugin(NAME, written.parent)


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    def full(path, text, encoding):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(HarnessError, match="disk is full"):
        new.write(NAME, tmp_path / NAME)
    assert not list(tmp_path.iterdir())
