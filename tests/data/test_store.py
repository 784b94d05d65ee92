"""The packed store: resumable, atomic, alone, named by what it was made from; nothing skipped."""

import errno
import multiprocessing
import os
import time

import cv2
import numpy as np
import pytest
from data_toys import Toy

from harness import DataError, HarnessError, View
from harness.data import store
from harness.data.store import key, prepare, staged

VIEW = View(16)


def rows_of(dataset):
    return np.arange(len(dataset.samples))


def assert_filled(made, dataset, rows):
    """Compare with direct reads, decoded here."""
    for row in rows:
        expected = cv2.resize(dataset.pixels[row], (16, 16), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(made.images[row], expected)
        for organ in range(2):
            mask = cv2.resize(dataset.masks[row, organ], (16, 16), interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(made.masks[row, organ], np.where(mask >= 128, 255, 0))


def test_every_row_is_decoded_once():
    dataset = Toy()
    made = prepare(dataset, VIEW, rows_of(dataset), quiet=True)
    assert_filled(made, dataset, rows_of(dataset))
    assert sorted(dataset.reads) == list(range(12))
    again = Toy()
    assert_filled(prepare(again, VIEW, rows_of(again), quiet=True), again, rows_of(again))
    assert again.reads == []


def test_rows_that_are_not_asked_for_are_not_decoded():
    dataset = Toy()
    prepare(dataset, VIEW, np.array([3, 4, 9]), quiet=True)
    assert sorted(dataset.reads) == [3, 4, 9]
    prepare(dataset, VIEW, np.array([4, 5]), quiet=True)
    assert sorted(dataset.reads) == [3, 4, 5, 9]


def test_interrupted_in_the_middle_it_goes_on(monkeypatch):
    monkeypatch.setattr(store, "_FLUSH", 4)
    dataset = Toy()

    def stops(row):
        if row == 6:
            raise KeyboardInterrupt
        return Toy.read(dataset, row)

    dataset.read = stops
    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, VIEW, rows_of(dataset), quiet=True)
    again = Toy()
    made = prepare(again, VIEW, rows_of(again), quiet=True)
    assert_filled(made, again, rows_of(again))
    assert not {0, 1, 2, 3} & set(again.reads), "what was promised is decoded again"
    assert {4, 5, 6, 7} <= set(again.reads), "a stretch that was not finished counts as done"
    assert made.digest(rows_of(again)) == digest_of_a_whole_one(again)


def digest_of_a_whole_one(dataset):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HARNESS_HOME", f"{os.environ['HARNESS_HOME']}-whole")
        return prepare(dataset, VIEW, rows_of(dataset), quiet=True).digest(rows_of(dataset))


def _fill_slowly(pipe):
    dataset = Toy()

    def slow(row):
        pipe.send(row)
        time.sleep(0.05)
        return Toy.read(dataset, row)

    dataset.read = slow
    prepare(dataset, VIEW, rows_of(dataset), quiet=True)
    pipe.send("done")


def test_a_second_process_waits_and_decodes_nothing(capsys):
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_fill_slowly, args=(there,))
    child.start()
    here.recv()  # it is at work
    dataset = Toy()
    made = prepare(dataset, VIEW, rows_of(dataset), quiet=True)
    child.join()
    assert dataset.reads == []
    assert_filled(made, dataset, rows_of(dataset))
    assert f"waiting for {made.folder.name}" in capsys.readouterr().err


def test_corrupt_images_are_named_or_counted():
    dataset = Toy(corrupt=(2, 7))
    with pytest.raises(DataError) as said:
        prepare(dataset, VIEW, rows_of(dataset), quiet=True)
    text = str(said.value)
    assert "2 radiographs cannot be read" in text
    assert "2.png cannot be decoded\n7.png cannot be decoded" in text
    assert "--skip-corrupt" in text
    made = prepare(dataset, VIEW, rows_of(dataset), skip_corrupt=True, quiet=True)
    assert made.corrupt(rows_of(dataset)).tolist() == [2, 7]
    assert_filled(made, dataset, np.setdiff1d(rows_of(dataset), [2, 7]))


def test_many_corrupt_images_are_not_all_listed():
    with pytest.raises(DataError, match=r"12 radiographs cannot be read:[\s\S]*and 2 more"):
        prepare(Toy(corrupt=range(12)), VIEW, np.arange(12), quiet=True)


