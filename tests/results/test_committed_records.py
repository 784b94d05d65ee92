"""The tables of results/README.md say what the records beside it say."""

import importlib.util
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def tables():
    """Everything of results/tables.py."""
    spec = importlib.util.spec_from_file_location("committed_tables", RESULTS / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stand_in_the_readme(tables):
    """Return how many rows there are, after each table was found."""
    readme = (RESULTS / "README.md").read_text(encoding="utf-8")
    found = list(tables)
    for table in found:
        assert table in readme, f"results/README.md has not this table of its records:\n{table}"
    return sum(table.count("\n|") - 1 for table in found)


def test_tables_of_records(tables):
    assert stand_in_the_readme(tables.from_records()) == 79


@pytest.mark.slow
def test_tables_of_predictions(tables):
    assert stand_in_the_readme(tables.from_predictions()) == 29
