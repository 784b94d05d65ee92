"""What only a process of its own shows: what is imported, how fast, exit codes, several devices."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import harness

HERE = Path(__file__).parent
REPO = Path(harness.__file__).parents[1]
TOY = ("--device", "cpu", "--plugin", "toy", "--dataset", "toyset")


def environment(**more):
    paths = [str(REPO), str(HERE / "toy_plugin"), os.environ.get("PYTHONPATH", "")]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {
        **os.environ, "PYTHONPATH": os.pathsep.join(paths), "HARNESS_PLUGINS": "toy",
        **threads, **more,
    }  # fmt: skip


def start(*words, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *words], env=environment(**more), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE, start_new_session=True,
    )  # fmt: skip


def finish(process):
    out, error = process.communicate(timeout=200)
    return process.returncode, out, error


@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "--json"], ["run", "--help"]])
def test_light_commands_import_nothing_heavy(words):
    program = (
        f"import sys; sys.argv = ['harness', *{words!r}]\n"
        "from harness.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True
    )
    assert done.stdout, done.stderr
    heavy = {"torch", "torchvision", "numpy", "scipy", "cv2", "toy_plugin.model", "rich.progress"}
    assert not heavy & set(done.stderr.split())


@pytest.mark.parametrize("word", ["--help", "list"])
def test_light_commands_are_fast(word):
    """User and system time of the best of some, so that a busy machine does not matter."""
    times = []
    while min(times, default=1.0) >= 0.3 and len(times) < 15:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert finish(start(word))[0] == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(times) < 0.3, times


def test_list_shows_the_plugin_and_only_it():
    code, out, _ = finish(start("list", "--json"))
    plugins = json.loads(out)["plugins"]
    assert [plugin["name"] for plugin in plugins] == ["harness", "toy"]
    assert code == 0
    assert plugins[1] == {
        "name": "toy",
        "version": "1.0",
        "origin": "toy-plugin",
        "datasets": ["toyset"],
        "models": ["toy", "toy-broken", "toy-deep"],
        "metrics": [],
        "tables": ["toy-auc"],
    }


def test_an_error_is_one_message_on_stderr_and_exit_code_1():
    code, out, error = finish(start("run", *TOY, "--set", "rat=1"))
    assert (code, out) == (1, "")
    assert error.startswith("error: toy has no setting 'rat'")
    assert "Traceback" not in error


LONG = ("run", *TOY, "--data", "images=240", "--set", "epochs=200", "--set", "batch_size=2")


def wait_for(pattern, folder, process, seconds=120):
    """Wait until a file is there."""
    until = time.monotonic() + seconds
    while not list(folder.rglob(pattern)):
        assert time.monotonic() < until, "nothing happened"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("kind", "expected"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)]
)
def test_a_run_that_is_told_to_end_goes_on_later(kind, expected, own_home):
    """A scheduler is asked to try again; Ctrl-C has the exit code that shells expect."""
    process = start(*LONG)
    wait_for("checkpoint.safetensors", own_home, process)
    process.send_signal(kind)
    code, out, error = finish(process)
    assert (code, out) == (expected, ""), error
    last = error.splitlines()[-1]
    assert last.startswith("stopped in stage 'classifier', epoch")
    assert last.endswith("the same command goes on from the last checkpoint")
    assert error.count("stopped") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(("kind", "expected"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_run_that_is_told_to_end_while_it_decodes(kind, expected, own_home, tmp_path):
    words = ("run", *TOY, "--set", "epochs=1", "--data", "seconds={}")
    slow = [word.format(0.2) for word in words]
    process = start(*slow)
    wait_for("images.u8", own_home, process)
    process.send_signal(kind)
    code, out, error = finish(process)
    assert (code, out) == (expected, ""), error
    assert error.splitlines()[-1].startswith("stopped; nothing is left half-written")
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.tmp"))
    code, _, error = finish(start(*(word.format(0) for word in words)))
    assert code == 0, error


def test_ctrl_c_while_processes_draw(tmp_path):
    """A terminal sends it to every process; none of them says anything but the first."""
    if not entry_points(group="harness", name="cxr_datasets"):
        pytest.skip("the plugin cxr_datasets is not installed")
    words = ("data", "phantom", "nih", "--out", str(tmp_path / "new"), "--images", "20000")
    process = start(*words, HARNESS_PLUGINS="cxr_datasets")
    wait_for("*.png", tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)
    code, out, error = finish(process)
    assert (code, out) == (130, ""), error
    assert error.splitlines()[-1].startswith("stopped; nothing is left half-written")
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "expected"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_run_on_several_devices_is_told_to_end(kind, expected, own_home):
    process = start(*LONG, "--devices", "2")
    wait_for("checkpoint.safetensors", own_home, process)
    process.send_signal(kind)
    code, _, error = finish(process)
    assert code == expected, error[-3000:]
    assert error.count("stopped in stage") == 1
    assert "Traceback" not in error
    (checkpoint,) = (own_home / "stages").rglob("checkpoint.safetensors")
    seen = checkpoint.stat().st_mtime_ns
    time.sleep(2)
    assert checkpoint.stat().st_mtime_ns == seen, "a process goes on"


def test_two_devices(tmp_path):
    """A whole run on two ranks: one record, printed once, each test image once."""
    code, out, error = finish(start("run", *TOY, "--set", "epochs=1", "--devices", "2", "--json"))
    assert code == 0, error[-3000:]
    (record,) = json.loads(out)
    assert "arning" not in error, "torch speaks to its developers"
    assert record["identity"]["ranks"] == 2
    counts = record["dataset"]["counts"]
    assert [counts[split] for split in ("train", "validation", "test")] == [20, 20, 20]
    assert sum(record["metrics"]["auroc"]["classes"][c]["images"] for c in ("Mass", "Nodule")) == 40
    assert len(list((tmp_path / "results").rglob("record.json"))) == 1


def test_an_error_on_several_devices_is_told_once():
    code, _, error = finish(start("run", *TOY, "--set", "scale=nan", "--devices", "2"))
    assert code == 1
    assert error.count("error: stage 'classifier': the loss bce is not finite") == 1
    assert error.count("rank 1: stage 'classifier': the loss bce is not finite") <= 1
    assert "Traceback" not in error


def test_what_the_first_process_alone_finds_is_told_once():
    words = ("--set", "weights=ResNet18_Weights.DEFAULT", "--devices", "2")
    code, _, error = finish(start("run", *TOY, *words))
    assert code == 1
    assert error.count("error: ResNet18_Weights.DEFAULT changes with torchvision's version") == 1
    assert "rank 1: another process of this run has ended" in error
    assert "Traceback" not in error
