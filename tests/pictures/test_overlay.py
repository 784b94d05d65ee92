import cv2
import numpy as np

from harness.pictures.overlay import TRUE, blended, grey, png, with_box, write_png


def test_a_constant_map_tints_nothing():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (blended(image, np.full((8, 8), 3.0)) == grey(image)).all()


def test_the_highest_value_is_the_reddest_and_the_lowest_is_grey():
    image = np.full((4, 4), 100, dtype=np.uint8)
    heat = np.zeros((4, 4))
    heat[1, 2] = 7
    shown = blended(image, heat, strength=1.0)
    assert shown[1, 2, 0] > shown[1, 2, 2]
    assert (shown[0, 0] == 100).all()


def test_a_box_lies_on_the_pixels_that_it_names():
    drawn = with_box(grey(np.zeros((20, 20), dtype=np.uint8)), (5, 6, 10, 12), TRUE)
    rows, columns = np.nonzero((drawn == TRUE).all(axis=2))
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (5, 10, 6, 12)


def test_a_png_holds_the_pixels(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", picture)
    read = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    assert (read == picture).all()
    assert (tmp_path / "a.png").read_bytes() == png(picture)
