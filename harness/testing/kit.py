"""Turns checks into parametrised tests."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial

import pytest

from harness.errors import SettingError
from harness.model.model import Model
from harness.settings import default
from harness.testing.models import CHECKS, SLOW


def conformance(*models: Model, expected: Mapping[str, str] | None = None) -> pytest.MarkDecorator:
    """Return a decorator that gives a test function every check of every model, one at a time.

    ``expected`` names checks that are known to fail, each with its reason. Models should be small:
    images of 32 to 96 pixels, one epoch.

    Raises:
        SettingError: ``expected`` names no check.
    """
    reasons = dict(expected or {})
    unknown = set(reasons) - {check.__name__ for check in (*CHECKS, *SLOW)}
    if unknown:
        raise SettingError(f"there is no conformance check {', '.join(sorted(unknown))}")
    parameters = []
    for number, model in enumerate(models):
        for check in (*CHECKS, *SLOW):
            marks = [_slow()] if check in SLOW else []
            if check.__name__ in reasons:
                marks.append(pytest.mark.xfail(reason=reasons[check.__name__], strict=True))
            name = f"{_named(model, number)}-{check.__name__}"
            parameters.append(pytest.param(_bound(check, model), id=name, marks=marks))
    return pytest.mark.parametrize("check", parameters)


def _bound(check: Callable[[Model], None], model: Model) -> Callable[[], None]:
    return partial(check, model)


def _slow() -> pytest.MarkDecorator:
    """Return the mark of long checks, whether or not the plugin's own tests know it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pytest.PytestUnknownMarkWarning)
        return pytest.mark.slow


def _named(model: Model, number: int) -> str:
    """Return the model's class and what sets it apart, for the test's name."""
    parts = [
        f"{entry.name}={getattr(model, entry.name)}"
        for entry in fields(model)  # type: ignore[arg-type]
        if isinstance(getattr(model, entry.name), str)
        and getattr(model, entry.name) != default(entry)
    ]
    return f"{type(model).__name__}{number}[{','.join(parts)}]"
