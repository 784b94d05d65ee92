"""A dataset of one's own."""

import cv2
import numpy as np
import pytest
from cxr_datasets.csv import CSV
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness import DataError
from harness.data.images import image_size

LINES = [
    "image,patient,split,Mass,Big Heart,age,sex,view,boxes",
    "films/a.png,p1,train,1,0,50,M,AP,Mass 1 2 3.5 4; Big Heart 0 0 8 6",
    "films/b.jpg,p1,train,0,,,F,,",
    "films/c.png,p2,val,1.0,0.0,0.5,,PA,",
    "films/d.png,p3,test,,1,60,M,PA,Big Heart 2 2 7 5",
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "films").mkdir()
    for name in ("a.png", "b.jpg", "c.png", "d.png"):
        cv2.imwrite(str(tmp_path / "films" / name), np.full((6, 8), 9, np.uint8))
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(LINES))
    return path


def test_everything_that_a_row_can_say(root):
    dataset = CSV(root)
    assert dataset.space.classes == ("Mass", "Big Heart")
    assert np.array_equal(
        dataset.samples.labels, [[1, 0], [0, np.nan], [1, 0], [np.nan, 1]], equal_nan=True
    )
    assert {part: rows.tolist() for part, rows in dataset.splits.items()} == {
        "train": [0, 1], "validation": [2], "test": [3]
    }  # fmt: skip
    assert dataset.samples.column("sizes").tolist() == [[6, 8]] * 4
    assert dataset.samples.column("box_classes").tolist() == [[0, 1], [-1, -1], [-1, -1], [1, -1]]
    assert dataset.samples.column("boxes")[0].tolist() == [[1, 2, 3.5, 4], [0, 0, 8, 6]]
    expected = [[50, 1, 1], [np.nan, 0, np.nan], [0.5, np.nan, 0], [60, 1, 0]]
    assert np.array_equal(dataset.samples.column("metadata"), expected, equal_nan=True)
    assert dataset.read(0).tolist() == [[9] * 8] * 6
    assert len({dataset.stamp(row) for row in range(4)}) == 4
    assert dataset.protocol.startswith("custom:")
    assert CSV(root, labels="Big Heart, Mass").space.classes == ("Big Heart", "Mass")


def test_only_the_required_columns_and_a_label(root):
    root.write_text("\n".join(",".join(line.split(",")[:4]) for line in LINES))
    dataset = CSV(root)
    assert "boxes" not in dataset.samples.columns
    assert np.isnan(dataset.samples.column("metadata")).all()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("p1,train,1", "p1,train,2", r"line 2 \(films/a.png\): column Mass: unknown value '2'"),
        ("p1,train,1", "p1,learn,1", "unknown split 'learn'"),
        ("p1,train,1", ",train,1", "the patient is blank"),
        ("p3,test", "p1,test", "patient p1 is in the splits"),
        ("p3,test", "p3,train", "no image in the split 'test'"),
        ("films/d", "films/e", "e.png is listed but absent"),
        ("films/b.jpg", "films/a.png", "films/a.png has more than one row"),
        ("Mass 1 2 3.5 4", "Mess 1 2 3.5 4", "is not a class and x1 y1 x2 y2"),
        ("Mass 1 2 3.5 4", "Mass 1 2 3.5", "is not a class and x1 y1 x2 y2"),
        ("Mass 1 2 3.5 4", "Mass 3 2 3 4", "is empty or outside"),
        ("Mass 1 2 3.5 4", "Mass 1 2 9 4", "outside the 8 x 6 image"),
        ("Mass 1 2 3.5 4", "Mass nan 2 9 4", "is empty or outside"),
        (",50,M", ",500,M", "'500' is no age"),
        (",50,M", ",50,X", "column sex: unknown value 'X'"),
        ("image,", "file,", "has no column 'image'"),
        ("Big Heart,age", "Mass,age", "or one twice"),
        (",0.5,,PA,", ",0.5", "fields where the header has 9"),
    ],
)
def test_what_is_wrong_is_named(root, old, new, said):
    root.write_text("\n".join(LINES).replace(old, new, 1))
    with pytest.raises(DataError, match=said):
        CSV(root)


def test_missing_and_empty_files(root):
    with pytest.raises(DataError, match="has no column 'Weight'"):
        CSV(root, labels="Weight")
    root.write_text(LINES[0])
    with pytest.raises(DataError, match="lists no images"):
        CSV(root)
    root.write_text("image,patient,split")
    with pytest.raises(DataError, match="no label columns"):
        CSV(root)
    root.write_text("")
    with pytest.raises(DataError, match="is empty: its first line has to name the columns"):
        CSV(root)
    root.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        CSV(root)


@pytest.mark.parametrize("kind", [".png", ".jpg"])
@pytest.mark.parametrize("shape", [(6, 8), (300, 17), (33, 40, 3)])
def test_sizes_from_headers(tmp_path, kind, shape):
    path = tmp_path / f"film{kind}"
    cv2.imwrite(str(path), np.zeros(shape, np.uint8))
    assert image_size(path) == shape[:2]
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match="cut short"):
        image_size(path)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=st.integers(0, 4), column=st.integers(0, 8), text=st.text(max_size=8) | st.sampled_from(
    ["1", "0", "Mass 1 1 2 2", "test", "train", "films/c.png", "../mine.csv", ".", "Mass"]
))  # fmt: skip
@example(line=1, column=0, text="\x00")  # no file can have this name
def test_a_changed_field_is_refused_or_read_as_it_says(root, line, column, text):
    lines = [row.split(",") for row in LINES]
    lines[line][column] = text
    content = "\n".join(",".join(row) for row in lines)
    root.write_text(content, encoding="utf-8", errors="surrogatepass")
    try:
        dataset = CSV(root)
    except DataError:
        return
    labels = dataset.samples.labels
    assert labels.shape == (len(dataset.samples), len(dataset.space.classes))
    assert set(np.unique(labels[~np.isnan(labels)])) <= {0, 1}
    if line and column in (3, 4):
        expected = {"1": 1, "0": 0, "": np.nan}[text.removesuffix(".0")]
        assert np.array_equal(labels[line - 1, column - 3], expected, equal_nan=True)
