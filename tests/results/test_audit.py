import pytest

from harness.results.audit import audit_all, audit_table
from harness.results.pages import load_page


@pytest.fixture(scope="module")
def pages(tables):
    found = [load_page(name, tables) for name in tables]
    return {page.name: page for page in found if not page.joint}


def of(findings, kind, row=None):
    return [f for f in findings if f.kind == kind and row in {None, f.row}]


def test_contradictions_of_anatomy_x_net_table_3(pages):
    found = of(audit_table(pages["anatomy-xnet-chexpert"]), "mean")
    numbers = {f.row: (f.numbers["printed"], round(f.numbers["recomputed"], 4)) for f in found}
    assert numbers == {
        "Anatomy X-Net": (0.902, 0.892),
        "DenseNet-121 without AAA and PWAP": (0.820, 0.830),
    }
    assert {f.level for f in found} == {"error"}
    assert found[0].numbers["limit"] == pytest.approx(0.0055)


def test_last_digits_that_rounding_explains_are_no_contradiction(pages):
    found = {(f.table, f.row) for f in of(audit_all(list(pages.values())), "rounding")}
    assert found == {
        ("anatomy-xnet-nih", "Ho et al."),
        ("anatomy-xnet-nih", "SDFN"),
        ("anatomy-xnet-nih", "DualCheXNet"),
        ("anatomy-xnet-nih", "Wang et al. [13]"),
        ("anatomy-xnet-nih", "Yan et al."),
        ("anatomy-xnet-chexpert", "CheXpert benchmark"),
        ("anaxnet-auc", "Faster R-CNN"),
        ("cxr-irnet-auc", "SDFN"),
    }
    assert {f.row for f in of(audit_all(list(pages.values())), "mean")} == {
        "Anatomy X-Net",
        "DenseNet-121 without AAA and PWAP",
    }


@pytest.mark.parametrize(
    ("row", "means"),
    [("CheXNet", (0.8180, 0.8105)), ("DCNN", (0.7381, 0.7934)), ("Yan et al.", (0.8301, 0.8205))],
)
def test_one_work_with_two_numbers(pages, row, means):
    others = [pages["cxr-irnet-auc"]]
    (found,) = of(audit_table(pages["anatomy-xnet-nih"], others), "conflict", row)
    assert (found.numbers["here"], found.numbers["there"]) == pytest.approx(means, abs=5e-5)
    assert "both on the official split" in found.message


def test_equal_quotations_are_no_conflict(pages):
    found = of(audit_all(list(pages.values())), "conflict")
    assert not [f for f in found if f.row == "SDFN"]
    assert not [f for f in found if f.table in {"dm-localization", "dm-masks"}]
    pairs = [(f.row, f.message) for f in found]
    assert len(pairs) == len(set(pairs)) == 7


def test_a_mean_against_the_same_cells_with_more_digits(pages):
    (found,) = of(audit_all(list(pages.values())), "finer")
    assert (found.table, found.row) == ("dm-auc", "X. Wang et al.")
    assert found.numbers == {"printed": 0.74, "finer": pytest.approx(0.7451, abs=5e-5)}


def test_the_misprint_of_the_test_images(pages):
    (found,) = of(audit_table(pages["dm-auc"]), "stated")
    assert found.numbers == {"printed": 25586, "known": 25596}
    assert "25,586 test images" in found.message
    boxes = of(audit_table(pages["cxr-irnet-auc"]), "stated")
    assert [f.numbers for f in boxes] == [{"printed": 984, "known": 880}]


@pytest.mark.parametrize(
    ("table", "row", "k", "level"),
    [
        ("anatomy-xnet-nih", "Anatomy X-Net", 0.005, "warning"),
        ("anatomy-xnet-nih", "Ho et al.", 0.027, "warning"),
        ("anatomy-xnet-nih", "DualCheXNet", -0.044, "info"),
        ("cxr-irnet-auc", "CXR-IRNet w/o F_l", 0.021, "warning"),
        ("cxr-irnet-auc", "CXR-IRNet", -0.030, "info"),
        ("cxr-irnet-auc", "DCNN (re-run)", 0.036, "info"),  # its mean is below .80
        ("cxr-irnet-auc", "AGCNN (re-run)", 0.014, "warning"),
        ("cxr-irnet-auc", "SalNet", -0.038, "info"),
        ("attention-auc", "S.Att.", -0.028, "info"),
        ("attention-auc", "AG", -0.020, "info"),
        ("dm-auc", "DM attention", -0.050, "info"),
        ("dm-auc", "J. Liu et al.", 0.016, "warning"),
    ],
)
def test_split_signatures(pages, table, row, k, level):
    (found,) = of(audit_table(pages[table]), "signature", row)
    assert found.numbers["k"] == pytest.approx(k, abs=6e-4)
    assert found.level == level
    assert "-0.050" in found.message
    assert "+0.014" in found.message


def test_accuracies_that_are_no_whole_number_of_boxes(pages):
    found = of(audit_table(pages["attention-localization"]), "granularity")
    assert {f.row for f in found} == {"BL ResNet-34", "S.Att.", "AG"}
    assert sum(f.numbers["cells"] for f in found) == 144
    assert sum(f.numbers["misfits"] for f in found) == 133
    assert not of(audit_table(pages["dm-localization"]), "granularity")


def test_the_paper_cells_fit_the_denominators_of_its_evaluator(pages):
    counts = dict(
        zip(
            pages["attention-localization"].columns,
            (174, 135, 128, 124, 94, 76, 141, 112),
            strict=True,
        )
    )
    own = [row for row in pages["attention-localization"].rows if row.chain == "own"]
    cells = [(counts[c], float(mark)) for row in own for c, mark in row.cells.items()]
    assert len(cells) == 144
    assert all(abs(round(value * n) / n - value) < 6e-5 for n, value in cells)


def test_the_mean_over_boxes_is_no_contradiction(pages):
    found = audit_table(pages["cxr-irnet-iou"])
    assert not of(found, "mean")
    (lost,) = of(found, "lost")
    assert lost.row == "FE w/o MA"
    assert "Mass, Nodule, Pneumonia, Pneumothorax" in lost.message


def test_a_joint_table_is_audited_too(tables):
    found = audit_table(load_page("nih-auc", tables))
    assert of(found, "conflict", "CheXNet")
    assert of(found, "signature", "Anatomy X-Net")
