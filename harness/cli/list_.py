"""``harness list``: who offers what."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("list")(list_)


def list_(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Show the plugins of this environment and what each of them offers."""
    from harness.plugins import KINDS, registry

    found = registry()
    if as_json:
        plugins = [
            {
                "name": plugin.name,
                "version": plugin.version,
                "origin": plugin.origin,
                **{kind: sorted(plugin.offers.get(kind, {})) for kind in KINDS},
            }
            for plugin in found.plugins
        ]
        print(json.dumps({"plugins": plugins}, indent=1))
    else:
        for plugin in found.plugins:
            print(f"{plugin.name} ({plugin.origin} {plugin.version})")
            for kind in KINDS:
                if plugin.offers.get(kind):
                    print(f"  {kind:9} {', '.join(sorted(plugin.offers[kind]))}")
    for problem in found.problems:
        print(f"warning: {problem}", file=sys.stderr)
