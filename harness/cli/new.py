"""``harness new plugin``: an installable, conformance-tested method to start from."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def register(app: typer.Typer) -> None:
    """Add the verb."""
    group = typer.Typer(help="Start something new: a plugin.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command("plugin")(plugin)
    app.add_typer(group, name="new")


def plugin(
    name: Annotated[str, typer.Argument(help="The method, as users will type it: my-method.")],
    out: Annotated[Path, typer.Option(help="The folder to write it in.")] = Path(),
) -> None:
    """Write a plugin with a small method that trains, predicts and passes every check."""
    from harness.errors import SettingError

    check_name(name)
    folder = out / name
    if folder.exists():
        raise SettingError(f"{folder} exists; remove it, or choose another name or --out")
    write(name, folder)
    print(f"{folder}: a small network that works; make it yours. Next:")
    print(f"  pip install -e {folder}")
    print(f"  pytest {folder}")
    print(f"  harness run --plugin {name} --dataset phantom --budget smoke")


def check_name(name: str) -> None:
    """Check that a name can be a method's, a module's and a distribution's, and is not taken.

    Raises:
        SettingError: it cannot, or is.
    """
    from harness.errors import SettingError
    from harness.plugins import registry

    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise SettingError(
            f"a plugin's name is words of small letters and digits joined by hyphens, such as "
            f"my-method, not {name!r}"
        )
    if name in registry().offered("models"):
        origin = registry().owner("models", name).origin
        raise SettingError(f"a model named {name!r} is offered by {origin}; choose another name")
    if find_spec(module) is not None:
        raise SettingError(f"Python has a module {module!r} here already; choose another name")


def write(name: str, folder: Path) -> None:
    """Write a plugin's files, whole or not at all.

    Raises:
        HarnessError: the folder cannot be written.
    """
    import shutil

    from harness.files import cannot_write

    words = {
        "name": name,
        "package": name.replace("-", "_"),
        "class_name": "".join(word.capitalize() for word in name.split("-")),
    }
    unfinished = folder.with_name(f".{name}.tmp")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        _fill(files("harness") / "templates" / "plugin", unfinished, words)
        unfinished.rename(folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise cannot_write(folder, error) from error


def _fill(template: Traversable, folder: Path, words: dict[str, str]) -> None:
    """Write a folder of templates, ``package`` under the plugin's own name."""
    folder.mkdir(parents=True)
    for entry in template.iterdir():
        if entry.is_dir():
            inner = words["package"] if entry.name == "package" else entry.name
            _fill(entry, folder / inner, words)
        else:
            text = Template(entry.read_text(encoding="utf-8")).substitute(words)
            (folder / entry.name.removesuffix(".in")).write_text(text, encoding="utf-8")
