import json

import pytest

from harness.results import terminal
from harness.results.measured import group, matches
from harness.results.pages import load_page
from harness.results.tables import build


@pytest.fixture
def nih_auc(tables):
    page = load_page("nih-auc", tables)
    return lambda *records: build(page, records)


def measured(table):
    return [row for row in table.rows if row.seeds is not None]


def test_published_rows_have_recomputed_beside_printed_means(nih_auc):
    rows = {row.method: row for row in nih_auc().rows}
    assert rows["DualCheXNet"].mean_printed == 0.8230
    assert rows["DualCheXNet"].mean == pytest.approx(0.823571, abs=1e-6)
    assert rows["BL ResNet-50"].mean_printed is None
    assert rows["BL ResNet-50"].mean == pytest.approx(0.7451, abs=5e-5)
    assert rows["S.Att."].verdict == "not run"
    assert rows["SDFN"].verdict is None


def test_the_json_form_has_the_agreed_keys(nih_auc, record, nih):
    table = json.loads(json.dumps(nih_auc(record()).as_json(), allow_nan=False))
    assert {"name", "title", "columns", "rows"} <= table.keys()
    assert table["columns"] == nih
    for row in table["rows"]:
        assert {"method", "source", "kind", "cells", "mean_printed", "mean"} <= row.keys()
        assert row["kind"] in {"published", "measured", "imported"}
        assert list(row["cells"]) == nih
        assert isinstance(row["notes"], list)


def test_seeds_are_one_row_with_mean_and_spread(nih_auc, record):
    printed = next(row for row in nih_auc().rows if row.method == "S.Att.").cells
    shifts = enumerate((-0.001, 0, 0.001))
    runs = [record(cells={c: v + by for c, v in printed.items()}, seed=s) for s, by in shifts]
    table = nih_auc(*runs)
    (row,) = measured(table)
    assert row.seeds == 3
    assert row.mean == pytest.approx(0.793750, abs=1e-6)
    assert row.deviation == pytest.approx(0.001)
    assert row.interval == pytest.approx((0.789750, 0.797750), abs=1e-6)
    assert (row.train_images_per_s, row.inference_images_per_s, row.device) == (100, 400, "a CPU")
    assert row.block == "official split"
    assert row.verdict == "match"
    assert row.difference == pytest.approx(0, abs=1e-9)
    assert "14 of 14 classes inside ±0.020." in row.notes
    assert {r.method: r.verdict for r in table.rows}["S.Att."] is None


def test_a_measured_row_follows_the_row_that_it_regenerates(nih_auc, record):
    methods = [row.method for row in nih_auc(record()).rows]
    assert methods[methods.index("S.Att.") + 1] == "space-attention"


@pytest.mark.parametrize(
    ("change", "block", "verdict"),
    [
        ({"budget": "smoke"}, "smoke budget", "not comparable (smoke budget)"),
        ({"dataset": {"phantom": {}}}, "phantom data", "not comparable (phantom data)"),
        ({"recipe": "common"}, "common recipe", "not comparable (common recipe)"),
        ({"tta": "ten-crop"}, "official split", "not comparable (TTA ten-crop, not none)"),
        (
            {"dataset": {"protocol": "chexnet-random"}},
            "chexnet-random split",
            "not comparable (split)",
        ),
        (
            {"dataset": {"fingerprints": {"train": "t", "validation": "v", "test": "ab"}}},
            "other test images",
            "not comparable (split)",
        ),
    ],
)
def test_what_does_not_compare_says_why(nih_auc, record, change, block, verdict):
    table = nih_auc(*(record(seed=seed, **change) for seed in range(3)))
    (row,) = measured(table)
    assert (row.block, row.verdict) == (block, verdict)


