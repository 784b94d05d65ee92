"""What a run's stage has learnt, under a name that other runs can begin with."""

from __future__ import annotations

import re
from pathlib import Path

from harness.engine.predicting import Trained
from harness.engine.replay import stage_file
from harness.errors import RecordError, SettingError
from harness.model.pretrained import path_of
from harness.tensors import read_tensors, write_tensors


def take_weights(trained: Trained, name: str, stage: str | None = None, under: str = "") -> Path:
    """Store the weights of a trained stage as those that ``weights=NAME`` loads.

    ``stage`` is the last one unless it is given. Of its tensors those are taken whose name starts
    with ``under``, which is taken away: backbones are asked for by torchvision's names, so
    ``resnet.`` makes ``conv1.weight`` of ``resnet.conv1.weight``. The file says what it is from.

    Raises:
        SettingError: the name cannot be one, or is taken.
        RecordError: the run has no such stage, or the stage no such tensors.
    """
    path = path_of(name)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name == "none":
        raise SettingError(f"{name!r} cannot name weights: letters, digits, '.', '_' and '-'")
    if path.exists():
        raise SettingError(f"{path} is there already; give another name or delete it")
    record = trained.record
    stages = [step["name"] for step in record["stages"] if step["kind"] == "stage"]
    if not stages or stage not in (None, *stages):
        raise RecordError(
            f"{record['label']} (run {record['id']}) has no stage {stage!r}; there are: "
            + (", ".join(stages) or "none")
        )
    chosen = stage or stages[-1]
    tensors, _ = read_tensors(stage_file(trained.stored, chosen))
    taken = {key.removeprefix(under): t for key, t in tensors.items() if key.startswith(under)}
    if not taken:
        parts = dict.fromkeys(key.partition(".")[0] for key in tensors)
        raise RecordError(f"no tensor of {chosen!r} starts with {under!r}; {', '.join(parts)} do")
    about = record["dataset"]
    origin = (
        f"stage {chosen!r} of {record['label']}, run {record['id']}, seed {record['seed']}, "
        f"trained on {about['name']} (training images {about['fingerprints']['train']})"
    )
    write_tensors(path, taken, {"origin": origin})
    return path
