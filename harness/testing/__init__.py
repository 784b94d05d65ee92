"""The conformance kit: one decorator line in a plugin's tests runs every check.

from harness.testing import conformance

@conformance(MyModel(size=64, epochs=1), MyModel(size=64, epochs=1, pool="max"))
def test_conformance(check):
check()
"""

from harness.testing.datasets import dataset_conformance
from harness.testing.kit import conformance

__all__ = ["conformance", "dataset_conformance"]