@pytest.mark.parametrize("name", ["nih-auc", "attention-auc"])
def test_phantom_and_smoke_rows_are_never_in_a_grid_with_published_ones(tables, record, name):
    records = [
        record(seed=0),
        record(budget="smoke"),
        record(dataset={"phantom": {"seed": 1}, "name": "phantom"}),
        record(dataset={"phantom": {"seed": 1}}, budget="smoke"),
        record(dataset={"protocol": "chexnet-random"}),
    ]
    table = build(load_page(name, tables), records)
    assert len(measured(table)) == 5
    for block, rows in table.blocks().items():
        own = [row for row in rows if row.seeds is not None]
        assert len(own) == 1
        assert any(row.kind == "published" for row in rows) == (block == "official split")
    assert set(table.blocks()) == {
        "official split",
        "smoke budget",
        "phantom data",
        "phantom data, smoke budget",
        "chexnet-random split",
    }


def test_other_training_lists_have_a_block_of_their_own(nih_auc, record):
    lists = record()["dataset"]["fingerprints"] | {"train": "other"}
    records = [record("resnet34"), record(), record("mine", dataset={"fingerprints": lists})]
    blocks = {row.method: row.block for row in measured(nih_auc(*records))}
    assert blocks["mine"] == "other training lists"
    assert blocks["resnet34"] == blocks["space-attention"] == "official split"


def test_the_signature_makes_a_published_row_incomparable(nih_auc, record):
    table = nih_auc(record("anatomy-xnet", tta="ten-crop", label="anatomy-xnet[tta=ten-crop]"))
    published = next(row for row in table.rows if row.method == "Anatomy X-Net")
    assert published.signature == pytest.approx(0.005, abs=5e-4)
    assert published.verdict == "not comparable (signature)"
    assert "Split signature resembles a random patient split." in published.notes
    assert measured(table)[0].verdict == "not comparable (signature)"


def test_imported_rows_are_of_their_own_kind(nih_auc, record):
    table = nih_auc(record("Mine [v2", kind="imported", throughput={}))
    (row,) = measured(table)
    assert (row.kind, row.verdict, row.train_images_per_s) == ("imported", None, None)
    narrow, wide = (terminal.text(table, width) for width in (80, 200))
    assert "I Mine [v2: " in narrow
    assert "M Mine" not in narrow + wide


def test_bold_is_the_best_and_what_its_interval_cannot_tell_apart(nih_auc, record):
    cells = {"a": 0.80, "b": 0.797, "c": 0.78}
    table = nih_auc(*(record(name, value) for name, value in cells.items()))
    bold = {row.method: "mean" in row.bold for row in measured(table)}
    # half-widths .004: margin sqrt(2) * .004 = .0057
    assert bold == {"a": True, "b": True, "c": False}
    assert any("its interval cannot tell" in note for note in table.notes)
    published = [row for row in table.rows if row.kind == "published" and "mean" in row.bold]
    assert [row.method for row in published] == ["Luo et al."]
    assert any(note.startswith("Bold is, of printed rows,") for note in table.notes)


def test_an_undefined_class_is_a_dash_and_a_note(nih_auc, record):
    one = record()
    one["metrics"]["auroc"]["classes"]["Hernia"].update(value=None, low=None, high=None)
    (row,) = measured(nih_auc(one))
    assert row.cells["Hernia"] is None
    assert "Undefined: Hernia." in row.notes


def test_a_table_of_eight_classes_takes_its_own_mean(tables, record, nih):
    cells = dict.fromkeys(nih[:8], 0.8) | dict.fromkeys(nih[8:], 0.5)
    table = build(load_page("dm-ablation", tables), [record("resnet50", cells)])
    (row,) = measured(table)
    assert row.mean == pytest.approx(0.8)
    assert row.interval is None


def test_a_paper_table_has_no_foreign_rows(tables, record):
    table = build(load_page("attention-auc", tables), [record("chexnet"), record()])
    assert [row.method for row in measured(table)] == ["space-attention"]


def test_a_table_of_means_only(tables, record):
    table = build(load_page("anatomy-xnet-levels", tables), [level_one(record)])
    (row,) = measured(table)
    assert row.mean == pytest.approx(0.83)
    assert row.difference == pytest.approx(0.83 - 0.8348)
    assert [row.method for row in table.rows if row.chain == "added"]


def level_one(record):
    settings = {"level": {"value": 1, "origin": "--set"}}
    return record("anatomy-xnet", 0.83, label="anatomy-xnet[level=1]", hyperparameters=settings)


