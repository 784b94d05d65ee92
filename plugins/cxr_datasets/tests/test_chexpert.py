"""CheXpert: phantoms written and read back, label policies by hand, what is refused."""

import shutil

import cv2
import numpy as np
import pytest
from cxr_datasets.chexpert import CLASSES, COMPETITION, OFFICIAL, CheXpert
from cxr_datasets.chexpert_layout import FOLDER, FROM, observations, parts_of, path_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import DataError, PhantomSettings, SettingError, draw
from harness.data.phantom import describe

IMAGES = 120
SWITCHES = {"size": 64, "enrich": 0.5, "seed": 2}
HEADER = ",".join(("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CLASSES))
POLICIES = {
    ("zeros", "zero"): {"1.0": 1, "0.0": 0, "-1.0": 0, "": 0},
    ("ones", "zero"): {"1.0": 1, "0.0": 0, "-1.0": 1, "": 0},
    ("ignore", "zero"): {"1.0": 1, "0.0": 0, "-1.0": np.nan, "": 0},
    ("ignore", "unknown"): {"1.0": 1, "0.0": 0, "-1.0": np.nan, "": np.nan},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms") / "chexpert"
    CheXpert.write_phantoms(root, IMAGES, SWITCHES)
    return root


@pytest.mark.parametrize(("uncertain", "blank"), POLICIES)
def test_round_trip_under_every_policy(written, uncertain, blank):
    dataset = CheXpert(written, uncertain=uncertain, blank=blank)
    assert ("No Finding", *FROM) == CLASSES
    row_of = {name: row for row, name in enumerate(dataset.samples.names.tolist())}
    assert len(row_of) == IMAGES
    labels, metadata = dataset.samples.labels, dataset.samples.column("metadata")
    tested = set(dataset.splits["test"].tolist())
    known = PhantomSettings(**SWITCHES)
    films = [describe(known, index) for index in range(IMAGES)]
    for index, (film, part) in enumerate(zip(films, parts_of(films), strict=True)):
        row = row_of[path_of(film, part)]
        assert (row in tested) == (part == "valid")
        expected = [POLICIES[uncertain, blank][text] for text in observations(film, known, part)]
        assert np.array_equal(labels[row], expected, equal_nan=True)
        assert metadata[row].tolist() == [film.age, film.sex == "M", film.view == "AP"]
        assert dataset.samples.patients[row] == f"patient{film.patient + 1:05d}"
        if index % 20 == 0:
            image = draw(known, index).image
            assert np.abs(dataset.read(row).astype(int) - image).mean() < 5
    assert np.isnan(labels).any() == (uncertain == "ignore")
    assert dataset.phantom["images"] == IMAGES
    assert CheXpert.credentialed


def row_text(path, *values, sex="Female", age="60", frontal="Frontal", view="AP"):
    fields = [*values, *[""] * (14 - len(values))]
    return ",".join((path, sex, age, frontal, view, *fields))


@pytest.fixture
def root(tmp_path):
    """The full release in small: two views of a study, a study without sex, certain test labels."""
    train = [
        row_text(f"CheXpert-v1.0/train/patient{k:05d}/study{s}/view1_frontal.jpg", "", "", "-1.0")
        for k in range(1, 41)
        for s in (1, 2)
    ]
    first = "CheXpert-v1.0/train/patient00041/study1"
    train += [
        row_text(f"{first}/view1_frontal.jpg", "", "0.0", "1.0", sex="Unknown", view="PA"),
        row_text(f"{first}/view2_lateral.jpg", "", "0.0", "1.0", frontal="Lateral", view=""),
    ]
    valid = [
        row_text("CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg", *["0.0"] * 14),
        row_text("CheXpert-v1.0/valid/patient64542/study1/view1_frontal.jpg", *["1.0"] * 14),
    ]
    for name, rows in (("train", train), ("valid", valid)):
        (tmp_path / f"{name}.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return tmp_path


def test_views_studies_and_classes(root):
    frontal = CheXpert(root, uncertain="ones", classes="competition")
    assert frontal.space.classes == COMPETITION
    assert len(frontal.samples) == 83
    labels = frontal.samples.labels
    assert labels[:80, COMPETITION.index("Cardiomegaly")].all()
    assert labels[:81].sum() == 81
    assert labels[81:].tolist() == [[0] * 5, [1] * 5]
    assert ("lateral films left out of train.csv", "1", None) in frontal.facts()
    assert ("films without sex in train.csv", "1", None) in frontal.facts()
    every = CheXpert(root, views="all", level="study")
    assert every.policy["level"] == "study"
    study = every.samples.column("study")
    names = every.samples.names.tolist()
    assert study[80] == study[81]
    assert len(set(study.tolist())) == len(names) - 1
    assert names[81] == "train/patient00041/study1/view2_lateral.jpg"
    metadata = every.samples.column("metadata")
    assert np.isnan(metadata[80, 1])
    assert metadata[80, 2] == 0
    assert np.isnan(metadata[81, 2])


def test_the_small_release_lies_in_a_folder_and_protocols_are_named(root, tmp_path, monkeypatch):
    dataset = CheXpert(root)
    assert dataset.protocol.startswith("custom:")
    small = tmp_path / "elsewhere" / "CheXpert-v1.0-small"
    small.mkdir(parents=True)
    for name in ("train.csv", "valid.csv"):
        (small / name).write_text((root / name).read_text().replace("v1.0/", "v1.0-small/"))
    again = CheXpert(tmp_path / "elsewhere")
    assert again.samples.names.tolist() == dataset.samples.names.tolist()
    assert (dataset.policy["release"], again.policy["release"]) == (
        "CheXpert-v1.0",
        "CheXpert-v1.0-small",
    )
    monkeypatch.setattr("cxr_datasets.chexpert.OFFICIAL", {"train.csv": 82, "valid.csv": 2})
    assert CheXpert(root).protocol == "official"
    assert OFFICIAL == {"train.csv": 223_414, "valid.csv": 234}


def test_public_labels_of_the_500_studies(root):
    with pytest.raises(DataError, match=r"neither test_labels.csv nor groundtruth.csv"):
        CheXpert(root, test="public")
    lines = ["Study," + ",".join(CLASSES)]
    lines += [f"CheXpert-v1.0/test/patient6474{k}/study1," + ",".join("0101") + ",0" * 10
              for k in range(2)]  # fmt: skip
    (root / "groundtruth.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"groundtruth.csv, line 2 .* no film view\*_frontal"):
        CheXpert(root, test="public")
    for k, second in enumerate(("view2_lateral", "view2_frontal")):
        folder = root / "test" / f"patient6474{k}" / "study1"
        folder.mkdir(parents=True)
        for film in ("view1_frontal", second):
            cv2.imwrite(str(folder / f"{film}.jpg"), np.full((8, 9), 50, np.uint8))
    dataset = CheXpert(root, test="public")
    tested = dataset.part("test")
    assert len(tested) == 3
    assert tested.labels[:, :4].tolist() == [[0, 1, 0, 1]] * 3
    assert len(set(tested.column("study").tolist())) == 2
    assert dataset.read(int(dataset.splits["test"][0])).shape == (8, 9)
    assert len(CheXpert(root, test="public", views="all").splits["test"]) == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",-1.0,", ",-2.0,", r"train.csv, line 2 .*unknown value '-2'"),
        ("Frontal,AP", "Front,AP", "unknown value 'Front'"),
        ("Frontal,AP", "Frontal,XX", "unknown value 'XX'"),
        ("Female", "W", "unknown value 'W'"),
        (",60,", ",old,", "'old' is no age"),
        ("patient00002/", "patient/", "is not .*patient00001"),
        ("patient00002/", "patient00001/", "more than one row"),
        ("patient00003/study1", "patient00003", "is not .*patient00001"),
        (",,,\n", "\n", "fields where the header has 19"),
        ("Pleural Effusion", "Effusion", "has no column 'Pleural Effusion'"),
        ("train/patient00001", "train/patient64541", "patient64541 is in the splits"),
    ],
)
def test_what_is_wrong_is_named(root, old, new, said):
    path = root / "train.csv"
    path.write_text(path.read_text().replace(old, new, 2))
    with pytest.raises(DataError, match=said):
        CheXpert(root)


def test_missing_and_empty_files(root, tmp_path):
    with pytest.raises(DataError, match=r"train/patient00001/.*listed but absent"):
        CheXpert(root).read(0)
    (root / "valid.csv").write_text(HEADER)
    with pytest.raises(DataError, match=r"valid.csv has a header but no rows"):
        CheXpert(root)
    with pytest.raises(SettingError, match=r"1 phantoms cannot be read back: .*no rows"):
        CheXpert.write_phantoms(tmp_path / "new", 1, {"size": 64})
    (root / "valid.csv").unlink()
    with pytest.raises(DataError, match=r"has no valid.csv"):
        CheXpert(root)
    (root / "train.csv").unlink()
    with pytest.raises(DataError, match=r"has no train.csv"):
        CheXpert(root)


TEXT = st.text(max_size=6) | st.sampled_from(
    ["1", "0", "-1", "1.0", "nan", "1.0.0", "-0", "AP", "Lateral"]
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=st.integers(0, 40), column=st.integers(0, 18), text=TEXT)
def test_a_changed_field_is_refused_or_as_it_says(written, tmp_path_factory, line, column, text):
    root = tmp_path_factory.mktemp("changed")
    for name in ("train.csv", "valid.csv"):
        shutil.copy(written / FOLDER / name, root)
    path = root / "train.csv"
    lines = path.read_text().split("\n")
    fields = lines[1 + line].split(",")
    fields[column] = text
    lines[1 + line] = ",".join(fields)
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    try:
        labels = CheXpert(root, uncertain="ignore", blank="unknown", views="all").samples.labels
    except DataError as error:
        if str(root) not in str(error) and "in the splits" not in str(error):
            raise AssertionError("the message names no file") from error
        return
    before = CheXpert(written, uncertain="ignore", blank="unknown", views="all").samples.labels
    if column >= 5:
        before[line, column - 5] = {"1": 1, "0": 0, "-1": np.nan, "": np.nan}[
            text.removesuffix(".0")
        ]
    assert np.array_equal(labels, before, equal_nan=True)
