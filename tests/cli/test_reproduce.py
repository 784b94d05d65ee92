"""A table's runs: each once, what failed told at the end, what is recorded left alone."""

import json
import os
import signal
from pathlib import Path

import pytest

from harness.cli.reproduce import DISTRIBUTIONS, not_offered
from harness.engine import run as engine
from harness.errors import Interrupted
from harness.plugins import registry

SMOKE = ("reproduce", "toy-auc", "--device", "cpu", "--budget", "smoke")
PLAN = (*SMOKE, "--plan", "--json")


def records():
    return sorted(Path(os.environ["HARNESS_RESULTS"]).rglob("record.json"))


def read(path):
    return json.loads(path.read_text())


def test_every_row_is_run_and_what_fails_is_told_at_the_end(harness):
    ended = harness(*SMOKE)
    assert ended.code == 1
    labels = [(read(path)["label"], read(path)["seed"]) for path in records()]
    assert sorted(labels) == [("toy", 0), ("toy-deep", 0)]  # toy[pool=mean] is toy
    told = [line for line in ended.error.splitlines() if line.startswith("error: ")]
    assert len(told) == 2
    assert told[0].startswith("error: not run: toy-broken: 'toy-broken' of ")
    assert told[1] == (
        "error: not run: dcnn: no installed plugin offers dcnn: pip install cxr-harness-baselines"
    )
    assert "Deep Toy" in ended.out
    assert "smoke budget" in ended.out


def test_what_has_its_record_is_not_run_again(harness, monkeypatch):
    harness(*SMOKE)
    before = {path: path.stat().st_mtime_ns for path in records()}
    with monkeypatch.context() as patched:
        patched.setattr(engine, "run", lambda *arguments: pytest.fail("it ran again"))
        ended = harness(*SMOKE)
    assert "toy: complete, not run again: seed 0" in ended.error
    assert "toy-deep: complete, not run again: seed 0" in ended.error
    ended = harness(*SMOKE, "--seeds", "2")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sorted(read(path)["seed"] for path in records()) == [0, 0, 1, 1]
    harness(*SMOKE, "--fresh")
    after = {path: path.stat().st_mtime_ns for path in records()}
    assert sum(after[path] != before[path] for path in before) == 2
    for other in (("--recipe", "common"), ("--data", "images=66"), ("--with", "toyset")):
        count = len(records())
        assert "not run again" not in harness(*SMOKE, *other).error
        assert len(records()) == count + 2
        assert harness(*SMOKE, *other).error.count("not run again") == 2


def test_a_mistake_in_one_method_does_not_cost_the_others(harness, monkeypatch):
    run = engine.run

    def clumsy(order, seeds, results):
        if order.method.name == "toy":
            raise ZeroDivisionError("of a plugin")
        return run(order, seeds, results)

    with monkeypatch.context() as patched:
        patched.setattr(engine, "run", clumsy)
        ended = harness(*SMOKE)
    assert ended.code == 1
    assert "Traceback" in ended.error, "where the mistake is must be said"
    assert "error: not run: toy: ZeroDivisionError: of a plugin" in ended.error
    assert [read(path)["label"] for path in records()] == ["toy-deep"]


def test_an_interruption_ends_everything(harness, monkeypatch):
    def interrupted(order, seeds, results):
        raise Interrupted("stopped", signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(engine, "run", interrupted)
        ended = harness(*SMOKE)
    assert ended.code == 75
    assert ended.error.endswith("stopped\n")


def test_a_plan_counts_what_is_shared_once(harness, own_home):
    plan = json.loads(harness(*PLAN, "--seeds", "2").out)
    toy, deep = plan["runs"]
    assert (toy["method"], deep["method"]) == ("toy", "toy-deep")
    assert (toy["seeds"], toy["complete"]) == ([0, 1], [])
    assert toy["steps"][0]["digest"] == deep["steps"][0]["digest"]
    assert [step["shared_with"] for step in deep["steps"]] == ["toy", None]
    own = toy["steps"][0]["bytes"] + deep["steps"][1]["bytes"]
    assert plan["bytes"] == 2 * own + plan["store_bytes"]
    assert plan["device_seconds"] is None, "nothing was measured"
    assert set(plan["not_possible"]) == {"toy-broken", "dcnn"}
    assert not (own_home / "stages").exists()
    said = harness(*SMOKE, "--plan")
    assert said.out.count("classifier") == 2  # a step of toy, and what toy-deep shares
    assert "shared with toy: classifier" in said.out
    assert "nothing is known; unknown, at least in part: toy, toy-deep;" in said.out


def test_a_plan_knows_records_and_what_was_measured(harness):
    words = ("--data", "images=600")  # more batches than the warm-up leaves out
    harness(*SMOKE, *words)
    plan = json.loads(harness(*PLAN, *words).out)
    assert [(run["seeds"], run["complete"]) for run in plan["runs"]] == [([], [0])] * 2
    assert plan["bytes"] == plan["device_seconds"] == 0
    toy, deep = json.loads(harness(*PLAN, *words, "--seed", "1").out)["runs"]
    (record,) = [read(path) for path in records() if read(path)["label"] == "toy"]
    (stage,) = record["stages"]
    beside = stage["seconds"]["validation"] + stage["seconds"]["checkpoint"]
    expected = 200 * 2 / stage["images_per_second"] + beside
    assert toy["steps"][0]["device_seconds"] == pytest.approx(expected)
    assert toy["device_seconds"] > expected  # and the test images
    assert deep["steps"][0]["device_seconds"] == 0.0
    bigger = json.loads(harness(*PLAN, *words, "--precision", "bf16").out)
    assert bigger["device_seconds"] is None, "measured in another precision"


def test_a_done_run_is_shared_only_while_its_stages_are_here(harness, own_home):
    harness("run", "--device", "cpu", "--plugin", "toy", "--dataset", "toyset", "--budget", "smoke")
    toy, deep = json.loads(harness(*PLAN).out)["runs"]
    assert (toy["complete"], deep["steps"][0]["shared_with"]) == ([0], "toy")
    for stage in (own_home / "stages").glob("*.lock"):
        stage.with_suffix("").rename(own_home / f"gone-{stage.stem}")
    _, deep = json.loads(harness(*PLAN).out)["runs"]
    assert deep["steps"][0]["shared_with"] is None


def test_unknown_tables_and_recipes_are_one_message(refused):
    assert "No table is called 'toy-acu'" in refused("reproduce", "toy-acu")
    assert "no such recipe: 'mine'" in refused(*SMOKE[:2], "--recipe", "mine")


def test_what_to_install_is_true():
    plugins = {plugin.origin: plugin for plugin in registry().plugins}
    for distribution, names in DISTRIBUTIONS.items():
        if distribution not in plugins:
            pytest.skip(f"{distribution} is not installed")
        offers = plugins[distribution].offers
        assert names <= set(offers["models"]) | set(offers["tables"])
    assert not_offered("mine") == "no installed plugin offers mine"
