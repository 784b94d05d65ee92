import pytest
import torch
from dm_attention.masks import DISEASES
from dm_attention.pseudo import DRAWINGS, find_anatomy, pseudo_masks


def drawn_anchor(size=256):
    """A bright body in dark air with two dark lungs: boxes of known place."""
    anchor = torch.zeros(1, size, size)
    unit = size // 32
    anchor[0, 2 * unit :, 3 * unit : 29 * unit] = 0.8
    anchor[0, 5 * unit : 20 * unit, 7 * unit : 14 * unit] = 0.2
    anchor[0, 6 * unit : 21 * unit, 18 * unit : 26 * unit] = 0.3
    return anchor


@pytest.mark.parametrize("size", [64, 128, 256])
def test_lungs_are_found_between_the_air_and_the_spine(size):
    body = find_anatomy(drawn_anchor(size))
    assert body.left == pytest.approx((7 / 32, 5 / 32, 14 / 32, 20 / 32))
    assert body.right == pytest.approx((18 / 32, 6 / 32, 26 / 32, 21 / 32))


def test_the_heart_stands_on_the_lungs_floor_and_leans_to_the_images_right():
    heart = find_anatomy(drawn_anchor()).heart
    assert heart == pytest.approx(((14 - 7 / 6) / 32, 13 / 32, (18 + 8 / 3) / 32, 21 / 32))
    assert (heart.x1 + heart.x2) / 2 > 0.5


def test_lung_edges_are_three_quarters_up_a_slope():
    profile = torch.cat(
        [torch.linspace(0.8, 0.0, 9), torch.linspace(0.1, 0.7, 7), torch.tensor([0.78])]
    )
    anchor = torch.cat([profile[1:], profile[1:].flip(0)]).repeat(32, 1)[None]
    body = find_anatomy(anchor)
    # columns 0 to 15 of the left half fall from 0.7 to 0 at column 7 and rise to 0.78 at 15:
    # three quarters are first reached at columns 1 (0.6 of 0.7) and 13 (0.6 of 0.78)
    assert (body.left.x1 * 32, body.left.x2 * 32) == pytest.approx((2, 13))
    assert body.right.x1 == pytest.approx(1 - body.left.x2)


def test_drawings_lie_where_the_definitions_say():
    masks = dict(zip(DISEASES, pseudo_masks(drawn_anchor(), DISEASES, 32), strict=True))
    lungs = masks["Mass"]
    for name in ("Infiltration", "Nodule", "Pneumonia"):
        assert torch.equal(masks[name], lungs)
    lower, upper = masks["Atelectasis"], masks["Pneumothorax"]
    assert torch.equal(lower + upper, lungs)
    rows = torch.arange(32)
    assert (lower.sum(1) * rows).sum() / lower.sum() > (upper.sum(1) * rows).sum() / upper.sum()
    effusion = masks["Effusion"].nonzero()
    assert effusion[:, 0].min() >= 15  # the last third of rows 5 to 20 and 6 to 21
    assert effusion[:, 0].max() == 20
    assert masks["Cardiomegaly"][17, 16] == 1
    assert masks["Cardiomegaly"][17, 10] == 0


def test_masks_are_zero_or_one_and_the_right_size():
    masks = pseudo_masks(drawn_anchor(), [*DRAWINGS, "Fracture"], 16)
    assert masks.shape == (15, 16, 16)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert (masks[:-1].sum((1, 2)) > 0).all()
    assert masks[-1].sum() == 0


def test_a_flat_anchor_is_no_accident():
    assert pseudo_masks(torch.zeros(1, 64, 64), DISEASES, 2).shape == (8, 2, 2)