def test_a_replaced_image_is_read_again():
    """Without a change of its stamp, as where a share was not mounted for a moment."""
    with pytest.raises(DataError):
        prepare(Toy(corrupt=(2,)), VIEW, np.arange(12), quiet=True)
    mended = Toy()
    made = prepare(mended, VIEW, np.arange(12), quiet=True)
    assert mended.reads == [2]
    assert_filled(made, mended, np.arange(12))


def test_missing_masks_are_named():
    dataset = Toy()
    dataset.read_masks = lambda row: None if row == 5 else dataset.masks[row]
    with pytest.raises(DataError, match=r"toy: 5\.png has no organ masks"):
        prepare(dataset, VIEW, np.arange(12), quiet=True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_message_and_nothing_is_marked_done(number, monkeypatch):
    def full(*arguments):
        raise OSError(number, os.strerror(number))

    dataset = Toy()
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        with pytest.raises(HarnessError, match="the disk is full") as said:
            prepare(dataset, VIEW, np.arange(12), quiet=True)
    assert key(dataset, VIEW) in str(said.value)
    assert dataset.reads == []
    prepare(dataset, VIEW, np.arange(12), quiet=True)
    assert sorted(dataset.reads) == list(range(12))


def test_a_store_is_named_by_what_it_was_made_from():
    names = {
        key(Toy(), VIEW), key(Toy(edition=1), VIEW), key(Toy(images=13), VIEW),
        key(Toy(), View(17)), key(Toy(), View(16, "letterbox")),
    }  # fmt: skip
    assert len(names) == 5
    assert key(Toy(), VIEW) == key(Toy(corrupt=(1,)), VIEW)


def test_digests_follow_the_pixels_and_the_order():
    made = prepare(Toy(), VIEW, np.arange(12), quiet=True)
    other = Toy(edition=1)
    other.pixels = other.pixels.copy()
    other.pixels[3] += 1
    changed = prepare(other, VIEW, np.arange(12), quiet=True)
    assert made.digest(np.array([0, 1])) == changed.digest(np.array([0, 1]))
    assert made.digest(np.array([3])) != changed.digest(np.array([3]))
    assert made.digest(np.array([0, 1])) != made.digest(np.array([1, 0]))


def test_a_staged_copy_is_equal(tmp_path):
    dataset = Toy()
    made = prepare(dataset, VIEW, np.arange(12), quiet=True)
    rows = np.array([1, 2, 5, 11])
    near = staged(made, rows, tmp_path / "near", quiet=True)
    assert near.folder.parent == tmp_path / "near"
    for before, after in ((made.images, near.images), (made.masks, near.masks)):
        np.testing.assert_array_equal(before[rows], after[rows])
    assert near.digest(rows) == made.digest(rows)
    part = near.attach(dataset.samples, rows)
    np.testing.assert_array_equal(part.images(np.arange(4)), made.images[rows])


def test_a_staged_copy_that_was_cut_short_is_made_again(tmp_path, monkeypatch):
    made = prepare(Toy(), VIEW, np.arange(12), quiet=True)
    monkeypatch.setattr(store, "_FLUSH", 4)
    reserve, calls = store._reserve, []

    def fails(near, chunk):
        calls.append(chunk)
        if len(calls) == 2:
            raise KeyboardInterrupt
        reserve(near, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(store, "_reserve", fails)
        with pytest.raises(KeyboardInterrupt):
            staged(made, np.arange(12), tmp_path, quiet=True)
    near = staged(made, np.arange(12), tmp_path, quiet=True)
    np.testing.assert_array_equal(near.images, made.images)


def test_a_full_disk_while_staging(tmp_path, monkeypatch):
    made = prepare(Toy(), VIEW, np.arange(12), quiet=True)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(HarnessError, match=f"the disk is full: {tmp_path}"):
        staged(made, np.arange(12), tmp_path, quiet=True)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    made = prepare(Toy(), VIEW, np.arange(12), quiet=True)
    with pytest.raises(HarnessError, match="could not be written"):
        staged(made, np.arange(12), tmp_path / "file", quiet=True)


def test_attached_samples_read_their_own_rows():
    dataset = Toy()
    made = prepare(dataset, VIEW, np.arange(12), quiet=True)
    part = made.attach(dataset.samples, np.array([9, 2, 5]))
    batch = part.batch(np.array([1, 0]))
    np.testing.assert_array_equal(batch.images[:, 0].numpy(), made.images[[2, 9]])
    np.testing.assert_array_equal(batch.masks.numpy(), made.masks[[2, 9]])
    np.testing.assert_array_equal(batch.labels.numpy(), dataset.samples.labels[[2, 9]])
    assert dataset.samples.view is None  # the dataset's own samples are as they were
