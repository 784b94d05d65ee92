"""A plugin as a third party would write it, found by its entry point."""

from harness import hookimpl


@hookimpl
def harness_models():
    return {
        "toy": "toy_plugin.model:Toy",
        "toy-deep": "toy_plugin.model:Deep",
        "toy-broken": "toy_plugin.model:Missing",
    }


@hookimpl
def harness_datasets():
    return {"toyset": "toy_plugin.dataset:ToySet"}


@hookimpl
def harness_tables():
    return {"toy-auc": "toy_plugin:auc.toml"}
