"""From a dataset's name, root and options to the dataset; loads no torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

from harness import settings
from harness.data.dataset import Dataset
from harness.data.roots import configuration, find_root
from harness.errors import SettingError
from harness.plugins import registry


def open_dataset(text: str, root: Path | None, options: Mapping[str, str]) -> Dataset:
    """Return the dataset that ``name`` or ``name:ROOT`` names.

    Raises:
        HarnessError: no plugin offers it, it has no root, or an option is unknown.
    """
    name, colon, place = text.partition(":")
    kind = registry().resolve("datasets", name)
    known = inspect.signature(kind).parameters
    values = {}
    for key, value in options.items():
        if key not in known or key == "root":
            offered = ", ".join(k for k in known if k != "root") or "none"
            raise SettingError(f"dataset {name!r} has no option {key!r}; it has {offered}")
        values[key] = settings.convert(value, _hint(kind, key), f"{name}: {key}")
    if "root" not in known:
        return kind(**values)  # type: ignore[no-any-return]
    found = find_root(name, Path(place) if colon else root, kind.obtain, kind.root_is)
    return kind(found, **values)  # type: ignore[no-any-return]


def dataset_of(
    record: Mapping[str, Any], root: Path | None = None, options: Sequence[str] = ()
) -> Dataset:
    """Return the dataset of a run, with the options it had unless others (``key=value``) are given.

    Drawn ones are drawn as the record says, others have the options of the run's command.

    Raises:
        HarnessError: it cannot be opened.
    """
    name, drawn = record["dataset"]["name"], record["dataset"]["phantom"]
    if name == "phantom" and not options:
        return open_dataset(name, root, {key: str(value) for key, value in drawn.items()})
    given = list(options) or _data_options(record.get("command", []))
    return open_dataset(name, root, settings.pairs(given))


def _data_options(command: Sequence[str]) -> list[str]:
    """Return what followed ``--data`` in a command."""
    after = [two for one, two in pairwise(command) if one == "--data"]
    return after + [word.removeprefix("--data=") for word in command if word.startswith("--data=")]


def _hint(kind: type, key: str) -> Any:  # noqa: ANN401
    return get_type_hints(kind.__init__).get(key, str)  # type: ignore[misc]


def auxiliary_names(given: list[str]) -> list[str]:
    """Return the auxiliary datasets: those of ``--with``, else those of harness.toml."""
    return given or list(configuration().get("auxiliary", []))
