"""Every method that is installed here runs by the common recipe, on images of the same size."""

import numpy as np
import pytest
import torch
from torch.optim import AdamW

from harness.data.drawn import DrawnPhantom
from harness.engine import job
from harness.engine.budget import BUDGETS
from harness.engine.compute import Compute
from harness.engine.recipe import COMMON, PAPER
from harness.engine.rehearsal import RehearsalTask, rehearse
from harness.plugins import registry

COMPUTE = Compute(torch.device("cpu"))
MODELS = sorted(set(registry().offered("models")) - {"constant"})


def rehearsed(name, recipe, monkeypatch):
    """Return the stages of a method at its smoke size, as a recipe trains them, by name."""
    method = job.make_method(name, {}, BUDGETS["smoke"])
    dataset = DrawnPhantom(images=40, enrich=0.9, images_per_patient=1.5)
    data = job.make_data(dataset, method.model.view, dict(dataset.splits))
    seen = {}
    note = RehearsalTask._note

    def noted(self, stage):
        seen[stage.name] = stage
        note(self, stage)

    monkeypatch.setattr(RehearsalTask, "_note", noted)
    parts = [data.samples(split) for split in ("train", "validation")]
    steps, said = rehearse(method.model, *parts, {}, COMPUTE, BUDGETS["smoke"], recipe=recipe)
    assert said.arrays
    return seen, {step.name: step.digest for step in steps}


@pytest.mark.parametrize("name", MODELS)
def test_classifiers_are_trained_alike_and_the_rest_as_the_paper_says(name, monkeypatch):
    own, own_digests = rehearsed(name, PAPER, monkeypatch)
    common, digests = rehearsed(name, COMMON, monkeypatch)
    changed = {n for n in own if common[n].optimizer.__class__ is AdamW}
    assert changed, "nothing is trained by the common recipe"
    assert list(own)[-1] in changed or name == "dm-prior"
    assert changed == {stage for stage in own if stage not in ("unet", "segmentation", "alignment", "detector")}
    first = list(own_digests).index(next(n for n in own if n in changed))
    assert list(own_digests.values())[:first] == list(digests.values())[:first]
    assert all(own_digests[n] != digests[n] for n in changed)
    for stage in (common[n] for n in changed):
        assert (stage.batch_size, stage.accumulate, stage.epochs) == (32, 1, 2)  # 10, but for smoke
        assert stage.score is not None
        trained = lambda s: [id(p) for g in s.optimizer.param_groups for p in g["params"]]
        assert len(trained(stage)) == len(trained(own[stage.name]))
