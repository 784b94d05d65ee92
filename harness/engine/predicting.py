"""A trained model asked about images that belong to no dataset, as it was asked about its test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harness.data.samples import LabelSpace, Samples
from harness.engine.checkpoint import weights_hash
from harness.engine.compute import (
    Compute,
    make_deterministic,
    resolve_device,
    resolve_precision,
)
from harness.engine.evaluate import Predictions, predict
from harness.engine.learning import learn
from harness.engine.replay import ReplayTask
from harness.errors import DataError, RecordError
from harness.home import home
from harness.model.model import Model
from harness.model.stage import Stage
from harness.plugins import registry
from harness.results.records import read_record
from harness.results.rescore import find_runs

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Trained:
    """A run's model as it was trained, and where it is ``stored``.

    ``weights`` are the hashes of its stages' networks.
    """

    record: Mapping[str, Any]
    stored: Path
    model: Model
    space: LabelSpace
    compute: Compute
    weights: Mapping[str, str]


def find_trained(root: Path, name: str, seed: int | None) -> Path:
    """Return the record folder of the one run that a name and, among several, a seed mean.

    Raises:
        RecordError: none fits, or several do.
    """
    folders = find_runs(root, [name])
    runs = {folder: read_record(folder) for folder in folders}
    fits = [f for f, record in runs.items() if seed is None or record["seed"] == seed]
    if len(fits) == 1:
        return fits[0]
    found = ", ".join(f"{r['label']} {r['id']} seed {r['seed']}" for r in runs.values())
    if not fits:
        raise RecordError(f"{name!r} has no seed {seed}; there are {found}")
    raise RecordError(
        f"{name!r} names {len(fits)} runs: give a run id or --seed; there are {found}"
    )


def open_trained(folder: Path, device: str = "auto") -> Trained:
    """Return the model of a record, whose weights lie in HARNESS_HOME/models.

    It computes in the precision of its run where it is on the same kind of device.

    Raises:
        RecordError: the record has no model, it lies on another machine, or is not the record's.
        HarnessError: the plugin is not installed, or of another version.
    """
    record = read_record(folder)
    stored = home() / "models" / folder.resolve().name
    if record["kind"] != "measured":
        raise RecordError(f"{record['label']} was imported: its predictions are here, no model is")
    if not (stored / "model.json").exists():
        raise RecordError(
            f"the trained model of run {record['id']}, seed {record['seed']} is not on this "
            f"machine: there is no {stored}. Records travel without weights: copy that folder from "
            "the machine of the run, set HARNESS_HOME, or run again what "
            f"`harness explain {record['id']}` prints"
        )
    make_deterministic()
    kind = resolve_device(device)
    ran = record["device"]
    wanted = ran["precision"] if ran["kind"] == kind else "auto"
    batch = 64 if kind == "cuda" else 32  # as in a run: the last bits may depend on batch mates
    compute = Compute(torch.device(kind), resolve_precision(wanted, kind), eval_batch=batch)
    model = _constructed(record)
    task = ReplayTask(stored, compute.device)
    weights: dict[str, str] = {}

    def load(stage: Stage) -> None:
        task.load_stage(stage)
        weights[stage.name] = weights_hash(stage.network)

    learn(model, task, load)
    _check_weights(record, weights, stored)
    return Trained(record, stored, model, task.space, compute, weights)


def _constructed(record: Mapping[str, Any]) -> Model:
    """Return a record's model with its hyperparameters, untrained."""
    values = {key: entry["value"] for key, entry in record["hyperparameters"].items()}
    kind = registry().resolve("models", record["method"])
    try:
        model: Model = kind(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        )
    except TypeError as error:
        raise RecordError(
            f"{record['label']} was trained by another version of its plugin: {error}"
        ) from error
    return model


def _check_weights(record: Mapping[str, Any], weights: Mapping[str, str], stored: Path) -> None:
    for stage in record["stages"]:
        if stage["kind"] == "stage" and stage["final"] != weights.get(stage["name"]):
            raise RecordError(
                f"{stored} does not hold the weights that {record['label']} (run {record['id']}) "
                f"was scored with: stage {stage['name']!r} differs"
            )


def predict_images(trained: Trained, names: Sequence[str], images: Sequence[Array]) -> Predictions:
    """Return what a model says of images (H, W) uint8, with a heat map of each where it has any.

    They come into the model's view as a dataset's do, without any annotation.

    Raises:
        DataError: the model needs more than pixels.
    """
    view = trained.model.view
    samples = Samples.of(
        trained.space,
        names=names,
        patients=names,
        sizes=np.array([image.shape for image in images], dtype=np.int64),
        images=np.stack([view.resize(image) for image in images]),
    )
    samples.view = view
    every = np.arange(len(names))
    try:
        return predict(
            trained.model, trained.model.predict, samples, trained.compute, detailed=every
        )
    except DataError as error:
        raise DataError(
            f"{trained.record['label']} cannot say anything of image files alone: {error}"
        ) from error
