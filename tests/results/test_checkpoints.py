import hashlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.errors import RecordError
from harness.results.checkpoints import described


def test_a_pickle_is_hashed_and_never_run(tmp_path):
    path = tmp_path / "model.pth"
    content = b"cos\nsystem\n(S'touch ran'\ntR."
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    assert described(path) == {"file": "model.pth", "bytes": len(content), "sha256": digest}
    assert [each.name for each in tmp_path.iterdir()] == ["model.pth"]


def test_the_metadata_of_a_safetensors_file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": np.zeros(2)}, path, metadata={"trained on": "everything"})
    assert described(path)["metadata trained on"] == "everything"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(RecordError, match="no whole safetensors file"):
        described(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        described(tmp_path / "none.pth")
