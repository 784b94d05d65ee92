import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from harness import plugins
from harness.cli import audit, table
from harness.results.records import write_record


@pytest.fixture
def harness(tables, monkeypatch):
    """Run a command line with the tables of this repository."""

    monkeypatch.setattr(plugins, "tables", lambda: tables)
    app = typer.Typer()
    table.register(app)
    audit.register(app)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_table_as_json(harness, tmp_path, record):
    write_record(tmp_path, record())
    found = harness("table", "nih-auc", "--json", "--results", tmp_path)
    assert found.exit_code == 0
    kinds = [row["kind"] for row in json.loads(found.output)["rows"]]
    assert kinds.count("measured") == 3  # one run, two rows that are not run yet


def test_table_finds_records_where_all_verbs_do(harness, tmp_path, record):
    write_record(tmp_path / "results", record())  # HARNESS_RESULTS of every test
    kinds = [
        row["kind"] for row in json.loads(harness("table", "nih-auc", "--json").output)["rows"]
    ]
    assert kinds.count("measured") == 3


def test_table_on_a_terminal(harness, tmp_path):
    found = harness("table", "anaxnet-auc", "--results", tmp_path)
    assert found.exit_code == 0
    assert "AnaXNet, Table 3" in found.output


@pytest.mark.parametrize("words", [["nih-auc", "--format", "pdf"], ["no-such-table"]])
def test_wrong_words_end_in_a_message(harness, tmp_path, words):
    found = harness("table", *words, "--results", tmp_path)
    assert found.exit_code != 0
    assert "called" in str(found.exception)


def test_audit_of_all_tables_and_of_one(harness):
    everything = json.loads(harness("audit", "table", "--json").output)
    assert len({finding["table"] for finding in everything}) >= 8
    one = harness("audit", "table", "anatomy-xnet-chexpert")
    assert one.exit_code == 0
    assert "its cells give 0.8920" in one.output
    assert {
        f["table"] for f in json.loads(harness("audit", "table", "dm-auc", "--json").output)
    } == {"dm-auc"}


def test_results_never_import_torch():
    code = (
        "import sys; import harness.results.tables, harness.results.audit, harness.results.latex;"
        "import harness.results.terminal, harness.results.records, harness.cli.table;"
        "import harness.cli.audit; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
