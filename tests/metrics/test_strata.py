import numpy as np

from harness.metrics.strata import first_films, strata


def test_first_film_of_each_patient():
    patients = np.array(["b", "a", "b", "a", "c", "c"])
    order = np.array([1, 5, 0, 3, 2, 2])
    assert first_films(patients, order).tolist() == [False, False, True, True, True, False]


def test_strata_depend_on_what_is_known():
    patients, views = np.array([1, 1, 2]), np.array(["AP", "PA", "LL"])
    found = strata(views, patients, np.array([0, 1, 0]))
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "AP": [True, False, False],
        "PA": [False, True, False],
        "first film": [True, False, True],
    }
    assert strata(None, patients, None) == {}
