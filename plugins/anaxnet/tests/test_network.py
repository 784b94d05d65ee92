import math

import pytest
import torch
from anaxnet.network import (
    AnatomyGraph,
    GlobalView,
    GraphConvolutions,
    LabelGraph,
    RegionClassifier,
    attention_entropy,
    normalized,
)
from torch_geometric.nn import DenseGCNConv, GCNConv

GRAPH = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])


@pytest.fixture
def head():
    torch.manual_seed(0)
    return AnatomyGraph(GRAPH, labels=5, width=8, dims=(4, 8))


def test_normalisation_by_hand():
    third, sixth = 1 / 3, 1 / math.sqrt(6)
    symmetric = [[0.5, sixth, 0], [sixth, third, sixth], [0, sixth, 0.5]]
    assert torch.allclose(normalized(GRAPH), torch.tensor(symmetric))
    rows = [[0.5, 0.5, 0], [third, third, third], [0, 0.5, 0.5]]
    assert torch.allclose(normalized(GRAPH, "row"), torch.tensor(rows))
    assert torch.equal(normalized(GRAPH, "none"), GRAPH)


def test_eq1_by_hand():
    # A R = [[3], [3], [2]] for R = [1, 2, 0]; times W = -1, +2 in turn, rectified after each layer
    # or not after the last.
    graph = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    nodes = torch.tensor([[[1.0], [2.0], [0.0]]])
    layers = GraphConvolutions(graph, (1, 1), torch.nn.ReLU(), last_activation=True)
    with torch.no_grad():
        layers.layers[0].nn.weight.fill_(2.0)
        assert layers(nodes).flatten().tolist() == [6, 6, 4]
        layers.layers[0].nn.weight.fill_(-1.0)
        assert layers(nodes).flatten().tolist() == [0, 0, 0]
        layers.last_activation = False
        assert layers(nodes).flatten().tolist() == [-3, -3, -2]


def test_graph_layers_agree_with_pyg_graph_convolutions(rng):
    ours = GraphConvolutions(normalized(GRAPH), (6, 4), torch.nn.Identity(), last_activation=False)
    dense, sparse = DenseGCNConv(6, 4, bias=False), GCNConv(6, 4, bias=False)
    nodes = torch.rand(2, 3, 6, generator=rng)
    with torch.no_grad():
        for other in (dense, sparse):
            other.lin.weight.copy_(ours.layers[0].nn.weight)
        edges = (GRAPH - torch.eye(3)).nonzero().T
        assert torch.allclose(ours(nodes), dense(nodes, GRAPH), atol=1e-6)
        assert torch.allclose(ours(nodes), sparse(nodes, edges), atol=1e-6)


def test_eq4_and_eq5_by_hand(head, rng):
    regions = torch.rand(2, 3, 8, generator=rng)
    with torch.no_grad():
        logits = head(regions)
        first, second = (layer.nn.weight.T for layer in head.graph.layers)
        a = normalized(GRAPH)
        for image, found in zip(regions, logits, strict=True):
            z = torch.relu(a @ torch.relu(a @ image @ first) @ second)
            weights = torch.stack([torch.exp(row) / torch.exp(row).sum() for row in image @ z.T])
            both = torch.cat([image, weights @ image], dim=1)
            expected = both @ head.classifier.weight.T + head.classifier.bias
            assert torch.allclose(found, expected, atol=1e-5)


def test_attention_is_over_regions_not_over_the_batch(head, rng):
    regions = torch.rand(4, 3, 8, generator=rng)
    attention = head.attention(regions)
    assert attention.shape == (4, 3, 3)
    assert torch.allclose(attention.sum(dim=-1), torch.ones(4, 3))
    assert torch.allclose(head(regions)[2:3], head(regions[2:3]), atol=1e-6)


def test_residual_head_adds_and_normalises(rng):
    head = AnatomyGraph(GRAPH, labels=2, width=8, dims=(4, 8), combine="residual")
    regions = torch.rand(1, 3, 8, generator=rng)
    together = regions + head.attention(regions) @ regions
    expected = head.classifier(torch.layer_norm(together, (8,)))
    assert torch.allclose(head(regions), expected, atol=1e-6)


def test_last_activation_changes_the_attention(rng):
    regions = torch.randn(1, 3, 8, generator=rng)
    built = []
    for last in ("relu", "none"):
        torch.manual_seed(0)
        built.append(AnatomyGraph(GRAPH, 2, 8, (4, 8), last_activation=last))
    assert (built[0].graph(regions) >= 0).all()
    assert (built[1].graph(regions) < 0).any()


def test_widths_that_eq4_cannot_multiply_are_refused():
    with pytest.raises(ValueError, match="512 wide, the regions 1024"):
        AnatomyGraph(GRAPH, labels=9, dims=(1024, 512))


def test_entropy_of_uniform_and_of_single_attention():
    assert attention_entropy(torch.full((2, 3, 3), 1 / 3)).item() == pytest.approx(1)
    assert attention_entropy(torch.eye(3)[None]).item() == 0


def test_a_missing_region_is_predicted_from_its_context(head, rng):
    regions = torch.rand(1, 3, 8, generator=rng)
    regions[0, 0] = 0
    others = regions.clone()
    others[0, 1] *= 2
    assert not torch.allclose(head(regions)[0, 0], head(others)[0, 0])


def test_label_graph_is_a_dot_product_with_label_vectors(rng):
    head = LabelGraph(torch.tensor([[1.0, 0.25], [0.25, 1.0]]), width=8)
    regions = torch.rand(2, 3, 8, generator=rng)
    vectors = head.graph(head.vectors[None])[0]
    logits = head(regions)
    assert logits.shape == (2, 3, 2)
    assert logits[1, 2, 0].item() == pytest.approx((regions[1, 2] @ vectors[0]).item(), abs=1e-4)
    assert "vectors" not in dict(head.named_parameters())
    assert "vectors" in dict(LabelGraph(torch.eye(2), 8, "learned").named_parameters())


def test_region_classifier_treats_every_region_alike(rng):
    head = RegionClassifier(labels=9)
    regions = torch.rand(2, 18, 1024, generator=rng)
    assert torch.allclose(head(regions)[:, 3], head(regions[:, 3]), atol=1e-6)


def test_grad_cam_agrees_with_gradients():
    torch.manual_seed(0)
    network = GlobalView(labels=3).eval()
    images = torch.rand(2, 1, 64, 64)
    features = network.features(images).detach().requires_grad_()
    logits = network.densenet.classifier(features.mean(dim=(2, 3)))
    scores, maps = network.scores_and_maps(images)
    assert torch.allclose(scores, network(images), atol=1e-5)
    assert maps.shape == (2, 3, 2, 2)
    for label in range(3):
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), features, retain_graph=True)
        weights = gradient.mean(dim=(2, 3), keepdim=True)  # over positions, as Grad-CAM pools them
        expected = torch.relu((weights * features).sum(dim=1))
        assert torch.allclose(maps[:, label], expected, atol=1e-6)


def test_globalview_is_torchvisions_densenet_on_normalised_grey():
    network = GlobalView(labels=3).eval()
    grey = torch.rand(1, 1, 64, 64)
    colour = (grey.expand(-1, 3, -1, -1) - network.mean) / network.std
    assert torch.allclose(network(grey), network.densenet(colour), atol=1e-5)
