"""What a record says of data, speed and the versions that a number was made with."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import provenance
from harness.data.counts import label_counts
from harness.data.samples import Samples
from harness.engine import job
from harness.engine.compute import Compute
from harness.engine.distributed import ranks
from harness.engine.evaluate import Predictions
from harness.engine.flops import flops_per_image
from harness.engine.job import Data
from harness.engine.learning import LiveTask
from harness.engine.plan import Order
from harness.plugins import registry


def about_dataset(data: Data) -> dict[str, Any]:
    """Return what a record says of a dataset."""
    dataset = data.dataset
    patients = {s: len(np.unique(dataset.samples.take(r).patients)) for s, r in data.rows.items()}
    return {
        "name": dataset.name,
        "protocol": dataset.protocol,
        "fingerprints": job.fingerprints(dataset, data.rows),
        "counts": {split: len(rows) for split, rows in data.rows.items()} | label_counts(dataset),
        "patients": patients,
        "policy": dict(dataset.policy),
        "phantom": None if dataset.phantom is None else dict(dataset.phantom),
        "credentialed": dataset.credentialed and dataset.phantom is None,
        "classes": list(dataset.space.classes),
        "pixels": data.store.digest(np.concatenate(list(data.rows.values()))),
        "left_out": len(data.excluded),
    }


def throughput(
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


def made_with(order: Order) -> dict[str, Any]:
    """Return versions, plugin, commit and command."""
    owner = registry().owner("models", order.method.name)
    where = Path(__file__).parent
    return {
        "versions": provenance.versions(owner.origin),
        "plugin": {"name": owner.name, "origin": owner.origin, "version": owner.version},
        "git": provenance.commit(where),
        "command": order.command,
    }
