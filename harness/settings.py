"""Names with settings in brackets, ``space-attention[pool=k7]``, and the objects made from them."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from harness.errors import SettingError


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Return the name and the settings of ``name[key=value,key=value]``.

    Raises:
        SettingError: the brackets or a setting are malformed.
    """
    name, bracket, rest = text.strip().partition("[")
    if not name.strip():
        raise SettingError(f"{text!r} has no name: name[key=value,...]")
    if not bracket:
        return name, {}
    if not rest.endswith("]"):
        raise SettingError(f"{text!r} lacks its closing bracket: name[key=value,...]")
    return name.strip(), pairs(split(rest[:-1]))


def split(text: str) -> list[str]:
    """Split at the commas that no bracket encloses."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "[(") - (character in "])")
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def pairs(settings: list[str]) -> dict[str, str]:
    """Return settings given as ``key=value``.

    Raises:
        SettingError: one has no ``=``, or a key comes twice.
    """
    found: dict[str, str] = {}
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign or not key.strip():
            raise SettingError(f"{setting!r} is not of the form key=value")
        if key.strip() in found:
            raise SettingError(f"the setting {key.strip()!r} is given twice")
        found[key.strip()] = value.strip()
    return found


def build(
    kind: type, name: str, given: Mapping[str, str], overrides: Mapping[str, object]
) -> tuple[Any, dict[str, dict[str, object]]]:
    """Return an object of a dataclass and where each of its values came from.

    ``given`` are texts from the command line, which win over ``overrides`` (of a budget).

    Raises:
        SettingError: a key that the class has not, or a value that its type cannot be.
    """
    known = {entry.name: entry for entry in fields(kind) if entry.init}
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingError(f"{name} has no setting {key!r}{hint}; it has {', '.join(known)}")
    hints = get_type_hints(kind)
    values: dict[str, object] = dict(overrides)
    values |= {key: convert(text, hints[key], f"{name}: {key}") for key, text in given.items()}
    origins = {
        key: {"value": values.get(key, default(entry)), "origin": _origin(key, given, overrides)}
        for key, entry in known.items()
    }
    return kind(**values), origins


def _origin(key: str, given: Mapping[str, str], overrides: Mapping[str, object]) -> str:
    if key in given:
        return "command line"
    return "smoke budget" if key in overrides else "default"


def default(entry: Field[Any]) -> Any:  # noqa: ANN401
    """Return a dataclass field's default, None where it has none."""
    if entry.default is not MISSING:
        return entry.default
    return entry.default_factory() if entry.default_factory is not MISSING else None


def convert(text: str, kind: Any, what: str) -> Any:  # noqa: ANN401
    """Return a text as a value of a type.

    Bool, int, float, str, Literal, optional or tuple of them.

    Raises:
        SettingError: it cannot be one; the message says what it can be.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(text, parts, what)
    if origin is Literal:
        for choice in parts:
            if text == str(choice):
                return choice
        raise SettingError(f"{what} is one of {', '.join(map(str, parts))}, not {text!r}")
    if origin is tuple:
        inner = text.strip("()[] ").replace("x", ",") if parts[0] is int else text.strip("()[] ")
        found = split(inner)
        kinds = [parts[0]] * len(found) if parts[-1] is Ellipsis else parts
        if len(found) != len(kinds):
            raise SettingError(f"{what} has {len(kinds)} values, not {len(found)}")
        return tuple(convert(one, kind, what) for one, kind in zip(found, kinds, strict=True))
    return _plain(text, kind, what)


def _one_of(text: str, kinds: tuple[Any, ...], what: str) -> Any:  # noqa: ANN401
    if text.lower() == "none" and type(None) in kinds:
        return None
    errors = []
    for kind in (kind for kind in kinds if kind is not type(None)):
        try:
            return convert(text, kind, what)
        except SettingError as error:
            errors.append(str(error))
    raise SettingError(" or ".join(errors))


def _plain(text: str, kind: Any, what: str) -> Any:  # noqa: ANN401
    if kind is bool:
        if text.lower() in ("true", "yes", "1", "false", "no", "0"):
            return text.lower() in ("true", "yes", "1")
        raise SettingError(f"{what} is true or false, not {text!r}")
    if kind in (int, float, str):
        try:
            return kind(text)
        except ValueError as error:
            word = {int: "a whole number", float: "a number"}[kind]
            raise SettingError(f"{what} is {word}, not {text!r}") from error
    raise SettingError(f"{what} cannot be set from the command line")


def label(name: str, made: object, given: Mapping[str, str]) -> str:
    """Return the name with those given settings that differ from the defaults, in field order."""
    parts = []
    for entry in fields(made):  # type: ignore[arg-type]
        value = getattr(made, entry.name)
        if entry.name in given and value != default(entry):
            parts.append(f"{entry.name}={_text(value)}")
    return f"{name}[{','.join(parts)}]" if parts else name


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
