"""How long a run will take on this device, from runs that were measured on it; never a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isclose
from statistics import median
from typing import Any

from harness.engine.compute import describe
from harness.engine.distributed import ranks
from harness.engine.plan import Order, Plan
from harness.engine.rehearsal import Planned
from harness.plugins import registry

Record = Mapping[str, Any]
Entry = Mapping[str, Any]
FLOPS = 0.1  # detectors spend more or less on an image by what they find


class Forecast:
    """Device seconds of a plan's steps, from records of like runs.

    Like are runs of the same plugin on images of the same view, by the same device, threads,
    precision, micro-batch and number of devices, with stages of the same names and parameters and
    within a tenth of the FLOPs; and of a stage those with batches as large. How long they trained,
    on what data and with what rates does not matter to images per second.
    """

    def __init__(self, order: Order, plan: Plan, records: Sequence[Record]) -> None:
        self.order, self.plan = order, plan
        here = _machine(order)
        networks = _networks(plan.steps)
        self._like = [
            record
            for record in records
            if _machine_of(record) == here
            and _networks_of(record) == networks
            and isclose(record["throughput"]["flops_per_image"], plan.flops, rel_tol=FLOPS)
        ]

    def seconds(self) -> dict[str, float | None]:
        """Return the device seconds of each stage and map by its digest, and of "prediction"."""
        steps = [step for step in self.plan.steps if step.kind in ("stage", "map")]
        found = {s.digest: self._stage(s) if s.kind == "stage" else self._map(s) for s in steps}
        return {**found, "prediction": self._prediction()}

    def _stage(self, step: Planned) -> float | None:
        like = [
            (record, entry)
            for record in self._like
            for entry in record["stages"]
            if (entry["kind"], entry["name"]) == ("stage", step.name)
            and entry["batch_size"] == step.batch_size
            and entry["images_per_second"]
        ]
        if not like:
            return None
        rate = median(entry["images_per_second"] for _, entry in like)
        seen = step.images * (step.epochs or 0) + (step.steps or 0) * (step.batch_size or 0)
        epochs, validation = step.epochs or 0, self.plan.images["validation"]
        beside = median(_beside(record, entry, validation) for record, entry in like)
        return float(seen / rate + epochs * beside) * ranks().world

    def _map(self, step: Planned) -> float | None:
        each = [
            entry["seconds"] / entry["images"]
            for record in self._like
            for entry in record["stages"]
            if (entry["kind"], entry["name"]) == ("map", step.name) and entry["images"]
        ]  # a map that was found in the cache took no time: the slowest was made
        return max(each) * step.images * ranks().world if each else None

    def _prediction(self) -> float | None:
        rates = [r["throughput"].get("inference_images_per_s") for r in self._like]
        known = [rate for rate in rates if rate]
        return self.plan.images["test"] / median(known) * ranks().world if known else None


def _beside(record: Record, entry: Entry, validation: int) -> float:
    """Return the seconds an epoch takes beside training: scoring images, writing a checkpoint."""
    seconds, epochs = entry["seconds"], max(1, entry["epochs"])
    share = validation / record["dataset"]["counts"]["validation"]
    scoring, writing = seconds.get("validation", 0.0), seconds.get("checkpoint", 0.0)
    return float((share * scoring + writing) / epochs)


def _machine(order: Order) -> tuple[object, ...]:
    about, compute = describe(order.compute.device), order.compute
    view = asdict(order.method.model.view)
    plugin = registry().owner("models", order.method.name).name
    how = (compute.precision, compute.micro_batch, ranks().world)
    return plugin, view, about["name"], about["threads"], *how


def _machine_of(record: Record) -> tuple[object, ...]:
    """Return the same of a record; of one that was not measured, what no order has."""
    facts, device = record.get("identity", {}), record["device"]
    how = (facts.get("precision"), facts.get("micro_batch"), facts.get("ranks"))
    plugin = record.get("plugin", {}).get("name")
    return plugin, facts.get("view"), device.get("name"), device.get("threads"), *how


def _networks(steps: Sequence[Planned]) -> list[tuple[str, int | None]]:
    return [(step.name, step.parameters) for step in steps if step.kind == "stage"]


def _networks_of(record: Record) -> list[tuple[str, int | None]]:
    stages = [entry for entry in record["stages"] if entry["kind"] == "stage"]
    return [(entry["name"], entry["parameters"]) for entry in stages]
