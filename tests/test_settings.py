"""From what a user types to typed hyperparameters, and back to a label."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import SettingError
from harness.settings import build, convert, label, pairs, parse, split

names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
keys = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9_.+-]{1,8}", fullmatch=True)


@given(names, st.dictionaries(keys, values, max_size=4))
def test_what_is_written_is_read(name, settings):
    text = f"{name}[{','.join(f'{k}={v}' for k, v in settings.items())}]"
    assert parse(text) == (name, settings)
    assert parse(name) == (name, {})


@given(
    st.lists(st.tuples(names, st.dictionaries(keys, values, min_size=1, max_size=3)), max_size=3)
)
def test_several_models_are_split_at_the_right_commas(models):
    texts = [f"{name}[{','.join(f'{k}={v}' for k, v in s.items())}]" for name, s in models]
    assert split(",".join(texts)) == texts
    assert split(" , ".join(texts)) == texts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name[pool=max", "lacks its closing bracket"),
        ("name[pool]", "'pool' is not of the form key=value"),
        ("name[=max]", "'=max' is not of the form key=value"),
        ("name[pool=max,pool=mean]", "'pool' is given twice"),
        ("[pool=max]", "has no name"),
    ],
)
def test_malformed_names(text, said):
    with pytest.raises(SettingError, match=said):
        parse(text)


def test_a_value_may_hold_an_equals_sign():
    assert pairs(["path=a=b"]) == {"path": "a=b"}


@given(st.integers())
def test_integers(number):
    assert convert(str(number), int, "it") == number
    assert convert(str(number), int | None, "it") == number


@given(st.floats(allow_nan=False))
def test_numbers(number):
    assert convert(repr(number), float, "it") == number


@given(st.lists(st.integers(0, 99), min_size=1, max_size=3))
def test_tuples(numbers):
    for text in (",".join(map(str, numbers)), "x".join(map(str, numbers)), str(tuple(numbers))):
        assert convert(text, tuple[int, ...], "it") == tuple(numbers)


GOOD = [
    ("true", bool, True), ("No", bool, False), ("1", bool, True),
    ("none", int | None, None), ("None", str | None, None), ("none", str, "none"),
    ("3", Literal[1, 3], 3), ("max", Literal["mean", "max"], "max"),
    ("max", Literal["max"] | None, "max"), ("2", int | str, 2), ("two", int | str, "two"),
    ("0.5,1", tuple[float, float], (0.5, 1.0)), ("a,b", tuple[str, ...], ("a", "b")),
    ("8x4", tuple[int, int], (8, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "value"), GOOD)
def test_values(text, kind, value):
    found = convert(text, kind, "it")
    assert found == value
    assert type(found) is type(value)


BAD = [
    ("maybe", bool, "it is true or false, not 'maybe'"),
    ("1.5", int, "it is a whole number, not '1.5'"),
    ("much", float, "it is a number, not 'much'"),
    ("none", int, "it is a whole number, not 'none'"),
    ("median", Literal["mean", "max"], "it is one of mean, max, not 'median'"),
    ("x", int | None, "it is a whole number"),
    ("1,b", tuple[int, ...], "it is a whole number, not 'b'"),
    ("8x4x2", tuple[int, int], "it has 2 values, not 3"),
    ("8", tuple[int, int], "it has 2 values, not 1"),
    ("x", dict, "it cannot be set from the command line"),
]


@pytest.mark.parametrize(("text", "kind", "said"), BAD)
def test_values_that_cannot_be(text, kind, said):
    with pytest.raises(SettingError) as error:
        convert(text, kind, "it")
    assert said in str(error.value)


@dataclass
class Thing:
    """Something with hyperparameters."""

    rate: float = 0.1
    pool: Literal["mean", "max"] = "mean"
    size: tuple[int, int] = (8, 8)
    fast: bool = False
    depth: int | None = None
    kept: list[int] = field(default_factory=list)


def test_where_each_value_came_from():
    made, origins = build(Thing, "thing", {"rate": "0.5"}, {"rate": 0.9, "size": (4, 4)})
    assert made == Thing(rate=0.5, size=(4, 4))
    assert origins["rate"] == {"value": 0.5, "origin": "command line"}
    assert origins["size"] == {"value": (4, 4), "origin": "smoke budget"}
    assert origins["pool"] == {"value": "mean", "origin": "default"}
    assert list(origins) == ["rate", "pool", "size", "fast", "depth", "kept"]


def test_an_unknown_key_is_told_with_what_there_is():
    with pytest.raises(SettingError, match="thing has no setting 'poll'; did you mean pool"):
        build(Thing, "thing", {"poll": "max"}, {})
    with pytest.raises(SettingError, match="it has rate, pool, size, fast, depth, kept"):
        build(Thing, "thing", {"zzz": "max"}, {})


@given(
    st.floats(0, 9), st.sampled_from(["mean", "max"]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)), st.booleans(), st.none() | st.integers(0, 9),
)  # fmt: skip
def test_a_label_can_be_typed_again(rate, pool, size, fast, depth):
    wanted = Thing(rate, pool, size, fast, depth)
    given_ = dict.fromkeys(("rate", "pool", "size", "fast", "depth"), "")
    text = label("thing", wanted, given_)
    name, again = parse(text)
    assert name == "thing"
    assert build(Thing, name, again, {})[0] == wanted


def test_a_label_has_only_what_was_asked_for_and_differs():
    assert label("thing", Thing(rate=0.5), {"pool": "mean"}) == "thing"
    assert label("thing", Thing(pool="max"), {"pool": "max", "rate": "0.1"}) == "thing[pool=max]"
