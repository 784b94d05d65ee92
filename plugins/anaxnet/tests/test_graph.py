import itertools

import numpy as np
import pytest
import torch
from anaxnet.graph import (
    adjacency,
    edges,
    identity_adjacency,
    label_graph,
    random_adjacency,
    region_jaccard,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

# Three images, three regions, two labels. Label 0 lies in region 0 of images {0, 1}, in region 1 of
# {0}, never in region 2; label 1 in region 0 of {2}, in region 1 of {2}, never in region 2.
LABELS = torch.tensor(
    [
        [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]],
        [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
        [[0.0, 1.0], [0.0, 1.0], [0.0, torch.nan]],
    ]
)

label_sets = st.integers(0, 2**31).map(
    lambda seed: torch.from_numpy(
        np.random.default_rng(seed).choice([0.0, 1.0, np.nan], p=[0.6, 0.3, 0.1], size=(12, 4, 3))
    )
)


def test_eq2_divides_by_all_labels():
    # Regions 0 and 1: (1/2 + 1/1) / 2; region 2 shares nothing and has nothing: 0 / ... = 0.
    expected = torch.tensor([[1.0, 0.75, 0.0], [0.75, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert torch.equal(region_jaccard(LABELS), expected.double())


def test_an_empty_union_counts_zero_as_printed_and_is_left_out_on_request():
    labels = torch.zeros(2, 2, 4)
    labels[:, :, 0] = 1  # one label of four, always in both regions
    assert region_jaccard(labels)[0, 1] == 0.25
    assert region_jaccard(labels, rule="nonempty")[0, 1] == 1.0
    assert (adjacency(region_jaccard(labels)) == torch.eye(2)).all()
    assert adjacency(region_jaccard(labels, rule="nonempty"))[0, 1] == 1


def test_tau_itself_connects():
    assert adjacency(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), tau=0.5)[0, 1] == 1
    assert adjacency(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), tau=0.51)[0, 1] == 0


def test_a_region_without_any_label_is_connected_with_itself_only():
    graph = adjacency(region_jaccard(LABELS))
    assert graph.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert edges(graph, ["a", "b", "c"]) == [("a", "b")]


@given(label_sets)
@settings(max_examples=25)
def test_jaccard_agrees_with_sklearn(labels):
    found = region_jaccard(labels)
    positive = (labels == 1).numpy().astype(int)
    for i, j in itertools.product(range(4), repeat=2):
        each = [
            jaccard_score(positive[:, i, m], positive[:, j, m], zero_division=0) for m in range(3)
        ]
        assert found[i, j].item() == pytest.approx(np.mean(each), abs=1e-12)


@given(label_sets, st.integers(0, 2**31))
@settings(max_examples=25)
def test_macro_agrees_with_sklearn_on_the_images_the_public_code_takes(labels, seed):
    present = torch.rand(12, 4, generator=torch.Generator().manual_seed(seed)) < 0.9
    found = region_jaccard(labels, present, rule="macro")
    positive = (labels == 1).numpy().astype(int)[present.all(dim=1).numpy()]
    for i, j in itertools.product(range(4), repeat=2):
        rows = positive[:, [i, j]].any(axis=(1, 2))
        expected = 0.0
        if rows.any():
            first, second = positive[rows, i], positive[rows, j]
            expected = np.mean(
                [jaccard_score(first[:, m], second[:, m], average="macro") for m in range(3)]
            )
        assert found[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_macro_counts_agreement_on_absence():
    labels = torch.zeros(10, 2, 1)
    labels[0, 0, 0] = labels[1, 1, 0] = 1  # never together
    labels = torch.cat([labels, torch.zeros(10, 2, 8)], dim=2)
    assert region_jaccard(labels)[0, 1] == 0
    assert region_jaccard(labels, rule="macro")[0, 1] > 0.8


@given(label_sets)
def test_jaccard_is_symmetric_within_bounds_and_blind_to_the_order_of_images(labels):
    found = region_jaccard(labels)
    assert torch.equal(found, found.T)
    assert ((found >= 0) & (found <= 1)).all()
    assert torch.equal(found, region_jaccard(labels.flip(0)))


def test_no_images_leave_the_identity():
    assert torch.equal(adjacency(region_jaccard(torch.zeros(0, 3, 2))), identity_adjacency(3))
    assert torch.equal(label_graph(torch.zeros(0, 3, 2)), torch.eye(2))


def test_a_random_graph_has_as_many_edges_and_is_symmetric(rng):
    graph = torch.eye(18)
    for i, j in [(0, 1), (3, 9), (4, 17)]:
        graph[i, j] = graph[j, i] = 1
    drawn = [random_adjacency(graph, rng) for _ in range(5)]
    for control in drawn:
        assert torch.equal(control, control.T)
        assert control.sum() == graph.sum()
        assert (control.diagonal() == 1).all()
    assert not all(torch.equal(control, drawn[0]) for control in drawn)


def test_label_graph_by_hand():
    # Over the regions, label 0 has 4 positives, label 1 has 2, both together in 2, label 2 none:
    # P(1 | 0) = 2/4 > 0.4, P(0 | 1) = 1.
    labels = torch.tensor([[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    assert label_graph(labels).tolist() == [[1, 0.25, 0], [0.25, 1, 0], [0, 0, 1]]
    # P(1 | 0) = 0.5 does not exceed 0.5.
    assert label_graph(labels, threshold=0.5).tolist() == [[1, 0, 0], [0.25, 1, 0], [0, 0, 1]]


def test_edges_of_a_label_share_their_weight():
    labels = torch.ones(3, 2, 3)
    weights = label_graph(labels)
    assert torch.allclose(weights.sum(dim=1), torch.full((3,), 1.25))
    assert weights[0, 1] == 0.125
