"""A run from its command to its record: decode, rehearse, train, predict, score, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.engine import job
from harness.engine.account import about_dataset, made_with, throughput
from harness.engine.compute import describe
from harness.engine.distributed import barrier, ranks
from harness.engine.evaluate import predict
from harness.engine.job import Data
from harness.engine.learning import LiveTask, learn
from harness.engine.maps import column_specs
from harness.engine.meeting import detailed_rows, evaluated_of
from harness.engine.plan import Order, auxiliary_data, plan
from harness.engine.replay import save_model
from harness.home import home
from harness.metrics.evaluated import Evaluated, write_heavy
from harness.model.pretrained import fetch
from harness.progress import say
from harness.results.records import folder_of, write_record
from harness.results.rescore import metrics_of


def run(order: Order, seeds: list[int], results: Path) -> list[dict[str, Any]]:
    """Run a method for each seed and return the records, which lie under ``results``."""
    for step in plan(order).steps:
        if step.kind == "weights" and ranks().first:
            fetch(step.name)  # before hours of decoding, not after
    barrier()
    rows = job.used_rows(order.dataset, order.budget)
    data = job.make_data(
        order.dataset,
        order.method.model.view,
        rows,
        skip_corrupt=order.skip_corrupt,
        stage_to=order.stage_to,
    )
    if data.excluded and ranks().first:
        say(f"left out, unreadable: {len(data.excluded):,}, e.g. {', '.join(data.excluded[:3])}")
    extra = {name: auxiliary_data(other, order) for name, other in order.auxiliary.items()}
    facts = job.identity(order.method, data, extra, order.budget, order.recipe, order.compute)
    return [_one(order, data, extra, facts, seed, results) for seed in seeds]


def _one(
    order: Order,
    data: Data,
    extra: Mapping[str, Data],
    facts: Mapping[str, Any],
    seed: int,
    results: Path,
) -> dict[str, Any]:
    """Train, predict and score one seed."""
    identifier = job.run_id(facts)
    if ranks().first:
        say(f"{order.method.label} on {order.dataset.name}, seed {seed}: run {identifier}")
    model, task = train(order, data, extra, seed)
    test = data.samples("test")
    said = predict(
        model,
        model.predict,
        test,
        order.compute,
        detailed=detailed_rows(test),
        what=f"{order.method.label}: test images",
    )
    by_study = order.dataset.policy.get("level") == "study"
    evaluated = evaluated_of(said, test, by_study=by_study)
    record = {
        "schema": 1,
        "id": identifier,
        "seed": seed,
        "method": order.method.name,
        "label": order.method.label,
        "kind": "measured",
        "dataset": about_dataset(data),
        "auxiliary": {name: about_dataset(other) for name, other in extra.items()},
        "budget": order.budget.name,
        "recipe": order.recipe.name,
        "tta": order.method.model.tta,
        "hyperparameters": order.method.origins,
        "identity": facts,
        "selection": task.learnt.selection,
        "weights": task.learnt.weights,
        "kept": task.learnt.kept,
        "metrics": metrics_of(evaluated),
        "resamples": evaluated.resamples,
        "throughput": throughput(model, task, said, order, test),
        "device": describe(order.compute.device) | {"precision": order.compute.precision},
        "stages": [step for step in task.learnt.steps if step["kind"] in ("stage", "map")],
        "scores": None,
        **made_with(order),
    }
    if ranks().first:
        record = _write(order, data, task, record, evaluated, results)
    barrier()
    return record


def train(order: Order, data: Data, extra: Mapping[str, Data], seed: int) -> tuple[Any, LiveTask]:
    """Return a fresh copy of the method's model, trained, and the task that it learnt."""
    model = replace(order.method.model)  # type: ignore[type-var]
    auxiliary = {name: other.samples("train") for name, other in extra.items()}
    train_split, validation = data.samples("train"), data.samples("validation")
    how = (order.compute, order.budget, seed, order.recipe)
    task = LiveTask(model, train_split, validation, auxiliary, *how)
    task.fresh = order.fresh
    learn(model, task, task.train_stage)
    return model, task


def _write(
    order: Order,
    data: Data,
    task: LiveTask,
    record: dict[str, Any],
    evaluated: Evaluated,
    results: Path,
) -> dict[str, Any]:
    """Write the record, the predictions and the trained model.

    Return the record with its folder.
    """
    secret = record["dataset"]["credentialed"]
    private = home() / "private" / folder_of(record)
    folder = results / folder_of(record)
    write_heavy(private if secret else folder, evaluated)
    place = write_record(
        results,
        record,
        evaluated.arrays(heavy=False),
        credentialed=secret,
        private=private if secret else None,
    )
    about = {
        "label": record["label"],
        "method": record["method"],
        "hyperparameters": record["hyperparameters"],
        "id": record["id"],
        "seed": record["seed"],
        "samples": column_specs(data.samples("train").take([])),
        "dataset": record["dataset"]["name"],
    }
    save_model(home() / "models" / place.name, task.learnt, about)
    return {**record, "folder": str(place)}
