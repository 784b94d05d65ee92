"""Where a dataset lies.

``--root``, then HARNESS_DATA/<dataset>, then the project's harness.toml.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError, SettingError

CONFIG = "harness.toml"


def configuration() -> dict[str, Any]:
    """Return harness.toml of this folder or of the nearest one above; empty where there is none.

    Raises:
        SettingError: it is not toml.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        path = folder / CONFIG
        if path.exists():
            try:
                found = tomllib.loads(path.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise SettingError(f"{path} is not valid toml: {error}") from error
            return {**found, "_folder": folder}
    return {}


def find_root(name: str, given: Path | None, obtain: str, root_is: str = "DIR") -> Path:
    """Return the root of a dataset.

    Raises:
        DataError: there is none; the message says where the data can be had and how to do without.
    """
    if given is not None:
        where = f"{'the root' if root_is == 'DIR' else 'the file'} {given} of dataset {name!r}"
        if not given.exists():
            raise DataError(f"{where} does not exist\n{obtain}")
        if root_is == "DIR" and not given.is_dir():
            raise DataError(f"{where} is a file, not a folder\n{obtain}")
        return given
    data = os.environ.get("HARNESS_DATA")
    if data and (Path(data) / name).exists():
        return Path(data) / name
    listed: Mapping[str, Any] = configuration()
    entry = listed.get("data", {}).get(name)
    if entry:
        root = Path(listed["_folder"]) / Path(entry).expanduser()
        if not root.exists():
            raise DataError(f"{CONFIG} says that {name!r} lies in {root}, which does not exist")
        return root
    if root_is == "FILE":
        raise DataError(
            f"which file is dataset {name!r}? Give {name}:FILE or --root FILE\n{obtain}"
        )
    raise DataError(
        f"where is {name!r}? Give --root DIR, or set HARNESS_DATA so that HARNESS_DATA/{name} is "
        f'it, or write in {CONFIG}:\n  [data]\n  {name} = "DIR"\n{obtain}\n'
        f"Without the data: harness data phantom {name} --out DIR draws phantoms in its layout."
    )
