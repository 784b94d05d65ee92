import sys

import pytest

from harness.errors import RecordError
from harness.results.pages import load_page

PAGE = """
name = "a-table"
title = "A table"
paper = "A paper"
citation = "Table 1"
dataset = "nih"
metric = "auroc"
columns = ["Mass", "Nodule"]
[[rows]]
method = "A"
cells = "{cells}"
"""


@pytest.fixture
def offer(tmp_path, monkeypatch):
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "somewhere" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        (tmp_path / "somewhere" / "a.toml").write_text(text)
        return {"a-table": "somewhere:a.toml"}

    yield write
    sys.modules.pop("somewhere", None)


def test_cells_keep_their_digits(offer):
    row = load_page("a-table", offer(PAGE.format(cells="0.70 0.80 | 0.750"))).rows[0]
    assert (row.cells, row.mean) == ({"Mass": "0.70", "Nodule": "0.80"}, "0.750")


def test_what_is_not_printed_and_what_is_lost_are_missing_cells(offer):
    row = load_page("a-table", offer(PAGE.format(cells="- ? | ?"))).rows[0]
    assert row.cells == {"Mass": None, "Nodule": None}
    assert row.lost == ("Nodule", "mean")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PAGE.format(cells="0.70 | 0.75"), "row 'A'  has 1 cells for 2 columns"),
        (PAGE.format(cells="0.70 0.8O"), "'0.8O' is not a number"),
        (PAGE.replace("a-table", "other"), "its name is 'other', offered as 'a-table'"),
        (PAGE.replace('title = "A table"', ""), "the key 'title' is missing"),
        ("name =", "is not valid toml"),
    ],
)
def test_a_broken_file_is_named(offer, text, message):
    with pytest.raises(RecordError, match=message) as error:
        load_page("a-table", offer(text))
    assert "somewhere:a.toml" in str(error.value)


def test_unknown_names_and_missing_files_are_named(offer):
    with pytest.raises(RecordError, match=r"No table is called 'b'\. Tables: a-table\."):
        load_page("b", offer(PAGE))
    with pytest.raises(RecordError, match=r"absent:a\.toml cannot be read"):
        load_page("b", {"b": "absent:a.toml"})


def test_all_tables_load(tables):
    rows = {name: load_page(name, tables).rows for name in tables}
    assert len(rows) == 21
    assert all(rows.values())


def test_nih_auc_gathers_four_papers_in_nih_order(tables):
    page = load_page("nih-auc", tables)
    assert page.columns[:3] == ("Atelectasis", "Cardiomegaly", "Effusion")
    rows = {(row.method, row.page): row for row in page.rows}
    own = rows["Anatomy X-Net", "anatomy-xnet-nih"]
    assert list(own.cells.values())[:3] == ["0.8150", "0.9080", "0.8803"]
    assert {row.page for row in page.rows} == {
        "anatomy-xnet-nih",
        "dm-auc",
        "attention-auc",
        "cxr-irnet-auc",
    }


def test_a_row_that_two_papers_quote_alike_stands_once_with_both(tables):
    page = load_page("nih-auc", tables)
    sdfn = [row for row in page.rows if row.method == "SDFN"]
    assert len(sdfn) == 1
    assert sdfn[0].source == (
        "Anatomy X-Net Table II [34] and CXR-IRNet Table 2 [21], quoting Liu 2019 (SDFN)"
    )


def test_a_missing_plugin_is_told(tables):
    some = {name: tables[name] for name in ("nih-auc", "dm-auc")}
    page = load_page("nih-auc", some)
    assert {row.page for row in page.rows} == {"dm-auc"}
    assert sum("is not installed: its rows are absent" in note for note in page.notes) == 3
