"""Every dataset, as phantoms in its layout, keeps to what the harness asks of datasets."""

import tempfile
from functools import cache, partial
from pathlib import Path

from cxr_datasets.chexpert import CheXpert
from cxr_datasets.imagenome import ImaGenome
from cxr_datasets.jsrt import JSRT
from cxr_datasets.nih import NIH

from harness.testing import dataset_conformance


@cache
def _folder():
    return tempfile.TemporaryDirectory()


@cache
def root_of(kind, images):
    root = Path(_folder().name) / kind.name
    kind.write_phantoms(root, images, {"size": 64, "enrich": 0.5})
    return root


def phantoms(kind, images, **options):
    return partial(lambda: kind(root_of(kind, images), **options))


@dataset_conformance(
    phantoms(NIH, 40),
    phantoms(CheXpert, 40, uncertain="ignore", blank="unknown"),
    phantoms(ImaGenome, 40),
    phantoms(ImaGenome, 40, regions="36", rule="any_yes"),
    phantoms(JSRT, 10, test_fold="1"),
)
def test_conformance(check):
    check()
