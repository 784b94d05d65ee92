import torch
from anatomy_xnet.findings import LabelVector, no_finding

NAN = float("nan")
NIH = ("Atelectasis", "Cardiomegaly", "Hernia")
CHEXPERT = ("No Finding", "Enlarged Cardiomediastinum", "Edema", "Support Devices")


def test_no_finding_by_hand():
    findings = torch.tensor([[0, 0], [1, 0], [NAN, 0], [NAN, 1.0]])
    expected = torch.tensor([[1], [0], [NAN], [0.0]])
    torch.testing.assert_close(no_finding(findings), expected, equal_nan=True)


def test_nih_vector_has_one_output_more_than_classes():
    vector = LabelVector(NIH)
    labels = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, NAN, 1.0]])
    assert vector.outputs == 4
    torch.testing.assert_close(vector.targets(labels)[:, :3], labels, equal_nan=True)
    assert vector.targets(labels)[:, 3].tolist() == [0, 0, 0, 1, 0]
    assert vector.diseased_organs(labels).tolist() == [[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]]
    assert vector.scores(torch.tensor([[0.1, 0.2, 0.3, 0.4]])).tolist() == [
        torch.tensor([0.1, 0.2, 0.3]).tolist()
    ]


def test_chexpert_vector_keeps_the_label_no_finding_and_drops_devices():
    vector = LabelVector(CHEXPERT)
    labels = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 1], [0, NAN, 0, 0.0]])
    assert vector.outputs == 3
    expected = torch.tensor([[1, 0, 0], [0, 0, 1], [NAN, 0, 0.0]])
    torch.testing.assert_close(vector.targets(labels), expected, equal_nan=True)
    assert vector.diseased_organs(labels).tolist() == [[0, 1], [0, 0], [0, 0]]
    scores = vector.scores(torch.tensor([[0.1, 0.2, 0.3]]))
    torch.testing.assert_close(scores, torch.tensor([[0.3, 0.1, 0.2, 0.5]]))
