"""Every method that is installed here runs by the common recipe; what it is made of does not."""

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

SMOKE = BUDGETS["smoke"]
OWN = {"unet", "segmentation", "alignment", "detector"}  # stages that stay as the paper says
LIKE_ANOTHER = {"chexgcn", "faster-rcnn", "globalview", "resnet50", "senet", "space-attention"}
MODELS = [
    pytest.param(name, marks=[pytest.mark.slow] if name in LIKE_ANOTHER else [])
    for name in sorted(set(registry().offered("models")) - {"constant"})
]


@pytest.fixture
def rehearsed(monkeypatch):
    """Return a function that gives the stages of a method by a recipe, and the steps' digests."""
    note = RehearsalTask._note
    seen = {}

    def noted(self, stage):
        seen[stage.name] = stage
        note(self, stage)

    def function(name, recipe):
        seen.clear()
        method = job.make_method(name, {}, SMOKE)
        dataset = DrawnPhantom(images=40, enrich=0.9, images_per_patient=1.5)
        data = job.make_data(dataset, method.model.view, dict(dataset.splits))
        parts = [data.samples(split) for split in ("train", "validation")]
        compute = Compute(torch.device("cpu"))
        found = rehearse(
            method.model, *parts, {}, compute, SMOKE, backward=recipe is COMMON, recipe=recipe
        )
        assert found.said.arrays
        return dict(seen), {step.name: step.digest for step in found.steps if step.digest}

    monkeypatch.setattr(RehearsalTask, "_note", noted)
    return function


def trained(stage):
    return [p.shape for group in stage.optimizer.param_groups for p in group["params"]]


@pytest.mark.parametrize("name", MODELS)
def test_classifiers_are_trained_alike_and_the_rest_as_the_paper_says(name, rehearsed):
    paper, by_paper = rehearsed(name, PAPER)
    common, by_common = rehearsed(name, COMMON)
    changed = [stage for stage in common if isinstance(common[stage].optimizer, AdamW)]
    assert set(changed) == set(paper) - OWN
    for stage in changed:
        made = common[stage]
        assert (made.batch_size, made.accumulate, made.epochs) == (32, 1, 2)  # 10, but for smoke
        assert made.score is not None
        assert trained(made) == trained(paper[stage])
    steps = list(by_paper)
    assert list(by_common) == steps
    first = min(steps.index(stage) for stage in changed)
    assert [step for step in steps if by_paper[step] == by_common[step]] == steps[:first]
