import numpy as np
import pytest
import torch
from dm_attention.masks import (
    NEVER,
    MeanActivation,
    attention_mask,
    mean_image,
    min_max,
    threshold,
    uniform,
)
from hypothesis import given
from hypothesis import strategies as st

SYMMETRIC, ASYMMETRIC = torch.tensor([True]), torch.tensor([False])


def gathered(maps, probabilities, symmetric=ASYMMETRIC, **settings):
    mean = MeanActivation(symmetric, **settings)
    mean.update(torch.tensor(maps), torch.tensor(probabilities))
    return mean


def test_the_anchor_is_the_mean_whatever_the_batches():
    images = torch.rand(7, 1, 4, 4)
    whole = mean_image([images])
    torch.testing.assert_close(whole, images.mean(0))
    torch.testing.assert_close(mean_image(images.split(3)), whole)
    with pytest.raises(ValueError, match="at least one image"):
        mean_image([])


def test_min_max_by_hand():
    maps = torch.tensor([[[2.0, 4.0], [6.0, 10.0]], [[3.0, 3.0], [3.0, 3.0]]])
    assert min_max(maps).tolist() == [[[0.0, 0.25], [0.5, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]


def test_mirrored_before_normalised_before_averaged():
    """Eq. 3 by hand: [0 4; 2 0] + flip = [4 4; 2 2], normalised [1 1; 0 0]."""
    symmetric = gathered([[[[0.0, 4.0], [2.0, 0.0]]]], [[0.9]], SYMMETRIC, fewest=1)
    assert symmetric.mean().tolist() == [[[1.0, 1.0], [0.0, 0.0]]]
    plain = gathered([[[[0.0, 4.0], [2.0, 0.0]]]], [[0.9]], fewest=1)
    assert plain.mean().tolist() == [[[0.0, 1.0], [0.5, 0.0]]]


def test_only_confident_images_enter():
    maps = [[[[0.0, 1.0]]], [[[0.0, 100.0]]], [[[1.0, 0.0]]]]
    mean = gathered(maps, [[0.8], [0.95], [0.79]], fewest=2)
    assert mean.counts.tolist() == [2]
    assert mean.mean().tolist() == [[[0.0, 1.0]]]


def test_too_few_confident_images_give_way_to_the_most_probable():
    maps = [[[[0.0, 1.0]]], [[[1.0, 0.0]]], [[[0.0, 1.0]]], [[[1.0, 0.0]]]]
    mean = gathered(maps, [[0.9], [0.7], [0.6], [0.1]], fewest=3)
    assert mean.counts.tolist() == [1]
    torch.testing.assert_close(mean.mean(), torch.tensor([[[1 / 3, 2 / 3]]]))


def test_an_image_that_may_not_enter_stays_out():
    maps = [[[[0.0, 1.0]]], [[[1.0, 0.0]]]]
    assert gathered(maps, [[0.3], [NEVER]], fewest=2).mean().tolist() == [[[0.0, 1.0]]]
    assert gathered(maps, [[NEVER], [NEVER]], fewest=2).mean().tolist() == [[[0.0, 0.0]]]


def test_no_maps_no_masks():
    with pytest.raises(ValueError, match="at least one class activation map"):
        MeanActivation(SYMMETRIC).mean()


@given(seed=st.integers(0, 1000), cut=st.integers(1, 11), fewest=st.integers(1, 6))
def test_batches_do_not_matter_and_numpy_agrees(seed, cut, fewest):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(12, 2, 3, 3)).astype(np.float32)
    probabilities = rng.choice([0.2, 0.5, 0.7, 0.81, 0.99], size=(12, 2)).astype(np.float32)
    symmetric = torch.tensor([True, False])
    mean = MeanActivation(symmetric, fewest=fewest)
    for rows in (slice(0, cut), slice(cut, 12)):
        mean.update(torch.from_numpy(maps[rows]), torch.from_numpy(probabilities[rows]))
    for c in range(2):
        summed = maps[:, c] + maps[:, c, :, ::-1] if symmetric[c] else maps[:, c]
        low, high = summed.min((1, 2), keepdims=True), summed.max((1, 2), keepdims=True)
        normal = (summed - low) / (high - low)
        chosen = np.flatnonzero(probabilities[:, c] >= np.float32(0.8))
        assert mean.counts[c] == len(chosen)
        if len(chosen) < fewest:
            chosen = np.argsort(-probabilities[:, c], kind="stable")[:fewest]
        np.testing.assert_allclose(mean.mean()[c], normal[chosen].mean(0), atol=1e-5)


def test_symmetric_masks_are_symmetric():
    torch.manual_seed(0)
    mean = MeanActivation(torch.tensor([True, False]), fewest=1)
    mean.update(torch.randn(5, 2, 4, 4), torch.full((5, 2), 0.9))
    mirrored = mean.mean().flip(-1)
    torch.testing.assert_close(mean.mean()[0], mirrored[0])
    assert not torch.allclose(mean.mean()[1], mirrored[1])


def test_threshold_by_hand():
    mean = torch.tensor([[[0.25, 0.5], [0.625, 0.75]]])  # stretched: 0, 0.5, 0.75, 1
    torch.testing.assert_close(threshold(mean), torch.tensor([[[0.0, 0.5], [0.75, 1.0]]]))
    torch.testing.assert_close(
        threshold(mean, level=0.6), torch.tensor([[[0.0, 0.0], [0.75, 1.0]]])
    )
    assert threshold(mean, level=0.6, binary=True).tolist() == [[[0.0, 0.0], [1.0, 1.0]]]
    assert threshold(torch.zeros(1, 2, 2)).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_uniform_masks_keep_the_gain_and_lose_the_place():
    masks = torch.tensor([[[0.0, 1.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]])
    assert uniform(masks).tolist() == [[[0.5] * 2] * 2, [[0.25] * 2] * 2]


def test_attention_shares_masks_among_the_masked_classes():
    masks = torch.tensor([[[0.0, 1.0]], [[0.5, 0.5]], [[9.0, 9.0]]])
    masked = torch.tensor([True, True, False])
    assert attention_mask(masks, masked).tolist() == [[[0.0, 1.0]], [[0.5, 0.5]], [[0.0, 0.0]]]
    assert attention_mask(masks, masked, "shared_max").tolist() == [[[0.5, 1.0]]] * 3
    assert attention_mask(masks, masked, "shared_mean").tolist() == [[[0.25, 0.75]]] * 3
    with pytest.raises(ValueError, match="not 'sum'"):
        attention_mask(masks, masked, "sum")
