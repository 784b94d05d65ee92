"""The tables of results/README.md say what the records beside it say."""

import importlib.util
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def tables():
    """The tables as results/tables.py prints them."""
    spec = importlib.util.spec_from_file_location("committed_tables", RESULTS / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.tables())


def test_every_table_stands_in_the_readme(tables):
    readme = (RESULTS / "README.md").read_text(encoding="utf-8")
    for table in tables:
        assert table in readme, f"results/README.md has not this table of its records:\n{table}"
    assert sum(table.count("\n|") - 1 for table in tables) == 103
