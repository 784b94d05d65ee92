import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from harness.errors import SettingError
from harness.results import terminal
from harness.results.pages import load_page
from harness.results.render import FORMATS, render, show
from harness.results.tables import build


@pytest.fixture
def table(tables, record):
    runs = [record(seed=seed, cells=0.79 + seed / 1000) for seed in range(3)]
    runs += [record("mine & yours_50%", budget="smoke"), record(dataset={"phantom": {}})]
    return build(load_page("nih-auc", tables), runs)


@pytest.mark.parametrize(
    ("number", "digits", "text"),
    [
        (0.8150, 4, ".8150"),
        (0.815, 2, ".81"),
        (1.0, 3, "1.000"),
        (0.0, 2, ".00"),
        (53970, 0, "53,970"),
        (0, 0, "0"),
        (None, 4, "-"),
        (0.99996, 4, "1.0000"),
    ],
)
def test_numbers(number, digits, text):
    assert show(number, digits) == text


def test_unknown_formats_are_named():
    with pytest.raises(SettingError, match="Formats: terminal, md, latex, csv, html, json"):
        render(None, "pdf")


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_no_line_of_the_terminal_form_is_cut(table, width):
    text = terminal.text(table, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for head in table.heads:
        assert re.search(rf"\s{head}\s", text)


def test_a_narrow_terminal_splits_the_classes_and_a_wide_one_does_not(table):
    block = "official split"
    wide, narrow = (terminal.text(table, width).split("── ")[1] for width in (120, 80))
    assert wide.startswith(block)
    assert wide.count("  Method ") == 1
    assert narrow.count("  Method ") == 2


@pytest.mark.parametrize("width", [80, 200])
def test_brackets_in_a_label_are_text_everywhere(tables, record, width):
    label = "mine[size=128]"
    device = {"kind": "cuda", "name": "GPU[red]"}
    runs = record("mine", label=label, device=device, hyperparameters={})
    text = terminal.text(build(load_page("nih-auc", tables), [runs]), width)
    assert text.count(label) == (2 if width == 200 else 3)  # a narrow one has two grids
    assert "GPU[red]" in text


def test_every_cell_is_in_every_form(table):
    row = next(row for row in table.rows if row.method == "Anatomy X-Net")
    for format in ("md", "latex", "html"):
        text = render(table, format)
        for value in row.cells.values():
            assert show(value, 4) in text
        assert "space-attention" in text
        assert "phantom data" in text


def test_csv_comes_back(table):
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert len(rows) == len(table.rows)
    for found, row in zip(rows, table.rows, strict=True):
        assert found["method"] == row.method
        assert found["block"] == row.block
        for column, value in row.cells.items():
            assert (float(found[column]) if found[column] else None) == value


def test_json_is_the_form_itself(table):
    found = json.loads(render(table, "json"))
    assert found["name"] == "nih-auc"
    assert [row["method"] for row in found["rows"]] == [row.method for row in table.rows]


def test_markdown_has_one_grid_per_block_of_even_width(table):
    text = render(table, "md")
    assert text.count("\n## ") == len(table.blocks())
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "*space-attention* (measured)" in text
    assert re.search(r"Luo et al\..*\*\*\.8349\*\*", text)


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.rows = [], 0

    def handle_starttag(self, tag, attrs):
        self.rows += tag == "tr"
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_well_formed_and_escaped(table):
    text = render(table, "html")
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.rows == len(table.rows) + len(table.blocks())
    assert "mine &amp; yours_50%" in text
    assert not re.search(r"(src|href)=", text)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_the_latex_of_every_table_compiles(tables, table, tmp_path):
    found = [table] + [build(load_page(name, tables), []) for name in tables]
    for each in found:
        (tmp_path / f"{each.name}.tex").write_text(render(each, "latex"))
    inputs = "\n".join(f"\\input{{{each.name}}}\\clearpage" for each in found)
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx}\n"
    (tmp_path / "all.tex").write_text(f"{head}\\begin{{document}}\n{inputs}\n\\end{{document}}\n")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


def test_all_tables_in_all_formats(tables):
    for name in tables:
        table = build(load_page(name, tables), [])
        for format in FORMATS:
            assert render(table, format).strip()
