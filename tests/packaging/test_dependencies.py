"""What every distribution imports is what it declares, no more and no less."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PLUGINS = sorted(project.parent for project in REPO.glob("plugins/*/pyproject.toml"))
OWN = {"harness": "cxr-harness"} | {
    p.name: f"cxr-harness-{p.name}".replace("_", "-") for p in PLUGINS
}
KIT = "harness/testing/"  # imported by tests only, and so with the extra `test`

# Used where it is installed, with a message where it is not; nothing here brings it.
BROUGHT_BY_OTHERS = {
    "harness/model/pretrained.py": {"torchvision"},  # the plugin that wants its weights has it
    "anaxnet/detectors/with_detectron2.py": {"detectron2"},  # on no index
}


def named(project):
    return "harness" if project == REPO else project.name


def package_of(project):
    return project / named(project)


def names_in(requirements):
    """Return the names of requirements like "torch>=2.8"."""
    return {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements}


def declared(project):
    """Return the names that a distribution needs always, and those of each of its extras."""
    table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = table.get("optional-dependencies", {})
    return names_in(table["dependencies"]), {extra: names_in(extras[extra]) for extra in extras}


@cache
def offered():
    return packages_distributions()


def distributions(module):
    """Return the distributions that a module can come from; none for the standard library."""
    if module in sys.stdlib_module_names:
        return set()
    if module in OWN:
        return {OWN[module]}
    found = offered().get(module, [module])
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


def imports(path):
    """Yield every module that a file imports, and whether importing the file imports it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = {id(node) for block in ast.walk(tree) if _is_later(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module]
        else:
            continue
        for module in modules:
            yield module.partition(".")[0], id(node) not in later


def _is_later(node):
    """Return whether a block runs later, or only where it can: a function, a try, for types."""
    types_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    return types_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Try)


def imported(folder):
    """Return (file, distributions it may come from, whether at once) for every import."""
    return [
        (path.relative_to(folder.parent).as_posix(), distributions(module), at_once)
        for path in sorted(folder.rglob("*.py"))
        for module, at_once in imports(path)
        if distributions(module)
    ]


@pytest.mark.parametrize("project", [REPO, *PLUGINS], ids=named)
class TestADistribution:
    def test_declares_what_it_imports(self, project):
        """What an extra brings is imported late, or by a file of the extra's name."""
        always, extras = declared(project)
        name = OWN[named(project)]
        optional = set().union(*(names for extra, names in extras.items() if extra != "test"))
        for file, sources, at_once in imported(package_of(project)):
            allowed = always | {name} | BROUGHT_BY_OTHERS.get(file, set())
            allowed |= extras.get(Path(file).stem, set()) if at_once else optional
            if file.startswith(KIT):
                allowed |= extras["test"]
            assert sources & allowed, f"{file} imports {sources}; declared: {sorted(allowed)}"

    def test_imports_what_it_declares(self, project):
        used = set().union(*(sources for _, sources, _ in imported(package_of(project))))
        assert not declared(project)[0] - used

    def test_tests_with_what_it_declares_and_the_extra_test(self, project):
        always, extras = declared(project)
        core, core_extras = declared(REPO)
        brought = core | core_extras["test"] | always | set().union(*extras.values(), OWN.values())
        beside = {path.stem.replace("_", "-") for path in (project / "tests").rglob("*")}
        for file, sources, _ in imported(project / "tests"):
            assert sources & (brought | beside), f"{file} imports {sources}, which nothing brings"
