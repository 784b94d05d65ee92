"""Every distribution alone: what its wheel holds, what it offers, and that its tests pass there."""

import json
import shutil
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

REPO = Path(__file__).parents[2]
PLUGINS = sorted(project.parent for project in REPO.glob("plugins/*/pyproject.toml"))
KINDS = ("datasets", "models", "metrics", "tables")

RESOLVE_ALL = """
from harness.plugins import KINDS, registry
from harness.results.pages import load_page
found = registry()
assert not found.problems, found.problems
for kind in KINDS:
    for name in found.offered(kind):
        load_page(name, found.offered(kind)) if kind == "tables" else found.resolve(kind, name)
"""


def named(project):
    return "harness" if project == REPO else project.name


def each_plugin(test):
    return pytest.mark.parametrize("plugin", PLUGINS, ids=named)(test)


@pytest.mark.parametrize("project", [REPO, *PLUGINS], ids=named)
def test_a_wheel_holds_the_package_and_nothing_else(project, build):
    package = project / named(project)
    tree = {
        path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(build(project)) as wheel:
        held = set(wheel.namelist())
    about = {name for name in held if name.split("/")[0].endswith(".dist-info")}
    assert held - about == {path.relative_to(project).as_posix() for path in tree}
    licence = {"LICENSE"} if project == REPO else set()
    known = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt"}
    assert {name.rpartition("/")[2] for name in about} == known | licence


def test_the_harness_alone_offers_its_own(environment):
    alone = environment(REPO)
    (own,) = json.loads(alone.python("-m", "harness", "list", "--json"))["plugins"]
    assert own["origin"] == "cxr-harness"
    alone.python("-c", RESOLVE_ALL)


@each_plugin
def test_a_plugin_alone_is_listed_and_loads(plugin, environment):
    project = tomllib.loads((plugin / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    alone = environment(REPO, plugin)
    listed = json.loads(alone.python("-m", "harness", "list", "--json"))["plugins"]
    own, only = listed
    assert own["origin"] == "cxr-harness"
    assert only["origin"] == project["name"]
    assert only["version"] == project["version"]
    assert {only["name"]: plugin.name} == project["entry-points"]["harness"]
    assert any(only[kind] for kind in KINDS)
    alone.python("-c", RESOLVE_ALL)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@each_plugin
def test_a_plugin_alone_passes_its_tests(plugin, environment, tmp_path):
    shutil.copy(REPO / "pyproject.toml", tmp_path)  # how pytest is to run
    shutil.copytree(plugin / "tests", tmp_path / "tests")
    environment(REPO, plugin).python("-m", "pytest", "-q", "tests", cwd=tmp_path)
