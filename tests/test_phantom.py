"""What a phantom promises: the same pixels for the same index, and exact annotations."""

import json
import subprocess
import sys
import zlib
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.phantom import (
    FINDINGS,
    LABELS9,
    LANDMARKS,
    REGIONS,
    Description,
    PhantomSettings,
    describe,
    draw,
)
from harness.errors import SettingError

LEFT, RIGHT, HEART = 0, 1, 2
SMALL = PhantomSettings(size=64, enrich=0.7)
CLASS = {name: index for index, name in enumerate(FINDINGS)}
ZONES = [
    REGIONS.index(f"{s} {z} lung zone")
    for s in ("right", "left")
    for z in ("upper", "mid", "lower")
]


@pytest.fixture(scope="module")
def phantoms():
    """400 phantoms with many findings, without images."""
    return [describe(SMALL, index) for index in range(400)]


def same(first, second, skip=()):
    names = {field.name for field in fields(first)} - set(skip)
    for name in names:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_names_and_shapes():
    assert (len(FINDINGS), len(REGIONS), len(LABELS9), len(LANDMARKS)) == (14, 18, 9, 6)
    phantom = draw(PhantomSettings(size=96), 5)
    assert phantom.image.shape == (96, 96)
    assert phantom.image.dtype == np.uint8
    assert phantom.masks.shape == (3, 96, 96)
    assert phantom.masks.dtype == bool
    assert phantom.regions.shape == (18, 4)
    assert phantom.region_findings.shape == (18, 14)
    assert phantom.region_labels.shape == (18, 9)
    assert phantom.landmarks.shape == (6, 2)
    assert phantom.pose.shape == (2, 3)
    assert phantom.labels.dtype == phantom.true_labels.dtype == np.float32


def test_order_and_count_do_not_matter():
    alone = draw(SMALL, 37)
    for index in (300, 12, 36, 38):
        draw(SMALL, index)
    same(alone, draw(SMALL, 37))


