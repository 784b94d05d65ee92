"""JSRT and SCR: phantoms written and read back, films and tables by hand, what is refused."""

import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from cxr_datasets.jsrt import JSRT, SIDE
from cxr_datasets.jsrt_layout import NODULE, mask_of, name_of, nodule_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from harness import DataError, PhantomSettings, SettingError, draw

IMAGES = 16
SWITCHES = {"size": 64, "enrich": 0.8, "distractors": 0.0}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms") / "jsrt"
    JSRT.write_phantoms(root, IMAGES, SWITCHES)
    return root


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may break; its films are links."""
    link = lambda source, target: Path(target).symlink_to(source)  # noqa: E731
    return Path(shutil.copytree(written, tmp_path / "jsrt", copy_function=link))


def test_round_trip(written):
    dataset = JSRT(written)
    known = PhantomSettings(**SWITCHES, style="jsrt", images_per_patient=1.0)
    assert dataset.phantom["style"] == "jsrt"
    names = dataset.samples.names.tolist()
    nodules = 0
    for index in range(IMAGES):
        film = draw(known, index)
        row = names.index(name_of(film, index))
        image = cv2.resize(film.image, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(dataset.read(row), image)
        masks = dataset.read_masks(row)
        assert masks.shape == (3, SIDE, SIDE)
        assert set(np.unique(masks)) <= {0, 255}
        for mask, drawn in zip(masks, film.masks, strict=True):
            assert np.array_equal(mask[::2, ::2] > 0, mask_of(drawn) > 0)
        has = NODULE in film.box_classes
        nodules += has
        assert dataset.samples.labels[row, 0] == has
        assert (dataset.samples.column("box_classes")[row, 0] == 0) == has
        age, male, view = dataset.samples.column("metadata")[row]
        assert (age, male, view) == (film.age, film.sex == "M", 0)
        if has:
            x, y, size = nodule_of(film, 64)
            x1, y1, x2, y2 = dataset.samples.column("boxes")[row, 0]
            assert (x1 + x2) / 2 == pytest.approx(x, abs=1)
            assert (y1 + y2) / 2 == pytest.approx(y, abs=1)
            assert (x2 - x1) * 0.175 == pytest.approx(size, abs=0.01)
    assert nodules > 2
    assert dataset.space.organs == ("left_lung", "right_lung", "heart")


def test_left_lung_lies_on_the_right_of_the_image(written):
    left, right, heart = JSRT(written).read_masks(0)
    centre = [np.nonzero(mask)[1].mean() for mask in (left, right, heart)]
    assert centre[0] > centre[2] > centre[1]


def test_folds_are_odd_and_even_numbers(written):
    for fold in ("1", "2"):
        dataset = JSRT(written, test_fold=fold)
        numbers = {
            part: {int(name[-3:]) % 2 for name in dataset.part(part).names.tolist()}
            for part in dataset.splits
        }
        assert numbers["test"] == {int(fold) % 2}
        assert numbers["train"] == numbers["validation"] == {1 - int(fold) % 2}
        assert dataset.protocol == f"scr-test-fold{fold}"
    odd = {f"JPCLN{k:03d}" for k in range(1, 155, 2)} | {f"JPCNN{k:03d}" for k in range(1, 94, 2)}
    assert len(odd) == 124  # as SCR's first fold


def test_a_film_by_hand(root):
    path = next((root / "All247images").iterdir())
    path.unlink()
    film = np.zeros((SIDE, SIDE), dtype=">u2")
    film[0, :4] = (0, 4095, 2048, 1)
    path.write_bytes(film.tobytes())
    dataset = JSRT(root)
    image = dataset.read(dataset.samples.names.tolist().index(path.stem))
    assert image[0, :4].tolist() == [255, 0, 127, 255]
    path.write_bytes(film.astype("<u2").tobytes())
    with pytest.raises(DataError, match=r"values up to 65295; big-endian 12 bits expected"):
        dataset.read(dataset.samples.names.tolist().index(path.stem))
    path.write_bytes(film.tobytes()[:-2])
    with pytest.raises(DataError, match=r"has 8,388,606 bytes; 8,388,608 are expected"):
        dataset.read(dataset.samples.names.tolist().index(path.stem))


def test_without_masks_and_tables_it_is_films_only(root):
    shutil.rmtree(root / "scratch")
    for name in ("CLNDAT_EN.txt", "CNNDAT_EN.TXT"):
        (root / name).unlink()
    dataset = JSRT(root)
    assert dataset.space.organs == ()
    assert dataset.read_masks(0) is None
    assert np.isnan(dataset.samples.column("metadata")[:, :2]).all()
    assert ("organ masks", "none: no fold1/masks found", None) in dataset.facts()
    with pytest.raises(DataError, match="has no fold1/masks"):
        JSRT(root, masks=str(root))


def test_masks_elsewhere_and_their_stamp(root, tmp_path):
    before = JSRT(root).stamp(0)
    (root / "scratch").rename(tmp_path / "scr")
    dataset = JSRT(root, masks=str(tmp_path / "scr"))
    assert dataset.stamp(0) == before
    name = dataset.samples.names[0]
    fold = 2 - int(name[-3:]) % 2
    mask = tmp_path / "scr" / f"fold{fold}" / "masks" / "heart" / f"{name}.gif"
    mask.unlink()
    file = io.BytesIO()
    Image.fromarray(np.zeros((1024, 1024), np.uint8)).save(file, "GIF")
    mask.write_bytes(file.getvalue())
    assert dataset.stamp(0) != before
    assert not dataset.read_masks(0)[2].any()
    mask.write_bytes(file.getvalue()[:500])
    with pytest.raises(DataError, match=rf"{name}.gif: a GIF that is cut short"):
        dataset.read_masks(0)
    mask.unlink()
    with pytest.raises(DataError, match=rf"{name}.gif is listed but absent"):
        dataset.stamp(0)


def test_clinical_table_as_released(root):
    name = JSRT(root).samples.names[0]
    path = root / "CLNDAT_EN.txt"
    path.unlink()
    line = f"{name}.IMG\t5\t35\t?\tFemale\t1000\t100\tmalignant\tl.upper lobe\tlung cancer"
    path.write_bytes(f"{line}\r".encode())
    dataset = JSRT(root)
    assert dataset.samples.column("boxes")[0, 0].tolist() == [900, 0, 1100, 200]
    assert np.isnan(dataset.samples.column("metadata")[0, 0])
    assert dataset.samples.column("metadata")[0, 1] == 0
    for old, new, said in (
        ("Female", "W", "'W' is neither male nor female"),
        ("\t1000", "\t3000", "x 3000 is not between 0 and 2048"),
        ("\t35", "\tbig", "could not convert"),
        ("\t1000\t100\tmalignant\tl.upper lobe\tlung cancer", "", "not the fields of a film"),
        (name, "NAME", "not the fields of a film"),
    ):
        path.write_bytes(line.replace(old, new).encode())
        with pytest.raises(DataError, match=rf"CLNDAT_EN.txt, line 1 .*{said}"):
            JSRT(root)


def test_other_roots_and_names(root, tmp_path):
    with pytest.raises(DataError, match=r"has no JPCLN001.IMG"):
        JSRT(tmp_path)
    (root / "All247images" / "other.IMG").touch()
    with pytest.raises(DataError, match=r"other.IMG is not named"):
        JSRT(root)
    with pytest.raises(SettingError, match="count to 999"):
        JSRT.write_phantoms(tmp_path / "new", 1000, {})
    with pytest.raises(SettingError, match="images_per_patient is 1"):
        JSRT.write_phantoms(tmp_path / "new", 10, {"images_per_patient": 2.0})


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=80) | st.lists(
    st.sampled_from(["JPCLN001.IMG", "\t", "5", "20", "Male", "\r", "\n", "?", "x", "1e9", "nan"]),
    max_size=20,
).map(lambda parts: "".join(parts).encode()))  # fmt: skip
def test_any_clinical_table_is_refused_or_gives_boxes_inside(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("jsrt")
    for number in range(1, 5):
        (root / f"JPCLN{number:03d}.IMG").touch()
    (root / "CLNDAT_EN.txt").write_bytes(content)
    try:
        dataset = JSRT(root)
    except DataError as error:
        if "CLNDAT_EN.txt, line" not in str(error):
            raise AssertionError("the message names no line") from error
        return
    boxes = dataset.samples.column("boxes")
    assert ((boxes >= 0) & (boxes <= SIDE)).all()
