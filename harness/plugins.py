"""Finds plugins by entry point, merges what they offer, and says who offers what.

A plugin that fails to import, misspells a hook or offers a name twice is a problem that is told by
name; the rest keeps working.
"""

from __future__ import annotations

import difflib
import os
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from harness import builtin, hookspecs
from harness.errors import PluginError

GROUP = "harness"
KINDS = ("datasets", "models", "metrics", "tables")


@dataclass(frozen=True)
class Plugin:
    """One plugin: where it comes from and what it offers, by kind and name, as lazy references."""

    name: str
    version: str
    origin: str  # its distribution
    offers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """All plugins that could be loaded, and what was wrong with the others."""

    plugins: list[Plugin]
    problems: list[str]

    def offered(self, kind: str) -> dict[str, str]:
        """Return what all plugins offer of a kind, by name."""
        return {n: ref for plugin in self.plugins for n, ref in plugin.offers.get(kind, {}).items()}

    def owner(self, kind: str, name: str) -> Plugin:
        """Return the plugin that offers a name."""
        return next(p for p in self.plugins if name in p.offers.get(kind, {}))

    def resolve(self, kind: str, name: str) -> Any:  # noqa: ANN401
        """Return the object behind a name, importing it now.

        Raises:
            PluginError: nobody offers it, or it cannot be imported; the message says what there is.
        """
        references = self.offered(kind)
        if name not in references:
            raise PluginError(self._unknown(kind, name))
        try:
            return pkgutil.resolve_name(references[name])
        except Exception as error:  # whatever a plugin raises while it is imported
            origin = self.owner(kind, name).origin
            raise PluginError(
                f"{name!r} of {origin} cannot be loaded ({references[name]}): {error}"
            ) from error

    def _unknown(self, kind: str, name: str) -> str:
        known = sorted(self.offered(kind))
        close = difflib.get_close_matches(name, known, 3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known)}"
        troubles = "".join(f"\n{problem}" for problem in self.problems)
        return f"no plugin offers a {kind[:-1]} named {name!r}: {hint}{troubles}"


@cache
def registry() -> Registry:
    """Load the plugins of this environment; HARNESS_PLUGINS=a,b loads only those (empty: none)."""
    only = os.environ.get("HARNESS_PLUGINS")
    chosen = None if only is None else set(filter(None, only.split(",")))
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return load([entry for entry in entries if chosen is None or entry.name in chosen])


def load(entries: list[EntryPoint]) -> Registry:
    """Load entry points besides the harness's own plugin."""
    from harness import __version__

    problems: list[str] = []
    plugins = [_asked(builtin, "harness", __version__, "cxr-harness", problems)]
    for entry in entries:
        origin = entry.dist.name if entry.dist else entry.value
        version = entry.dist.version if entry.dist else ""
        try:
            module = entry.load()
        except Exception as error:
            problems.append(f"plugin {entry.name} ({origin}) cannot be imported: {error}")
            continue
        plugins.append(_asked(module, entry.name, version, origin, problems))
    return Registry(_without_doubles([p for p in plugins if p.offers], problems), problems)


def _asked(module: object, name: str, version: str, origin: str, problems: list[str]) -> Plugin:
    """Ask one plugin's hooks what it offers."""
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    offers: dict[str, Mapping[str, str]] = {}
    try:
        manager.register(module)
        manager.check_pending()
        for kind in KINDS:
            answers = getattr(manager.hook, f"harness_{kind}")()
            offers[kind] = {key: value for answer in answers for key, value in answer.items()}
    except Exception as error:
        problems.append(f"plugin {name} ({origin}) is broken: {error}")
        return Plugin(name, version, origin)
    return Plugin(name, version, origin, offers)


def _without_doubles(plugins: list[Plugin], problems: list[str]) -> list[Plugin]:
    """Leave out, and tell, every name that two plugins offer: neither of them is meant."""
    owners: dict[tuple[str, str], list[str]] = {}
    for plugin in plugins:
        for kind, offered in plugin.offers.items():
            for name in offered:
                owners.setdefault((kind, name), []).append(plugin.origin)
    doubled = {key: who for key, who in owners.items() if len(who) > 1}
    for (kind, name), who in doubled.items():
        problems.append(
            f"the {kind[:-1]} {name!r} is offered by {' and by '.join(who)}: remove one"
        )
    kept = []
    for plugin in plugins:
        offers = {
            kind: {n: ref for n, ref in offered.items() if (kind, n) not in doubled}
            for kind, offered in plugin.offers.items()
        }
        kept.append(Plugin(plugin.name, plugin.version, plugin.origin, offers))
    return kept


def tables() -> dict[str, str]:
    """Return the tables that plugins offer, by name, as references."""
    return registry().offered("tables")
