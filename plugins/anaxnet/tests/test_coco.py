import pickle

import numpy as np
import pytest
import torch
from anaxnet.detectors import Architecture, build
from anaxnet.detectors.coco import PREDICTOR, convert, main, read_pickle
from safetensors.torch import load_file

from harness.errors import DataError


class Harmful:
    def __reduce__(self):
        return print, ("code has run",)


@pytest.fixture
def harness_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_come_back(tmp_path, protocol):
    arrays = {"backbone.w": np.arange(6, dtype=np.float32).reshape(2, 3), "pixel_mean": np.ones(3)}
    content = {"model": arrays, "__author__": "somebody"}
    read = read_pickle(write(tmp_path / "zoo.pkl", content, protocol))
    assert list(read) == ["backbone.w"]
    assert torch.equal(read["backbone.w"], torch.arange(6.0).view(2, 3))


def test_a_pickle_that_runs_code_is_refused_without_running_it(tmp_path, capsys):
    path = write(tmp_path / "evil.pkl", {"model": {"w": Harmful()}})
    with pytest.raises(DataError, match=r"evil\.pkl holds no detector weights .*print"):
        read_pickle(path)
    assert "code has run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"blobs": {}})])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="model zoo"):
        read_pickle(path)


def test_the_command_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["coco", str(tmp_path / "absent.pkl")])
    assert main() == 1
    assert "absent.pkl cannot be read" in capsys.readouterr().err


def test_a_model_zoo_file_fits_the_detectron2_detector(tmp_path, harness_home, detectron2):
    coco = build("detectron2", Architecture(regions=80, norm="frozen")).model.state_dict()
    arrays = {name: tensor.numpy() for name, tensor in coco.items()}
    arrays["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4))
    target = convert(write(tmp_path / "zoo.pkl", {"model": arrays, "__author__": "zoo"}))
    assert target.is_relative_to(harness_home)
    ours = build("detectron2", Architecture(regions=18, norm="frozen")).model
    given = {n: t for n, t in load_file(target).items() if not n.startswith(PREDICTOR)}
    missing, unexpected = ours.load_state_dict(given, strict=False)
    assert unexpected == []
    assert all(name.startswith(PREDICTOR) for name in missing)
