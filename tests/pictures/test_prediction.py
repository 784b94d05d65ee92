import numpy as np

from harness.pictures.overlay import PREDICTED
from harness.pictures.prediction import prediction_picture, with_foot


def test_the_radiograph_stays_whole_above_its_foot():
    film = np.random.default_rng(0).integers(0, 255, (700, 800), dtype=np.uint8)
    picture = prediction_picture(film, None, [], ["a line"])
    assert (picture[:700] == film[..., None]).all()
    assert picture.shape[1] == 800
    assert picture[700:].max() == 255


def test_a_small_radiograph_and_its_boxes_are_enlarged_alike():
    film = np.arange(100 * 80, dtype=np.uint32).reshape(100, 80).astype(np.uint8)
    picture = prediction_picture(film, None, [([10, 20, 30, 40], "")], [])
    assert (picture[:800:8, :640:8][0] == film[0][:, None]).all()
    rows, columns = np.nonzero((picture[:800] == PREDICTED).all(axis=2))
    drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(drawn - [80, 160, 240, 320]).max() <= 2  # half of the line's width


def test_a_long_line_is_broken_and_loses_nothing_at_the_edge():
    one = with_foot(np.zeros((4, 640, 3), dtype=np.uint8), ["short"])
    several = with_foot(np.zeros((4, 640, 3), dtype=np.uint8), ["word " * 40])
    assert len(several) > 2 * len(one)
    assert several[:, -4:].max() == 0
