import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))  # engine_toys, which the programs import as well


@pytest.fixture(autouse=True)
def _one_thread():
    """Bitwise equality is promised for equal thread counts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
