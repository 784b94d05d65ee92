"""``harness doctor``: where everything lies and what this machine can do."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor() -> None:
    """Say where everything lies, which device there is, what is installed or broken."""
    import torch
    from tabulate import tabulate

    from harness.data.roots import configuration
    from harness.engine.compute import describe, resolve_device
    from harness.home import home, results
    from harness.plugins import registry

    device = describe(torch.device(resolve_device("auto")))
    roots = configuration().get("data", {})
    rows: list[tuple[str, object]] = [
        ("HARNESS_HOME (stores, stages, models)", home().resolve()),
        ("results", results().resolve()),
        ("HARNESS_DATA", os.environ.get("HARNESS_DATA", "not set")),
        ("harness.toml", ", ".join(f"{k}: {v}" for k, v in roots.items()) or "no data roots"),
        ("device", f"{device['kind']}: {device['name']}"),
        ("threads", device["threads"]),
        ("python", sys.version.split()[0]),
    ]
    for package in ("torch", "torchvision", "torch-geometric", "detectron2", "pydicom", "submitit"):
        rows.append((package, _version(package)))
    print(tabulate(rows, tablefmt="plain"))
    for plugin in registry().plugins:
        print(f"plugin {plugin.name}: {plugin.origin} {plugin.version}")
    for problem in registry().problems:
        print(f"warning: {problem}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
