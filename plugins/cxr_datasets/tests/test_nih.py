"""NIH's layouts, and what is wrong with a copy, on images made here."""

import csv
import io
import os
import random
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from cxr_datasets import archives
from cxr_datasets.nih import NIH
from cxr_datasets.nih_tables import CLASSES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import DataError

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
PATIENTS, FILMS = 30, 2


def image_of(name, side=32):
    rng = random.Random(name)
    return np.frombuffer(rng.randbytes(side * side), np.uint8).reshape(side, side)


def png_of(name):
    return cv2.imencode(".png", image_of(name))[1].tobytes()


def rows_of(patients=PATIENTS):
    rng = random.Random(1)
    for patient in range(1, patients + 1):
        for film in range(FILMS):
            found = rng.sample(CLASSES, rng.randrange(3))
            yield [
                f"{patient:08d}_{film:03d}.png", "|".join(found) or "No Finding", str(film),
                str(patient), str(20 + patient), rng.choice("MF"), rng.choice(("AP", "PA")),
                "2500", "2048", "0.171", "0.171",
            ]  # fmt: skip


def write_tables(root, rows=None, boxes=()):
    rows = list(rows_of() if rows is None else rows)
    lines = [HEADER, *(",".join(row) for row in rows)]
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join(lines) + "\n")
    (root / "BBox_List_2017.csv").write_text("\n".join([BOX_HEADER, *boxes]) + "\n")
    names = [row[0] for row in rows_of()]
    (root / "train_val_list.txt").write_text("\n".join(names[: FILMS * 20]))
    (root / "test_list.txt").write_text("\n".join(names[FILMS * 20 :]))
    return names


def write_images(root, names, layout):
    """Write images as folders or archives, four names apart in archives, in another order."""
    if layout == "flat":
        places = {name: root / "images" / name for name in names}
    else:
        places = {
            name: root / f"images_{1 + k // 20:03d}" / "images" / name
            for k, name in enumerate(names)
        }
    for name, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png_of(name))


