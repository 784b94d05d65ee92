import pytest
import torch
from anaxnet.detectors.quality import average_precision, paired_iou, region_quality
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

NONE = [torch.nan] * 4


def test_quality_by_hand():
    annotated = torch.tensor(
        [[[0.0, 0, 10, 10], NONE, NONE], [[0.0, 0, 10, 10], [0, 0, 4, 4], NONE]]
    )
    found = torch.tensor([[[0.0, 0, 10, 8], [0, 0, 1, 1], [0, 0, 0, 0]], [[0.0, 0, 10, 10]] * 3])
    present = torch.tensor([[True, True, False], [False, True, True]])
    quality = region_quality(found, present, annotated)
    assert quality.boxes.tolist() == [2, 1, 0]
    assert quality.iou[0].item() == pytest.approx(0.4)  # (0.8 + a missed one) / 2
    assert quality.iou[1].item() == pytest.approx(0.16)
    assert quality.recall[:2].tolist() == [0.5, 0]
    assert quality.iou[2].isnan()
    assert quality.recall[2].isnan()


@given(st.integers(0, 2**31))
def test_paired_iou_agrees_with_torchvision(seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, 6, 2, generator=generator)
    boxes = torch.cat([corner, corner + torch.rand(2, 6, 2, generator=generator)], dim=-1)
    assert torch.allclose(paired_iou(*boxes), box_iou(*boxes).diagonal(), atol=1e-6)


def test_boxes_without_area_and_absent_ones():
    box = torch.tensor([1.0, 1, 1, 5])
    assert paired_iou(box, box) == 0
    assert paired_iou(box, torch.tensor(NONE)).isnan()


def test_average_precision_of_perfect_and_of_missing_detections():
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    annotated = torch.tensor([[[2.0, 2, 40, 60], [50, 50, 90, 80]]]).repeat(3, 1, 1)
    scores, present = torch.ones(3, 2), torch.ones(3, 2, dtype=torch.bool)
    assert average_precision(annotated, scores, present, annotated)["AP"] == pytest.approx(1)
    shifted = annotated + torch.tensor([0.0, 6, 0, 6])
    half = average_precision(shifted, scores, present, annotated)
    assert half["AP50"] == pytest.approx(1)
    assert half["AP"] < 1
    nothing = average_precision(annotated, scores, ~present, annotated)
    assert nothing["AP"] == 0
