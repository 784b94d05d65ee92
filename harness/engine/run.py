"""A run from its command to its record: decode, rehearse, train, predict, score, write."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.data.counts import label_counts
from harness.data.dataset import Dataset
from harness.data.samples import Samples
from harness.engine import job, provenance
from harness.engine.budget import Budget
from harness.engine.compute import Compute, describe
from harness.engine.distributed import barrier, ranks
from harness.engine.evaluate import Predictions, predict
from harness.engine.flops import flops_per_image
from harness.engine.job import Data, Method, Rows
from harness.engine.learning import LiveTask, learn
from harness.engine.maps import column_specs
from harness.engine.rehearsal import Planned, eight, rehearse
from harness.engine.replay import save_model
from harness.errors import TrainingError
from harness.home import home
from harness.metrics.evaluated import Evaluated, write_heavy
from harness.plugins import registry
from harness.progress import say
from harness.results.records import folder_of, write_record
from harness.results.rescore import metrics_of


@dataclass(frozen=True)
class Order:
    """What a user asked for, resolved: one method on one dataset, for some seeds."""

    method: Method
    dataset: Dataset
    auxiliary: Mapping[str, Dataset]
    budget: Budget
    compute: Compute
    recipe: str = "paper"
    skip_corrupt: bool = False
    stage_to: Path | None = None
    fresh: bool = False
    command: list[str] = field(default_factory=list)


MICRO_BATCHES = (None, 256, 128, 64, 32, 16, 8, 4, 2, 1)


def fitting_micro_batch(order: Order) -> int | None:
    """Return the largest micro-batch with which every stage fits in the device's memory.

    None, the whole batch at once, on a CPU. Found by rehearsing each stage with full batches.
    """
    if order.compute.device.type == "cpu":
        return None
    for size in MICRO_BATCHES:
        try:
            plan(replace(order, compute=replace(order.compute, micro_batch=size)), full_batch=True)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            continue
        return size
    raise TrainingError(
        f"{order.method.label} does not fit in the memory of {order.compute.device}"
    )


@dataclass(frozen=True)
class Plan:
    """What a run would do: its steps, images by split, and bytes on disk."""

    steps: list[Planned]
    images: Mapping[str, int]
    store_bytes: int

    @property
    def bytes(self) -> int:
        """Everything that the run would keep."""
        return self.store_bytes + sum(step.bytes for step in self.steps)


def plan(order: Order, *, full_batch: bool = False) -> Plan:
    """Rehearse the whole method on eight samples and say what a run would do.

    Raises:
        HarnessError: something is wrong with the method or the data: it would have been later.
    """
    method, view = order.method, order.method.model.view
    rows = job.used_rows(order.dataset, order.budget)
    few = {split: _eight_rows(order.dataset, where) for split, where in rows.items()}
    data = job.make_data(order.dataset, view, few, skip_corrupt=order.skip_corrupt)
    extra = {name: _auxiliary(other, order, few=True) for name, other in order.auxiliary.items()}
    auxiliary = {name: other.samples("train") for name, other in extra.items()}
    steps, _ = rehearse(
        method.model,
        data.samples("train"),
        data.samples("validation"),
        auxiliary,
        order.compute,
        scale=len(rows["train"]) / max(1, len(few["train"])),
        budget=order.budget,
        full_batch=full_batch,
    )
    images = {split: len(where) for split, where in rows.items()}
    size = sum(images.values()) * view.size**2 * (1 + len(order.dataset.space.organs))
    return Plan(steps, images, size)


def _eight_rows(dataset: Dataset, rows: Rows) -> Rows:
    names = eight(dataset.samples.take(rows)).names
    return np.asarray(rows[np.isin(dataset.samples.take(rows).names, names)])


def _auxiliary(dataset: Dataset, order: Order, *, few: bool = False) -> Data:
    """Return an auxiliary dataset; only its training split is ever read."""
    rows = np.asarray(dataset.splits["train"], dtype=np.int64)
    used = {"train": _eight_rows(dataset, rows) if few else rows}
    view = order.method.model.view
    return job.make_data(
        dataset, view, used, skip_corrupt=order.skip_corrupt, stage_to=order.stage_to
    )


def run(order: Order, seeds: list[int], results: Path) -> list[dict[str, Any]]:
    """Run a method for each seed and return the records, which lie under ``results``."""
    plan(order)
    rows = job.used_rows(order.dataset, order.budget)
    data = job.make_data(
        order.dataset,
        order.method.model.view,
        rows,
        skip_corrupt=order.skip_corrupt,
        stage_to=order.stage_to,
    )
    extra = {name: _auxiliary(other, order) for name, other in order.auxiliary.items()}
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
        detailed=_detailed(test),
        what=f"{order.method.label}: test images",
    )
    evaluated = evaluated_of(said, test)
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
        "recipe": order.recipe,
        "tta": order.method.model.tta,
        "hyperparameters": order.method.origins,
        "identity": facts,
        "selection": task.learnt.selection,
        "weights": task.learnt.weights,
        "metrics": metrics_of(evaluated),
        "throughput": _throughput(model, task, said, order, test),
        "device": describe(order.compute.device) | {"precision": order.compute.precision},
        "stages": [step for step in task.learnt.steps if step["kind"] in ("stage", "map")],
        "scores": None,
        **_provenance(order),
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
    task = LiveTask(model, train_split, validation, auxiliary, order.compute, order.budget, seed)
    task.fresh = order.fresh
    learn(model, task, task.train_stage)
    return model, task


def _detailed(test: Samples) -> Rows:
    """Return the rows whose heat maps and masks are kept: those with boxes, else with masks."""
    classes = test.column("box_classes")
    if classes is not None:
        return np.flatnonzero((classes >= 0).any(axis=1))
    return np.arange(len(test) if "masks" in test.columns else 0, dtype=np.int64)


def evaluated_of(said: Predictions, test: Samples) -> Evaluated:
    """Let predictions and annotations meet."""
    found = said.arrays
    heavy = {name: said.heavy.get(name) for name in ("maps", "masks")}
    kept = any(value is not None for value in heavy.values())
    return Evaluated(
        names=test.names,
        patients=test.patients,
        classes=np.array(test.space.classes),
        targets=test.labels if said.scores is not None else None,
        scores=said.scores,
        metadata=test.column("metadata"),
        follow_up=test.column("follow_up"),
        sizes=test.column("sizes"),
        region_targets=test.column("region_labels") if "region_scores" in found else None,
        region_scores=found.get("region_scores"),
        region_present=found.get("region_present"),
        region_boxes=test.column("region_boxes") if "region_boxes" in found else None,
        found_boxes=found.get("region_boxes"),
        regions=np.array(test.space.regions) if test.space.regions else None,
        region_classes=np.array(test.space.region_classes) if test.space.regions else None,
        organs=np.array(test.space.organs) if test.space.organs else None,
        boxes=test.column("boxes"),
        box_classes=test.column("box_classes"),
        to_original=found.get("to_original") if kept else None,
        detailed=said.detailed if kept else None,
        map_frame=np.array(said.map_frame) if said.map_frame else None,
        mask_targets=_true_masks(test, said) if heavy["masks"] is not None else None,
        **heavy,
    )


def _true_masks(test: Samples, said: Predictions) -> Any:  # noqa: ANN401
    found = test.take(said.detailed).column("masks")
    masks = said.heavy["masks"]
    if found is None or found.shape[1] != masks.shape[1]:
        return None
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(found).float() / 255, masks.shape[-2:], mode="area"
    )
    return (resized.numpy() >= 0.5).astype(np.uint8)


def about_dataset(data: Data) -> dict[str, Any]:
    """Return what a record says of a dataset."""
    dataset = data.dataset
    patients = {s: len(np.unique(dataset.samples.take(r).patients)) for s, r in data.rows.items()}
    return {
        "name": dataset.name,
        "protocol": dataset.protocol,
        "fingerprints": job.fingerprints(data),
        "counts": {split: len(rows) for split, rows in data.rows.items()} | label_counts(dataset),
        "patients": patients,
        "policy": dict(dataset.policy),
        "phantom": None if dataset.phantom is None else dict(dataset.phantom),
        "credentialed": dataset.credentialed and dataset.phantom is None,
        "classes": list(dataset.space.classes),
        "pixels": data.store.digest(np.concatenate(list(data.rows.values()))),
        "left_out": len(data.excluded),
    }


def _throughput(
    model: Any,  # noqa: ANN401
    task: LiveTask,
    said: Predictions,
    order: Order,
    test: Samples,
) -> dict[str, Any]:
    """Training images/s of the last stage, inference images/s, memory, parameters, FLOPs."""
    stages = [step for step in task.learnt.steps if step["kind"] == "stage"]
    seconds = sum(sum(stage["seconds"].values()) for stage in stages)
    maps = sum(step["seconds"] for step in task.learnt.steps if step["kind"] == "map")
    parameters, flops = flops_per_image(model, test, order.compute)
    return {
        "train_images_per_s": stages[-1]["images_per_second"] if stages else None,
        "inference_images_per_s": said.images_per_second,
        "training_device_seconds": (seconds + maps) * ranks().world,
        "peak_memory_bytes": _peak(order.compute),
        "parameters": parameters,
        "flops_per_image": flops,
    }


def _peak(compute: Compute) -> int:
    if compute.device.type == "cuda":
        return torch.cuda.max_memory_allocated(compute.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _provenance(order: Order) -> dict[str, Any]:
    owner = registry().owner("models", order.method.name)
    where = Path(__file__).parent
    return {
        "versions": provenance.versions(owner.origin),
        "plugin": {"name": owner.name, "origin": owner.origin, "version": owner.version},
        "git": provenance.commit(where),
        "command": order.command,
    }


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