def write_archives(root, names, kind):
    shuffled = random.Random(0).sample(names, len(names))
    for part in range(3):
        some = shuffled[part::3]
        if kind == "zip":
            with zipfile.ZipFile(root / f"images_{part}.zip", "w") as archive:
                for name in some:
                    archive.writestr(f"images/{name}", png_of(name))
            continue
        with tarfile.open(
            root / f"images_{part}.{kind}", "w:gz" if "gz" in kind else "w"
        ) as archive:
            for name in some:
                content = png_of(name)
                member = tarfile.TarInfo(f"images/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("layout", ["flat", "numbered", "zip", "tar", "tar.gz", "tgz"])
def test_every_layout_gives_the_same_images_also_from_threads(tmp_path, layout, monkeypatch):
    monkeypatch.setattr(archives, "BLOCK", 700)  # smaller than an image: many blocks, many states
    monkeypatch.setattr(archives, "KEPT_BLOCKS", 3)
    monkeypatch.setattr(archives, "STATE_EVERY", 5)
    names = write_tables(tmp_path)
    writer = write_images if layout in ("flat", "numbered") else write_archives
    writer(tmp_path, names, layout)
    for _ in range(2):  # the second one takes the kept index
        nih = NIH(tmp_path)
        rows = random.Random(2).sample(range(len(names)), len(names)) * 2
        with ThreadPoolExecutor(4) as pool:
            images = list(pool.map(nih.read, rows))
        for row, image in zip(rows, images, strict=True):
            assert np.array_equal(image, image_of(nih.samples.names[row]))
        assert len({nih.stamp(row) for row in range(len(names))}) == len(names)
    assert ("image files absent", "0", True) in nih.facts()


def test_reading_a_gzipped_tar_in_its_order_inflates_it_once(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "BLOCK", 700)
    monkeypatch.setattr(archives, "KEPT_BLOCKS", 20)
    names = write_tables(tmp_path)
    write_archives(tmp_path, names, "tar.gz")
    nih = NIH(tmp_path)
    source = nih._source(names[0])
    stream, inflated = source._bytes, []
    inflate = stream._inflate
    monkeypatch.setattr(stream, "_inflate", lambda file: inflated.append(1) or inflate(file))
    order = list(source.names())
    for first in range(0, len(order), 2):  # neighbours swapped, as threads would
        for name in reversed(order[first : first + 2]):
            assert source.read(name) == png_of(name)
    last, size = source._members[order[-1]]
    assert sum(inflated) == -(-(last + size) // 700)


def test_a_changed_file_changes_its_stamp(tmp_path):
    names = write_tables(tmp_path)
    write_images(tmp_path, names, "flat")
    before = NIH(tmp_path).stamp(3)
    path = tmp_path / "images" / names[3]
    os.utime(path, ns=(1, 1))
    assert NIH(tmp_path).stamp(3) != before


def test_splits_and_columns(tmp_path):
    boxes = ["00000025_001.png,Infiltrate,100.5,200,50,60.25", "00000099_000.png,Mass,1,1,5,5"]
    names = write_tables(tmp_path, boxes=boxes)
    nih = NIH(tmp_path)
    assert nih.protocol.startswith("custom:")
    assert sorted(np.concatenate(list(nih.splits.values()))) == list(range(len(names)))
    assert set(nih.part("test").patients) == {f"{p:08d}" for p in range(21, 31)}
    row = names.index("00000025_001.png")
    assert nih.samples.column("boxes")[row, 0].tolist() == [100.5, 200, 150.5, 260.25]
    assert (nih.samples.column("box_classes") >= 0).sum() == 1
    assert nih.samples.column("box_classes")[row].tolist() == [3]
    assert ("boxes of images without row", "1", False) in nih.facts()


def wrong(tmp_path, *said):
    with pytest.raises(DataError) as error:
        NIH(tmp_path)
    for part in said:
        assert part in str(error.value)


def test_absent_roots_tables_and_lists(tmp_path):
    wrong(tmp_path / "nowhere", "nowhere", "Data_Entry_2017_v2020.csv")
    names = write_tables(tmp_path)
    (tmp_path / "test_list.txt").unlink()
    wrong(tmp_path, "train_val_list.txt and test_list.txt")
    write_tables(tmp_path)
    with pytest.raises(DataError, match="absent from"):
        NIH(tmp_path).read(0)
    with pytest.raises(DataError, match=r"chexnet_random has no lists"):
        NIH(tmp_path, split="chexnet-random")
    (tmp_path / "chexnet_random").mkdir()
    for part in ("train", "val", "test"):
        (tmp_path / "chexnet_random" / f"{part}_list.txt").write_text("\n".join(names[:2]))
        names = names[2:]
    with pytest.raises(DataError, match="not those of chexnet-random, but custom:"):
        NIH(tmp_path, split="chexnet-random")


def test_a_table_that_is_cut_short(tmp_path):
    write_tables(tmp_path)
    path = tmp_path / "Data_Entry_2017_v2020.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    wrong(tmp_path, "Data_Entry_2017_v2020.csv", "line ", "cut short")
    path.write_bytes(whole[: whole[:1000].rindex(b"\n") + 1])
    wrong(tmp_path, "has no row in", "cut short")
    path.write_bytes(whole[:40])
    wrong(tmp_path, "has no column")
    path.write_bytes(b"")
    wrong(tmp_path, "has no column")
    path.write_bytes(HEADER.encode())
    wrong(tmp_path, "no rows")
    path.unlink()
    (tmp_path / "Data_Entry_2017_v2020.csv.gz").write_bytes(b"\x1f\x8b\x08")
    wrong(tmp_path, ".csv.gz", "cut short or corrupt")


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        (1, "Mass|Fracture", "unknown label 'Fracture' in 'Mass|Fracture'"),
        (1, "Mass|No Finding", "unknown label 'No Finding'"),
        (1, "", "unknown label ''"),
        (0, "00000007_000.png", "more than one row"),
        (0, "00000009_009.jpg", "does not fit patient 00000008"),
        (3, "12", "does not fit patient 00000012"),
        (3, "x", "'x' is no whole number"),
        (2, "-1", "'-1' is no whole number"),
        (4, "young", "'young' is no age"),
        (5, "X", "'X' is neither M nor F"),
        (6, "LL", "'LL' is neither AP nor PA"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(tmp_path, field, text, said):
    rows = list(rows_of())
    rows[14][field] = text
    write_tables(tmp_path, rows)
    wrong(tmp_path, "Data_Entry_2017_v2020.csv, line ", said)
    if field:
        wrong(tmp_path, "line 16 (00000008_000.png)")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("00000025_001.png,Mess,1,1,5,5", "unknown finding 'Mess'"),
        ("00000025_001.png,Mass,1,one,5,5", "'one'"),
        ("00000025_001.png,Mass,1,nan,5,5", "'nan' is no number"),
        ("00000025_001.png,Mass,1,1,5,0", "empty or outside"),
        ("00000025_001.png,Mass,-1,1,5,5", "empty or outside"),
        ("00000025_001.png,Mass,1020,1,5,5", "empty or outside"),
        ("00000025_001.png,Mass,1020", "3 fields"),
    ],
)
def test_a_wrong_box_is_named_with_its_line(tmp_path, row, said):
    write_tables(tmp_path, boxes=["00000025_001.png,Mass,1,1,5,5", row])
    wrong(tmp_path, "BBox_List_2017.csv, line 3", said)


def test_lists_that_contradict_each_other_or_the_table(tmp_path):
    names = write_tables(tmp_path)
    lists = {part: tmp_path / f"{part}_list.txt" for part in ("train_val", "test")}
    lists["test"].write_text("\n".join(names[39:]))
    wrong(tmp_path, f"{names[39]} is in the train_val list and in the test list;")
    lists["test"].write_text("\n".join([*names[40:], names[-1]]))
    wrong(tmp_path, f"{names[-1]} is in the test list 2 times")
    lists["test"].write_text("\n".join(names[41:]))
    wrong(tmp_path, names[40], "in no list")
    lists["train_val"].write_text("\n".join(names[:39]))
    lists["test"].write_text("\n".join(names[39:]))
    wrong(tmp_path, "patient 00000020 is in the splits", "'test'")


def test_an_image_in_two_folders(tmp_path):
    names = write_tables(tmp_path)
    write_images(tmp_path, names, "flat")
    write_images(tmp_path, names[:1], "numbered")
    with pytest.raises(DataError, match=f"{names[0]} lies in .* and in "):
        NIH(tmp_path).read(5)


def test_a_table_cut_down_to_the_images_that_are_there(tmp_path):
    names = write_tables(tmp_path, rows=list(rows_of())[:50])
    write_images(tmp_path, names[:50], "flat")
    nih = NIH(tmp_path)
    assert sum(map(len, nih.splits.values())) == 50
    assert ("in a list, not in the table", "10 images", None) in nih.facts()
    write_images(tmp_path, names[50:51], "flat")
    wrong(tmp_path, names[50], "has no row")


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_archives_that_are_cut_short(tmp_path, kind):
    names = write_tables(tmp_path)
    write_archives(tmp_path, names, kind)
    path = tmp_path / f"images_0.{kind}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"images_0|absent"):
        list(map(NIH(tmp_path).read, range(len(names))))


def loaded(root):
    """The dataset, or None where it was refused; any other exception is a failure."""
    try:
        return NIH(root)
    except DataError as error:
        if str(root) not in str(error):
            raise AssertionError("the message names no file") from error
        return None


FIELD = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "No Finding", "Mass|", "Mass|Mass", "058Y", "1e3", "٣", '"', "\0", "a,b"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_table_is_refused_or_read_as_it_says(tmp_path_factory, data):
    rows = list(rows_of(6))
    row, field = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 6))
    rows[row][field] = data.draw(FIELD)
    root = tmp_path_factory.mktemp("changed")
    names = [entry[0] for entry in rows_of(6)]
    (root / "train_val_list.txt").write_text("\n".join(names[:8]))
    (root / "test_list.txt").write_text("\n".join(names[8:]))
    path = root / "Data_Entry_2017_v2020.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        file.write(HEADER + "\n")
        csv.writer(file).writerows(rows)
    nih = loaded(root)
    if nih is None:
        return
    assert nih.samples.names.tolist() == [entry[0] for entry in rows]
    for entry, labels, known in zip(
        rows, nih.samples.labels, nih.samples.column("metadata"), strict=True
    ):
        assert {CLASSES[k] for k in np.flatnonzero(labels)} == set(entry[1].split("|")) - {
            "No Finding"
        }
        assert (known[2] == 1) == (entry[6] == "AP")
        assert (known[1] == 1) == (entry[5] == "M")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, 400), flip=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_byte_sequence_as_table_is_refused_or_the_same(tmp_path_factory, cut, flip, bit):
    root = tmp_path_factory.mktemp("bytes")
    write_tables(root)
    before = NIH(root)
    path = root / "Data_Entry_2017_v2020.csv"
    content = bytearray(path.read_bytes())
    content[flip % len(content)] ^= 1 << bit
    path.write_bytes(content[: len(content) - cut])
    after = loaded(root)
    if after is None:
        return
    assert after.samples.names.tolist() == before.samples.names.tolist()
    assert set(np.unique(after.samples.labels)) <= {0, 1}
    assert all(np.array_equal(after.splits[part], before.splits[part]) for part in before.splits)
