"""Dependencies point one way, and light parts stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import harness

PACKAGE = Path(harness.__file__).parent
PLUGINS = PACKAGE.parent / "plugins"

ALLOWED = {  # what a part of the harness may import of the harness, besides the single files
    "data": {"data"},
    "model": {"data", "model", "pictures"},  # a model's default pictures
    "metrics": {"data", "model", "metrics"},
    "pictures": {"data", "model", "metrics", "pictures"},
    "results": {"metrics", "results"},
    "report": {"data", "metrics", "results", "pictures", "report"},
    "engine": {"data", "model", "metrics", "results", "engine"},
    "testing": {"data", "model", "metrics", "engine", "testing"},
}
FILES = {
    "errors",
    "files",
    "home",
    "progress",
    "seeds",
    "settings",
    "plugins",
    "provenance",
    "tensors",
}
FOR_PLUGINS = {  # what a plugin may import besides the public names of `harness` itself
    "harness.testing",
    "harness.data.images",
    "harness.data.phantom",
    "harness.data.splits",
    "harness.metrics.evaluated",
    *(f"harness.pictures.{name}" for name in ("canvas", "figure", "overlay")),
    *(f"harness.{name}" for name in ("errors", "files", "home", "progress", "seeds")),
}


def imports(path):
    """Yield the modules that a file imports, also within functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            if node.module in ("harness", *(f"harness.{part}" for part in ALLOWED)):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(part):
    return sorted((PACKAGE / part).rglob("*.py"))


@pytest.mark.parametrize("part", ALLOWED)
def test_dependencies_point_one_way(part):
    assert files(part)
    for path in files(part):
        place = path.relative_to(PACKAGE).as_posix()
        allowed = ALLOWED[part] | FILES
        for module in imports(path):
            if module.startswith("harness."):
                assert module.split(".")[1] in allowed, f"{place} imports {module}"


def test_the_single_files_import_no_part_but_where_they_must():
    for name in FILES - {"plugins"}:
        for module in imports(PACKAGE / f"{name}.py"):
            if module.startswith("harness."):
                assert module.split(".")[1] in FILES, f"{name}.py imports {module}"


@pytest.mark.parametrize("part", ["results", "metrics"])
def test_these_never_import_torch(part):
    modules = [
        ".".join(("harness", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in files(part)
    ]
    assert_light("; ".join(f"import {name.removesuffix('.__init__')}" for name in modules), "torch")


@pytest.mark.parametrize(
    "program",
    [
        "import harness",
        "from harness import hookimpl",
        "from harness.hookspecs import hookimpl",
        "import harness.settings, harness.plugins; harness.plugins.load([])",
        "import harness.cli",
    ],
)
def test_the_front_door_is_light(program):
    assert_light(program, "torch", "numpy", "scipy", "cv2", "safetensors", "rich.progress")


def assert_light(program, *heavy):
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        capture_output=True, text=True, cwd=PACKAGE.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not set(heavy) & set(done.stdout.split())


def plugin_files():
    return [path for path in sorted(PLUGINS.glob("*/*/**/*.py")) if "tests" not in path.parts]


def test_plugins_import_public_names_only():
    assert plugin_files()
    names = set(harness.__all__)
    for path in plugin_files():
        where = path.relative_to(PLUGINS).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "harness":
                private = {alias.name for alias in node.names} - names
                assert not private, f"{where} imports {private} from harness"
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness."):
                assert node.module in FOR_PLUGINS, f"{where} imports {node.module}"
            elif isinstance(node, ast.Import):
                deep = [a.name for a in node.names if a.name.startswith("harness.")]
                assert not deep, f"{where} imports {deep}"


def test_networks_import_nothing_of_the_harness_nor_of_other_plugins():
    networks = [path for path in plugin_files() if path.name == "network.py"]
    assert networks
    for path in networks:
        for module in imports(path):
            assert not module.startswith("harness"), f"{path} imports {module}"


def test_plugins_do_not_import_each_other():
    packages = {path.name for path in PLUGINS.iterdir() if (path / path.name).is_dir()}
    for path in plugin_files():
        own = path.relative_to(PLUGINS).parts[0]
        for module in imports(path):
            other = module.split(".")[0]
            assert other == own or other not in packages, f"{path} imports {module}"


def test_entry_modules_hold_nothing_but_hooks():
    for path in sorted(PLUGINS.glob("*/*/__init__.py")):
        if path.parent.name != path.parent.parent.name:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            hook = isinstance(node, ast.FunctionDef) and node.name.startswith("harness_")
            text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            light = isinstance(node, ast.ImportFrom) and node.module in (
                "harness",
                "collections.abc",
            )
            assert hook or text or light, f"{path}, line {node.lineno}"


def test_public_names_are_those_that_are_listed():
    assert sorted(harness.__all__) == sorted({*harness._HOMES, "hookimpl"})
    for name in harness.__all__:
        assert getattr(harness, name) is not None
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'Modle'"):
        harness.Modle  # noqa: B018
