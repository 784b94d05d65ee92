"""Chest ImaGenome: phantoms written and read back, the two rules, known defects, broken graphs."""

import gzip
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cxr_datasets import scene_graphs
from cxr_datasets.archives import Folder
from cxr_datasets.imagenome import LABELS, OFFICIAL, REGIONS, ImaGenome
from cxr_datasets.imagenome_layout import MIMIC, SILVER, ids
from cxr_datasets.scene_graphs import SUFFIX, Vocabulary, parse_chunk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import DataError, PhantomSettings, draw
from harness.data.phantom import LABELS9
from harness.data.phantom import REGIONS as DRAWN_REGIONS

IMAGES = 60
SWITCHES = {"size": 64, "enrich": 0.5, "seed": 1}


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms") / "imagenome"
    ImaGenome.write_phantoms(root, IMAGES, SWITCHES)
    return root


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may break."""
    return Path(shutil.copytree(written, tmp_path / "imagenome"))


def graph_path(root, image):
    return root / SILVER / "scene_graph" / f"{image}{SUFFIX}"


def change(root, image, edit):
    path = graph_path(root, image)
    graph = json.loads(path.read_text())
    edit(graph)
    path.write_text(json.dumps(graph))


def first_image(root, part="train"):
    return (root / SILVER / "splits" / f"{part}.csv").read_text().splitlines()[1].split(",")[3]


def fact(dataset, what):
    return next(found for name, found, _ in dataset.facts() if name == what)


@pytest.mark.parametrize("rule", ["last_wins", "any_yes"])
def test_round_trip(written, rule):
    dataset = ImaGenome(written, rule=rule)
    assert (REGIONS[:18], LABELS) == (DRAWN_REGIONS, LABELS9)
    row_of = {name: row for row, name in enumerate(dataset.samples.names.tolist())}
    assert len(row_of) == IMAGES
    boxes, labels = dataset.samples.column("region_boxes"), dataset.samples.column("region_labels")
    for index in range(IMAGES):
        drawing = draw(PhantomSettings(**SWITCHES), index)
        row = row_of[ids(drawing)[2]]
        assert np.array_equal(boxes[row], np.rint(drawing.regions))
        assert np.array_equal(labels[row], drawing.region_labels)
        assert np.array_equal(dataset.samples.labels[row], drawing.region_labels.any(0))
        age, male, view = dataset.samples.column("metadata")[row]
        assert (age, male) == (drawing.age // 10 * 10 + 5, drawing.sex == "M")
        assert view == (drawing.view == "AP")
        assert dataset.samples.patients[row] == ids(drawing)[0]
        image = dataset.read(row).astype(int)
        assert np.abs(image - drawing.image).mean() < 5  # JPEG
    assert labels.sum() > 100
    assert dataset.phantom["seed"] == 1
    assert ImaGenome.credentialed


def test_sentences_by_hand(root):
    image = first_image(root)

    def edit(graph):
        graph["attributes"] = [
            {
                "bbox_name": "left lung",
                "attributes": [
                    ["anatomicalfinding|yes|lung opacity", "nlp|yes|abnormal"],
                    ["disease|yes|pneumonia", "anatomicalfinding|no|lung opacity"],
                ],
            },
            {"bbox_name": "left lung", "attributes": [["anatomicalfinding|no|atelectasis"]]},
            {"bbox_name": "neck", "attributes": [["anatomicalfinding|yes|atelectasis"]]},
            {"bbox_name": "trachea", "attributes": [["disease|yes|consolidation"]]},
        ]

    change(root, image, edit)
    found = {}
    for rule in ("last_wins", "any_yes"):
        dataset = ImaGenome(root, rule=rule)
        row = dataset.samples.names.tolist().index(image)
        labels = dataset.samples.column("region_labels")[row]
        found[rule] = {(REGIONS[r], LABELS[k]) for r, k in zip(*np.nonzero(labels), strict=True)}
        assert set(np.flatnonzero(dataset.samples.labels[row])) == {
            LABELS.index(label) for _, label in found[rule]
        }
    certain = {("left lung", "pneumonia"), ("trachea", "consolidation")}
    assert found == {"last_wins": certain, "any_yes": certain | {("left lung", "lung opacity")}}


def corners(entry, *values):
    keys = ("original_x1", "original_y1", "original_x2", "original_y2")
    return {**entry, **dict(zip(keys, values, strict=True))}


def test_known_defects_are_repaired_or_left_out_and_counted(root):
    image = first_image(root)

    def edit(graph):
        named = {entry["bbox_name"]: entry for entry in graph["objects"]}
        graph["objects"] = [
            corners(named["left lung"], 10, 12, 30, 40),
            corners(named["left lung"], 8, 15, 20, 50),
            corners(named["right lung"], -5, 3, 20, 90),
            corners(named["trachea"], 30, 30, 30, 40),
            corners(named["mediastinum"], 70, 10, 80, 20),
            corners(named["cardiac silhouette"], None, 1, 2, 3),
        ]

    change(root, image, edit)
    dataset = ImaGenome(root)
    row = dataset.samples.names.tolist().index(image)
    boxes = dataset.samples.column("region_boxes")[row]
    assert boxes[REGIONS.index("left lung")].tolist() == [8, 12, 30, 50]
    assert boxes[REGIONS.index("right lung")].tolist() == [0, 3, 20, 64]
    assert np.isnan(np.delete(boxes, [0, 7], axis=0)).all()
    assert fact(dataset, "boxes joined with another of the same region") == "1"
    assert fact(dataset, "boxes cut at the image's border") == "1"
    assert fact(dataset, "boxes without area in the image") == "2"
    assert fact(dataset, "boxes without four numbers") == "1"
    assert fact(dataset, "regions without a box") == "14"


def test_images_to_avoid_leave_training_and_validation(root):
    splits = root / SILVER / "splits"
    path = splits / "images_to_avoid.csv"
    chosen = []
    for part in ("train", "valid", "test"):
        _, subject, study, dicom, place, view = (
            (splits / f"{part}.csv").read_text().splitlines()[1].split(",")
        )
        chosen.append(dicom)
        path.write_text(path.read_text() + f"{subject},{study},{dicom},{place},{view}\n")
    dataset = ImaGenome(root)
    assert set(chosen) & set(dataset.samples.names.tolist()) == {chosen[2]}
    assert fact(dataset, "images to avoid in train.csv") == "1"
    assert fact(dataset, "images to avoid in test.csv") == "0"


def test_missing_graphs_are_counted_up_to_the_number_of_the_release(root):
    graphs = sorted((root / SILVER / "scene_graph").iterdir())
    graphs[0].unlink()
    dataset = ImaGenome(root)
    assert len(dataset.samples) == IMAGES - 1
    assert fact(dataset, "images without scene graph") == "1"
    for path in graphs[1:26]:
        path.unlink()
    with pytest.raises(DataError, match=r"26 listed images have no scene graph .* unpack"):
        ImaGenome(root)


@pytest.mark.parametrize("layout", ["zip", "nested", "flat root"])
def test_other_layouts_read_the_same(written, root, layout):
    folder = root / SILVER / "scene_graph"
    if layout == "zip":
        with zipfile.ZipFile(root / SILVER / "scene_graph.zip", "w") as archive:
            for path in folder.iterdir():
                archive.write(path, f"scene_graph/{path.name}")
        shutil.rmtree(folder)
    elif layout == "nested":
        folder.rename(root / "moved")
        folder.mkdir()
        (root / "moved").rename(folder / "scene_graph")
    else:
        (root / SILVER).rename(root / "silver_dataset")
        for path in (root / MIMIC).iterdir():
            path.rename(root / path.name)
    one, other = ImaGenome(written), ImaGenome(root)
    assert one.samples.fingerprint == other.samples.fingerprint
    assert np.array_equal(one.read(3), other.read(3))


def test_images_may_lie_elsewhere(written, root, tmp_path):
    (root / MIMIC).rename(tmp_path / "mimic")
    with pytest.raises(DataError, match="no folder files"):
        ImaGenome(root)
    dataset = ImaGenome(root, images=str(tmp_path / "mimic"))
    assert np.array_equal(dataset.read(0), ImaGenome(written).read(0))


def test_all_regions(root):
    image = first_image(root)
    change(
        root,
        image,
        lambda graph: graph["objects"].append(
            corners({**graph["objects"][0], "bbox_name": "svc"}, 1, 2, 3, 4)
        ),
    )
    dataset = ImaGenome(root, regions="36")
    assert len(set(REGIONS)) == 36
    assert dataset.space.regions == REGIONS
    row = dataset.samples.names.tolist().index(image)
    assert dataset.samples.column("region_boxes")[row, REGIONS.index("svc")].tolist() == [
        1,
        2,
        3,
        4,
    ]
    assert ("boxes of abdomen", "0.0% of the images", False) in dataset.facts()
    assert ImaGenome(root, regions="29").space.regions == REGIONS[:29]


def test_the_parse_is_kept_until_a_graph_changes(root, monkeypatch):
    first = ImaGenome(root)
    parsed = []
    chunk = scene_graphs.parse_chunk
    monkeypatch.setattr(scene_graphs, "parse_chunk", lambda *a: parsed.append(a) or chunk(*a))
    assert ImaGenome(root).samples.fingerprint == first.samples.fingerprint
    assert not parsed
    ImaGenome(root, rule="any_yes")
    assert len(parsed) <= 1  # none where another test has asked for the same content
    parsed.clear()
    change(root, first_image(root), lambda graph: graph.update(age_decile="110-120"))
    assert ImaGenome(root).samples.fingerprint != first.samples.fingerprint
    assert len(parsed) == 1


def test_many_graphs_are_parsed_in_other_processes_alike(written, root, monkeypatch):
    monkeypatch.setattr(scene_graphs, "_FEW", 10)
    monkeypatch.setattr(scene_graphs, "_CHUNK", 16)
    assert ImaGenome(root).samples.fingerprint == ImaGenome(written).samples.fingerprint


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda g: g.update(image_id="another"), "of another image, 'another'"),
        (lambda g: g.update(patient_id=1), "patient 1, but the split files say"),
        (lambda g: g.pop("objects"), "'objects' is missing"),
        (lambda g: g.update(attributes={}), "'attributes' is missing or no list"),
        (lambda g: g["objects"][0].pop("bbox_name"), "has no 'bbox_name'"),
        (lambda g: g["objects"][0].update(original_x1="12"), "'original_x1' is '12'"),
        (lambda g: g["attributes"].append(7), "has no 'bbox_name'"),
        (
            lambda g: g["attributes"].append({"bbox_name": "trachea", "attributes": ["a|yes|b"]}),
            "no list of lists",
        ),
        (
            lambda g: g["attributes"].append(
                {"bbox_name": "trachea", "attributes": [["a|maybe|b"]]}
            ),
            "'a|maybe|b' is not category|yes or no|label",
        ),
    ],
)
def test_a_broken_graph_is_named(root, edit, said):
    image = first_image(root)
    change(root, image, edit)
    with pytest.raises(DataError) as error:
        ImaGenome(root)
    assert image in str(error.value)
    assert said in str(error.value)


def test_tables_that_contradict(root):
    splits = root / SILVER / "splits"
    train, test = splits / "train.csv", splits / "test.csv"
    row = train.read_text().splitlines()[1]
    whole = test.read_text()
    test.write_text(whole + row + "\n")
    with pytest.raises(DataError, match=r"is listed in train.csv and test.csv"):
        ImaGenome(root)
    test.write_text(whole)
    train.write_text(train.read_text().replace(".dcm", ".png"))
    with pytest.raises(DataError, match=r"train.csv, line 2 .* is not files/p10"):
        ImaGenome(root)
    train.unlink()
    with pytest.raises(DataError, match=r"train.csv cannot be read"):
        ImaGenome(root)


def test_metadata_of_mimic(root):
    path = root / MIMIC / "mimic-cxr-2.0.0-metadata.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text.replace(",64,64", ",64,0", 1).encode()))
    with pytest.raises(DataError, match="'0' is no number of pixels"):
        ImaGenome(root)
    path.write_bytes(gzip.compress("\n".join(text.splitlines()[:-1]).encode()))
    with pytest.raises(DataError, match="has no row for"):
        ImaGenome(root)
    path.unlink()
    with pytest.raises(DataError, match="sizes are unknown"):
        ImaGenome(root)


def test_an_absent_image_is_named(root):
    dataset = ImaGenome(root)
    path = next((root / MIMIC / "files").rglob(f"{dataset.samples.names[5]}.jpg"))
    path.unlink()
    for ask in (dataset.read, dataset.stamp):
        with pytest.raises(DataError, match=f"{path.name} is listed but absent"):
            ask(5)


def test_the_release_is_recognised_by_its_numbers(written, monkeypatch):
    dataset = ImaGenome(written)
    assert dataset.protocol.startswith("custom:")
    counts = {part: len(rows) for part, rows in dataset.splits.items()}
    monkeypatch.setattr("cxr_datasets.imagenome.OFFICIAL", counts)
    assert ImaGenome(written).protocol == "official"
    assert sum(OFFICIAL.values()) == 237_867


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["left lung", "trachea", "a|yes|pneumonia", "a|no|pneumonia", "50-60"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["bbox_name", "attributes", "original_x1", "original_y1"]), inner
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_graph_is_refused_or_gives_valid_annotations(written, tmp_path_factory, data):
    image = first_image(written)
    graph = json.loads(graph_path(written, image).read_text())
    where = data.draw(st.sampled_from(["", "objects", "attributes"]))
    value = data.draw(VALUE)
    if not where:
        key = data.draw(st.sampled_from([*graph, "image_id", "objects", "attributes"]))
        graph[key] = value
    else:
        entry = graph[where][data.draw(st.integers(0, len(graph[where]) - 1))]
        entry[data.draw(st.sampled_from(sorted(entry)))] = value
    content = json.dumps(graph).encode()
    cut = data.draw(st.integers(0, 40)) * data.draw(st.sampled_from([0, 0, 0, 1]))
    folder = tmp_path_factory.mktemp("graph")
    (folder / f"{image}{SUFFIX}").write_bytes(content[: len(content) - cut])
    try:
        parsed = parse_chunk(
            Folder(folder, SUFFIX), Vocabulary(REGIONS[:18], LABELS, "last_wins"), [image]
        )
    except DataError as error:
        if image not in str(error):
            raise AssertionError("the message names no file") from error
        return
    boxes, labels, ages, _, _, _, _ = parsed
    assert set(np.unique(labels)) <= {0, 1}
    assert (np.isfinite(boxes).all(2) | np.isnan(boxes).all(2)).all()
    assert np.isnan(ages[0]) or 0 <= ages[0] < 1000