def test_another_process_draws_the_same():
    code = (
        "import zlib; from harness.data.phantom import PhantomSettings, draw;"
        "s = PhantomSettings(size=64, enrich=0.7);"
        "print([zlib.crc32(draw(s, i).image.tobytes()) for i in (9, 3, 270)])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [zlib.crc32(draw(SMALL, index).image.tobytes()) for index in (9, 3, 270)]
    assert json.loads(out.stdout) == here


def test_seed_and_index_change_the_image():
    first = draw(SMALL, 0)
    assert (first.image != draw(SMALL, 1).image).mean() > 0.3
    assert (first.image != draw(replace(SMALL, seed=1), 0).image).mean() > 0.3


def test_describe_is_draw_without_the_image():
    known, drawn = describe(SMALL, 11), draw(SMALL, 11)
    assert isinstance(drawn, Description)
    same(known, drawn)


def test_patients_are_runs_of_films_with_one_age_and_sex(phantoms):
    patients = [p.patient for p in phantoms]
    assert patients == sorted(patients)
    for before, after in pairwise(phantoms):
        if before.patient == after.patient:
            assert after.follow_up == before.follow_up + 1
            assert before.sex == after.sex
            assert 0 <= after.age - before.age <= 1
        else:
            assert after.follow_up == 0
    assert len({describe(replace(SMALL, images_per_patient=1), i).patient for i in range(50)}) == 50


def test_follow_up_shows_the_same_chest():
    s = replace(SMALL, pose_spread=0.0)
    films = [describe(s, i) for i in range(250)]
    hearts = np.array([film.landmarks[LANDMARKS.index("left apex")] for film in films])
    patients = np.array([film.patient for film in films])
    within = np.abs(np.diff(hearts[:, 0]))[np.diff(patients) == 0]
    across = np.abs(np.diff(hearts[:, 0]))[np.diff(patients) != 0]
    assert np.median(within) < 0.6 * np.median(across)


def test_image_labels_are_the_union_of_region_findings(phantoms):
    for phantom in phantoms:
        np.testing.assert_array_equal(phantom.region_findings.any(axis=0), phantom.true_labels > 0)
    assert sum(p.true_labels for p in phantoms).min() > 0  # every class occurs


def test_region_labels_follow_the_documented_mapping(phantoms):
    column = {name: index for index, name in enumerate(LABELS9)}
    for phantom in phantoms:
        has = {name: phantom.region_findings[:, index] for name, index in CLASS.items()}
        got = phantom.region_labels
        np.testing.assert_array_equal(got[:, column["pleural effusion"]], has["Effusion"])
        np.testing.assert_array_equal(got[:, column["pneumothorax"]], has["Pneumothorax"])
        np.testing.assert_array_equal(
            got[:, column["pulmonary edema/hazy opacity"]], has["Edema"] | has["Infiltration"]
        )
        failing = phantom.true_labels[[CLASS["Cardiomegaly"], CLASS["Effusion"]]].any()
        np.testing.assert_array_equal(
            got[:, column["fluid overload/heart failure"]], has["Edema"] & failing
        )
        opaque = got[:, column["lung opacity"]]
        assert (opaque >= got[:, column["consolidation"]]).all()
        assert not opaque[REGIONS.index("trachea")]


def test_regions_lie_in_the_image_and_on_the_patients_side(phantoms):
    for phantom in phantoms:
        x1, y1, x2, y2 = phantom.regions.T
        assert min(x1.min(), y1.min()) >= 0
        assert max(x2.max(), y2.max()) <= 64
        assert min((x2 - x1).min(), (y2 - y1).min()) > 0
        centre = (x1 + x2) / 2
        assert (centre[:7] < centre[14]).all()  # the patient's right is the image's left
        assert (centre[7:14] > centre[14]).all()


def test_region_boxes_enclose_the_organs():
    for index in range(60):
        phantom = describe(replace(SMALL, size=256), index)
        for mask, name in (
            (LEFT, "left lung"),
            (RIGHT, "right lung"),
            (HEART, "cardiac silhouette"),
        ):
            y, x = np.nonzero(phantom.masks[mask])
            box = phantom.regions[REGIONS.index(name)]
            tight = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
            assert np.abs(box - tight).max() <= 4, (index, name, box, tight)


def test_upper_mid_and_lower_zone_stack_up_to_the_lung(phantoms):
    s = replace(SMALL, pose_spread=0.0, size=256)
    for index in range(40):
        boxes = describe(s, index).regions
        for first in (0, 7):
            lung, apical, upper, mid, lower = boxes[first : first + 5]
            assert abs(apical[1] - lung[1]) < 1.5
            assert abs(upper[1] - lung[1]) < 1.5
            assert apical[3] < upper[3] <= mid[1] + 2
            assert abs(mid[3] - lower[1]) <= 2
            assert lower[3] <= lung[3]


def test_masks_do_not_overlap_and_lie_in_the_body():
    for index in range(40):
        phantom = draw(PhantomSettings(size=128, distractors=0, label_noise=0), index)
        assert phantom.masks.sum(axis=0).max() <= 1
        assert all(mask.mean() > 0.03 for mask in phantom.masks)
        lungs = phantom.masks[LEFT] | phantom.masks[RIGHT]
        # Air is darker than the heart, and nowhere as black as the film beside the body.
        heart = phantom.image[phantom.masks[HEART]].mean()
        assert phantom.image[lungs].mean() < heart - 20
        assert np.percentile(phantom.image[lungs], 1) > 8


def test_boxes_are_tight_inside_the_image_and_belong_to_true_labels(phantoms):
    count = 0
    for phantom in phantoms:
        assert phantom.boxes.shape == (len(phantom.box_classes), 4)
        for box, finding in zip(phantom.boxes, phantom.box_classes, strict=True):
            assert phantom.true_labels[finding] == 1
            assert 0 <= box[0] < box[2] <= 64
            assert 0 <= box[1] < box[3] <= 64
            count += 1
    assert count > 400


def test_findings_lie_in_their_organs():
    s = replace(SMALL, size=128)
    chest = {"Effusion", "Mass", "Nodule", "Consolidation", "Pneumothorax", "Fibrosis"}
    for index in range(150):
        phantom = describe(s, index)
        for box, finding in zip(phantom.boxes.astype(int), phantom.box_classes, strict=True):
            window = phantom.masks[:, box[1] : box[3], box[0] : box[2]]
            if FINDINGS[finding] in chest:
                # Exactly one lung holds the finding, and it reaches every border of the box.
                lung = window[LEFT] if window[LEFT].sum() > window[RIGHT].sum() else window[RIGHT]
                borders = (lung[0], lung[-1], lung[:, 0], lung[:, -1])
                assert all(border.any() for border in borders)
            if FINDINGS[finding] == "Cardiomegaly":
                assert window[HEART].sum() == phantom.masks[HEART].sum()


def test_nodules_are_smaller_than_3_cm_and_masses_larger():
    s = PhantomSettings(size=512, enrich=1.0, pose_spread=0.0)
    sides = {"Nodule": [], "Mass": []}
    for index in range(150):
        phantom = describe(s, index)
        for box, finding in zip(phantom.boxes, phantom.box_classes, strict=True):
            name = FINDINGS[finding]
            inside = box[0] > 60 and box[2] < 452
            if name in sides and inside:
                sides[name].append(max(box[2] - box[0], box[3] - box[1]) / 512 * 40)
    assert max(sides["Nodule"]) < 3.1  # cm on a film of about 40 cm
    assert np.median(sides["Mass"]) > 3.0


def cardiothoracic(phantom):
    heart = np.nonzero(phantom.masks[HEART].any(axis=0))[0]
    lungs = np.nonzero((phantom.masks[LEFT] | phantom.masks[RIGHT]).any(axis=0))[0]
    return np.ptp(heart) / np.ptp(lungs)


def test_cardiomegaly_is_a_large_heart_and_ap_magnifies_it():
    s = PhantomSettings(size=128, enrich=0.7, pose_spread=0.0)
    ratios = {(large, view): [] for large in (False, True) for view in ("PA", "AP")}
    for index in range(400):
        phantom = describe(s, index)
        large = bool(phantom.true_labels[CLASS["Cardiomegaly"]])
        ratios[large, phantom.view].append(cardiothoracic(phantom))
    assert max(ratios[False, "PA"]) < 0.52 < min(ratios[True, "PA"])
    assert max(ratios[False, "AP"]) < min(ratios[True, "AP"])
    assert np.mean(ratios[False, "AP"]) > np.mean(ratios[False, "PA"]) + 0.02


def test_emphysema_flattens_the_diaphragm_and_darkens_the_lungs():
    s = PhantomSettings(size=128, enrich=0.8, pose_spread=0.0, distractors=0)
    darkness, height = {False: [], True: []}, {False: [], True: []}
    for index in range(300):
        phantom = draw(s, index)
        if phantom.view == "AP" or phantom.true_labels.sum() > 2:
            continue
        ill = bool(phantom.true_labels[CLASS["Emphysema"]])
        lungs = phantom.masks[LEFT] | phantom.masks[RIGHT]
        darkness[ill].append(np.median(phantom.image[lungs]))
        height[ill].append(np.ptp(np.nonzero(lungs.any(axis=1))[0]))
    assert np.mean(darkness[True]) < np.mean(darkness[False]) - 5
    assert np.mean(height[True]) > np.mean(height[False])


def test_pose_is_exact():
    posed = PhantomSettings(size=200, pose_spread=2.0)
    straight = replace(posed, pose_spread=0.0)
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    moved = []
    for index in range(30):
        canonical, phantom = describe(straight, index), describe(posed, index)
        np.testing.assert_allclose(canonical.pose, identity, atol=1e-12)
        expected = canonical.landmarks @ phantom.pose[:, :2].T + phantom.pose[:, 2]
        np.testing.assert_allclose(phantom.landmarks, expected, atol=1e-3)
        np.testing.assert_array_equal(phantom.true_labels, canonical.true_labels)
        moved.append(np.abs(phantom.landmarks - canonical.landmarks).mean())
    assert np.mean(moved) > 8  # 4 % of the film


def test_pose_spread_scales_the_misplacement():
    def spread(value):
        s = replace(SMALL, pose_spread=value)
        return np.std([describe(s, index).pose[0, 1] for index in range(200)])

    one = spread(1.0)
    assert one > 0.02
    assert abs(spread(0.5) / one - 0.5) < 0.02
    assert abs(spread(2.0) / one - 2.0) < 0.1


def zone_table(count=700, **changes):
    s = replace(SMALL, enrich=0.9, images_per_patient=1, **changes)
    return np.array([describe(s, index).region_findings[ZONES] for index in range(count)])


def phi(a, b):
    return np.corrcoef(a, b)[0, 1]


def test_neighbouring_zones_depend_on_each_other_only_when_told():
    pairs = [(0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)]
    spreading = [CLASS[n] for n in ("Infiltration", "Edema", "Fibrosis", "Consolidation")]
    measured = {}
    for on in (True, False):
        table = zone_table(neighbours=on)
        measured[on] = [phi(table[:, a, c], table[:, b, c]) for a, b in pairs for c in spreading]
    assert np.mean(measured[True]) > 0.35
    assert np.abs(np.mean(measured[False])) < 0.08


def test_location_priors_put_findings_where_they_belong():
    for on in (True, False):
        table = zone_table(location_priors=on, neighbours=False)
        upper = table[:, [0, 3]].sum(axis=(0, 1))
        lower = table[:, [2, 5]].sum(axis=(0, 1))
        ratio = lower / np.maximum(upper, 1)
        if on:
            assert ratio[CLASS["Atelectasis"]] > 2.5
            assert ratio[CLASS["Pneumonia"]] > 2.5
            assert ratio[CLASS["Mass"]] < 0.9
        else:
            focal = [CLASS[name] for name in ("Atelectasis", "Pneumonia", "Mass", "Nodule")]
            assert abs(np.log(lower[focal].sum() / upper[focal].sum())) < 0.25


def test_outside_moves_findings_out_of_the_organs():
    inside, outside = [], []
    for index in range(200):
        for value, shares in ((0.0, inside), (1.0, outside)):
            phantom = describe(replace(SMALL, size=128, outside=value), index)
            for box, finding in zip(phantom.boxes.astype(int), phantom.box_classes, strict=True):
                if FINDINGS[finding] in ("Nodule", "Atelectasis"):
                    window = phantom.masks[:, box[1] : box[3], box[0] : box[2]]
                    shares.append(window.any(axis=0).mean())
            assert (phantom.region_findings.any(axis=0) == (phantom.true_labels > 0)).all()
    assert np.mean(inside) > 0.95
    assert np.mean(outside) < 0.6


def test_distractors_stay_out_of_the_organs_and_out_of_the_labels():
    for index in range(40):
        with_, without = (draw(replace(SMALL, size=128, distractors=d), index) for d in (3.0, 0.0))
        same(with_, without, skip=("image",))
        organs = without.masks.any(axis=0)
        deep = np.zeros_like(organs)
        deep[8:-8, 8:-8] = organs[8:-8, 8:-8]
        for shift in (-6, 6):
            deep &= np.roll(organs, shift, 0) & np.roll(organs, shift, 1)
        change = np.abs(with_.image.astype(int) - without.image)
        assert change[deep].mean() < 1.0
    assert change.mean() > 0.3


def test_styles_share_annotations_but_not_pixels():
    digital, film = [], []
    for index in range(30):
        nih, jsrt = draw(SMALL, index), draw(replace(SMALL, style="jsrt"), index)
        same(nih, jsrt, skip=("image",))
        digital.append(nih.image)
        film.append(jsrt.image)
    digital, film = np.stack(digital), np.stack(film)
    assert np.percentile(film, 1) > np.percentile(digital, 1) + 15  # film is fogged
    assert digital.std() > 1.15 * film.std()


def test_label_noise_flips_as_often_as_it_says():
    s = PhantomSettings(size=64, label_noise=0.2, enrich=0.5)
    pairs = [(d.labels, d.true_labels) for d in (describe(s, index) for index in range(1600))]
    labels, truth = (np.array(column) for column in zip(*pairs, strict=True))
    assert abs((labels[truth == 1] == 0).mean() - 0.2) < 0.025
    assert abs(labels.mean() / truth.mean() - 1) < 0.05  # the prevalence stays
    clean = describe(replace(s, label_noise=0.0), 7)
    np.testing.assert_array_equal(clean.labels, clean.true_labels)


def test_settings_are_checked_and_plain():
    assert PhantomSettings(**json.loads(json.dumps(SMALL.as_dict()))) == SMALL
    for wrong in ({"size": 63}, {"style": "dicom"}, {"outside": 1.5}, {"pose_spread": -1}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            PhantomSettings(**wrong)
    with pytest.raises(IndexError):
        describe(SMALL, -1)


@settings(max_examples=40, deadline=None)
@given(
    chosen=st.builds(
        PhantomSettings,
        seed=st.integers(0, 2**32 - 1),
        size=st.integers(64, 320),
        pose_spread=st.floats(0, 2),
        location_priors=st.booleans(),
        neighbours=st.booleans(),
        outside=st.floats(0, 1),
        distractors=st.floats(0, 4),
        style=st.sampled_from(["nih", "jsrt"]),
        label_noise=st.floats(0, 0.5),
        enrich=st.floats(0, 1),
        images_per_patient=st.floats(1, 16),
    ),
    index=st.integers(0, 10**7),
)
def test_every_setting_gives_a_whole_phantom(chosen, index):
    phantom = draw(chosen, index)
    size = chosen.size
    assert phantom.image.shape == (size, size)
    assert phantom.image.std() > 20
    assert all(mask.any() for mask in phantom.masks)
    assert (phantom.regions[:, 2:] > phantom.regions[:, :2]).all()
    every = np.concatenate([phantom.regions, phantom.boxes])
    assert every.min() >= 0
    assert every.max() <= size
    np.testing.assert_array_equal(phantom.region_findings.any(axis=0), phantom.true_labels > 0)
    assert set(np.unique(phantom.labels)) <= {0.0, 1.0}
