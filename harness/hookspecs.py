"""The whole extension API: what a plugin can offer, on one screen.

Hooks take no argument and are asked once, when a command needs what is offered. Each returns a
mapping from the name that users type to a lazy reference, "package.module:object" (for tables
"package:path/inside/it.toml"), resolved when it is used. A plugin is a distribution with an entry
point in the group ``harness``; the module behind it holds nothing but hooks:

    from harness import hookimpl

    @hookimpl
    def harness_models():
        return {"my-method": "my_method.model:MyMethod"}
"""

from collections.abc import Mapping

import pluggy

hookspec = pluggy.HookspecMarker("harness")
hookimpl = pluggy.HookimplMarker("harness")


@hookspec
def harness_datasets() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer datasets: subclasses of ``harness.Dataset``."""


@hookspec
def harness_models() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer models.

    Dataclasses that subclass ``harness.Model``; their fields are the hyperparameters.
    """


@hookspec
def harness_metrics() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer metrics.

    Pure functions ``(Evaluated) -> Mapping[str, object]`` of stored predictions and annotations.
    """


@hookspec
def harness_tables() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer tables: toml files of published rows and the models that regenerate them."""