def test_matching_a_model(record):
    one = level_one(record)
    assert matches("anatomy-xnet[level=1]", one)
    assert not matches("anatomy-xnet[level=2]", one)
    assert not matches("anatomy-xnet", one)  # it sets what the row does not
    plain = record("anatomy-xnet", hyperparameters={"level": {"value": 2, "origin": "default"}})
    assert matches("anatomy-xnet[level=2]", plain)
    assert matches("anatomy-xnet", plain)


def test_runs_on_other_devices_are_other_rows(record):
    other = record(seed=1, device={"kind": "cuda", "name": "a GPU"})
    assert len(group([record(), record(seed=1), other])) == 2


@pytest.fixture
def boxes(entry, nih):
    def make(value, measure, name="largest"):
        return {"localization": {name: {measure: entry(dict.fromkeys(nih[:8], value))}}}

    return make


def test_localization_protocols_are_never_in_one_grid(tables, record, boxes):
    metrics = boxes(0.5, "iou>0.3")
    metrics["localization"] |= boxes(0.4, "iou>0.3", "legacy-kth")["localization"]
    table = build(load_page("nih-localization", tables), [record(metrics=metrics)])
    means = {row.block: row.mean for row in measured(table)}
    assert means == {
        "IoU > 0.3, largest boxes": pytest.approx(0.5),
        "IoU > 0.3, legacy-kth boxes": pytest.approx(0.4),
    }
    verdicts = {row.block: row.verdict for row in measured(table)}
    assert verdicts["IoU > 0.3, legacy-kth boxes"] == "inconclusive (1 of at least 3 seeds)"
    assert verdicts["IoU > 0.3, largest boxes"] is None  # the paper has no such row


def test_the_mean_over_boxes_is_weighted(tables, record, boxes):
    page = load_page("cxr-irnet-iou", tables)
    fe = next(row for row in build(page, []).rows if row.method == "FE")
    assert (fe.mean_printed, fe.mean) == (0.3014, pytest.approx(0.30136, abs=5e-6))
    settings = {"weighting": {"value": "none", "origin": "--set"}}
    label = "cxr-irnet[weighting=none]"
    metrics = boxes(0.25, "mean_iou", "oracle-size")
    run = record("cxr-irnet", label=label, hyperparameters=settings, metrics=metrics)
    (row,) = measured(build(page, [run]))
    assert row.mean == pytest.approx(0.25)
    assert row.block == "mean IoU, oracle-size boxes"


def test_label_policy_is_compared(tables, record):
    page = load_page("anatomy-xnet-chexpert", tables)
    cells = dict.fromkeys(page.columns, 0.89)
    for policy, verdict in [
        ({"uncertain": "u-zeros"}, "inconclusive (1 of at least 3 seeds)"),
        ({}, "not comparable (label policy: uncertain not stated, not u-zeros)"),
    ]:
        run = record("anatomy-xnet", cells, dataset={"name": "chexpert", "policy": policy})
        assert measured(build(page, [run]))[0].verdict == verdict


def test_counts_stand_beside_those_of_the_users_copy(tables, record):
    page = load_page("cxr-irnet-split", tables)
    counts = {
        "Hernia": {"train": 141, "test": 86, "box": 0},
        "Mass": {"train": 4034, "test": 1747, "box": 85},
    }
    table = build(page, [record(dataset={"counts": counts})])
    own = {row.method: row.verdict for row in table.rows if row.kind == "measured"}
    assert own == {"Hernia": "match", "Mass": "differs"}
    assert not any(row.bold for row in table.rows)


def test_what_auto_came_to_be_still_regenerates_the_printed_row():
    from harness.results.measured import matches

    record = {
        "kind": "measured",
        "method": "anaxnet",
        "label": "anaxnet[detector=torchvision]",
        "hyperparameters": {"detector": {"value": "torchvision", "origin": "default"}},
    }
    assert matches("anaxnet", record)
    record["hyperparameters"]["detector"]["origin"] = "command line"
    assert not matches("anaxnet", record)
