"""Two processes give what one gives with the same global batch; no image is lost or seen twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import two_ranks
from engine_toys import samples
from safetensors.torch import load_file

import harness

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two ranks have at the end."""
    folder = tmp_path_factory.mktemp("ranks")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = [str(Path(harness.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    launched = subprocess.Popen(
        [sys.executable, *launcher, str(HERE / "two_ranks.py"), str(folder)],
        env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        _, error = launched.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        os.killpg(launched.pid, signal.SIGKILL)
        raise
    assert launched.returncode == 0, error[-4000:]
    return [load_file(folder / f"{rank}.safetensors") for rank in (0, 1)]


def part(found, name):
    return {k.partition("/")[2]: v for k, v in found.items() if k.partition("/")[0] == name}


@pytest.mark.parametrize("name", [name for name in two_ranks.STAGES if name != "batchnorm"])
def test_the_weights_of_one_process(name, ranks, tmp_path):
    alone = two_ranks.trained(name, tmp_path)
    untrained = two_ranks.stage_of(**two_ranks.STAGES[name])[0].network.state_dict()
    for key, value in part(ranks[0], name).items():
        torch.testing.assert_close(value, alone[key], rtol=1e-4, atol=2e-6)
        if key in untrained:
            assert (value - untrained[key]).abs().max() > 1e-3  # far more than what may differ


@pytest.mark.parametrize("name", [*two_ranks.STAGES, "toy"])
def test_equal_weights_on_both_ranks(name, ranks):
    first, second = (part(found, name) for found in ranks)
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def test_stopped_in_an_epoch_and_begun_again(ranks):
    for found in ranks:
        for key, value in part(found, "uneven").items():
            assert torch.equal(value, part(found, "resumed")[key]), key


@pytest.mark.parametrize("count", two_ranks.COUNTS)
def test_every_image_is_predicted_once(count, ranks):
    first, second = (part(found, f"predict-{count}") for found in ranks)
    seen = sorted(first["seen"].tolist() + second["seen"].tolist())
    assert seen == list(range(count))
    images = samples(count).images(np.arange(count))
    for found in (first, second):
        expected = torch.from_numpy(images).float().div(255)
        torch.testing.assert_close(found["scores"][:, 0], expected.mean((1, 2)))
        torch.testing.assert_close(found["maps"][:, 0], expected[::2], rtol=0, atol=1e-3)
