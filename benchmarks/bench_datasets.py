"""Scene graphs parsed and radiographs decoded, on one core.

Run with ``pytest benchmarks/bench_datasets.py --benchmark-only``.
"""

import json
import zlib

import cv2
import numpy as np
import pytest
from cxr_datasets.archives import Folder
from cxr_datasets.imagenome import LABELS, REGIONS
from cxr_datasets.imagenome_layout import ids, scene_graph
from cxr_datasets.scene_graphs import SUFFIX, Vocabulary, parse_chunk

from harness import PhantomSettings, draw
from harness.data.images import decode
from harness.data.phantom import describe

GRAPHS = 300


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """Graphs of a size that the release's could have: all 36 regions, and comparisons."""
    folder, settings, images = tmp_path_factory.mktemp("graphs"), PhantomSettings(), []
    for index in range(GRAPHS):
        film = describe(settings, index)
        graph = scene_graph(film, settings.size)
        for name in REGIONS[18:]:
            graph["objects"].append({**graph["objects"][0], "bbox_name": name, "name": name})
        graph["relationships"] = [
            {"relationship_id": f"{k}", "predicate": "['No status change']", "subject_id": f"{k}",
             "object_id": f"{k}", "attributes": ["anatomicalfinding|yes|lung opacity"],
             "phrase": "A drawn sentence that compares with an earlier film."}
            for k in range(10)
        ]  # fmt: skip
        images.append(ids(film)[2])
        (folder / f"{images[-1]}{SUFFIX}").write_text(json.dumps(graph))
    return Folder(folder, SUFFIX), images


def test_scene_graphs(benchmark, graphs):
    source, images = graphs
    size = sum((source.path / f"{image}{SUFFIX}").stat().st_size for image in images)
    vocabulary = Vocabulary(REGIONS[:18], LABELS, "last_wins")
    benchmark(parse_chunk, source, vocabulary, images)
    rate = GRAPHS / benchmark.stats["mean"]
    benchmark.extra_info |= {"graphs/s": round(rate), "bytes a graph": size // GRAPHS}


@pytest.fixture(scope="module")
def film():
    image = cv2.resize(draw(PhantomSettings(size=512), 3).image, (1024, 1024))
    return cv2.imencode(".png", image)[1].tobytes()


def test_decoding_with_its_checks(benchmark, film):
    benchmark(decode, film, "film")


def test_the_decoder_alone(benchmark, film):
    benchmark(cv2.imdecode, np.frombuffer(film, np.uint8), cv2.IMREAD_UNCHANGED)


def test_checksums_alone(benchmark, film):
    benchmark(zlib.crc32, film)
