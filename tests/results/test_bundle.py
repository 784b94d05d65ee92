import hashlib
import io
import json
import zipfile

import numpy as np
import pytest

from harness.errors import RecordError
from harness.results import bundle as bundles
from harness.results.bundle import merge, write_bundle
from harness.results.pages import load_page
from harness.results.records import find_records, read_record, read_scores, write_record
from harness.results.render import FORMATS, render
from harness.results.tables import build

NIH = [
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia"),
    *("Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening"),
    "Hernia",
]
DICOM = "aaaaaaaa-bbbbbbbb-cccccccc-dddddddd-eeeeeeee"


def arrays(seed=0):
    random, targets = np.random.default_rng(seed), np.arange(60)[:, None] % np.arange(2, 16) == 0
    return {
        "names": np.array([f"{i:08d}_000.png" for i in range(60)]),
        "patients": np.array([f"{i:08d}" for i in range(60)]),
        "classes": np.array(NIH),
        "targets": targets.astype(np.float32),
        "scores": random.random((60, 14), dtype=np.float32) + np.float32(0.1) * targets,
    }


@pytest.fixture
def rows(tmp_path, record):
    """Write three seeds of one row, another row, and a credentialed one; return their folders."""
    root, private = tmp_path / "mine", tmp_path / "private"
    runs = [(record(seed=s, cells=0.79 + s / 1000), arrays(s)) for s in (0, 1, 2)]
    folders = [write_record(root, *run) for run in runs]
    other = [(record("mine[é]", 0.79, id="ab12", seed=s), arrays(10 + s)) for s in (0, 1)]
    folders += [write_record(root, *run) for run in other]
    secret = record("secret", dataset={"name": "imagenome", "credentialed": True})
    folders.append(write_record(root, secret, arrays(3), credentialed=True, private=private))
    (folders[0] / "maps.npz").write_bytes(b"heat maps")
    return folders


@pytest.fixture
def bundle(rows, tmp_path):
    write_bundle(tmp_path / "rows.zip", rows)
    return tmp_path / "rows.zip"


def test_a_bundle_has_records_and_scores_and_nothing_else(rows, bundle, tmp_path):
    with zipfile.ZipFile(bundle) as file:
        names = file.namelist()
    assert [name.rpartition("/")[2] for name in names].count("record.json") == 6
    assert [name.rpartition("/")[2] for name in names].count("scores.npz") == 5
    assert len(names) == 12
    assert not any("secret" in name and "scores" in name for name in names)
    write_bundle(tmp_path / "again.zip", rows[::-1])
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_merged_rows_come_back_and_say_where_from(rows, bundle, tmp_path):
    found = merge(tmp_path / "theirs", bundle)
    assert (len(found.added), found.present, found.different) == (6, (), ())
    for folder in rows:
        mine, place = read_record(folder), folder.relative_to(tmp_path / "mine")
        theirs = read_record(tmp_path / "theirs" / place)
        assert theirs.pop("merged_from") == [hashlib.sha256(bundle.read_bytes()).hexdigest()]
        assert theirs == mine
        if not mine["dataset"]["credentialed"]:
            other = tmp_path / "theirs" / place
            assert (other / "scores.npz").read_bytes() == (folder / "scores.npz").read_bytes()
            own = read_scores(folder)["scores"]
            np.testing.assert_array_equal(read_scores(other)["scores"], own)
    assert not list((tmp_path / "theirs").rglob("maps.npz"))


@pytest.mark.parametrize("name", ["nih-auc", "attention-auc"])
def test_the_table_is_the_same_byte_by_byte(bundle, tables, tmp_path, name):
    merge(tmp_path / "theirs", bundle)
    page = load_page(name, tables)
    roots = [tmp_path / who for who in ("mine", "theirs")]
    mine, theirs = (build(page, find_records(root), root) for root in roots)
    assert any(row.seeds == 3 for row in mine.rows)
    tested = list((tmp_path / "home" / "comparisons").glob("*.npz"))
    assert len(tested) == (5 if name == "nih-auc" else 0)  # the other has no row to compare with
    for form in FORMATS:
        assert render(mine, form) == render(theirs, form)


def test_merging_again_adds_nothing_and_a_chain_of_bundles_is_kept(bundle, tmp_path):
    theirs = tmp_path / "theirs"
    merge(theirs, bundle)
    before = {path: path.read_bytes() for path in theirs.rglob("*.*")}
    found = merge(theirs, bundle)
    assert (found.added, len(found.present)) == ((), 6)
    assert {path: path.read_bytes() for path in theirs.rglob("*.*")} == before
    write_bundle(tmp_path / "on.zip", [p.parent for p in theirs.rglob("record.json")])
    merge(tmp_path / "third", tmp_path / "on.zip")
    chains = {tuple(each["merged_from"]) for each in find_records(tmp_path / "third")}
    files = bundle, tmp_path / "on.zip"
    assert chains == {tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)}
    assert len(merge(tmp_path / "mine", tmp_path / "on.zip").present) == 6


def test_a_different_row_is_kept(bundle, tmp_path, record):
    theirs = tmp_path / "theirs"
    mine = write_record(theirs, record(seed=0, cells=0.5), arrays(5))
    before = (mine / "record.json").read_bytes(), (mine / "scores.npz").read_bytes()
    found = merge(theirs, bundle)
    assert (len(found.added), len(found.different)) == (5, 1)
    assert before == ((mine / "record.json").read_bytes(), (mine / "scores.npz").read_bytes())


def rewritten(bundle, change, method=zipfile.ZIP_STORED):
    """Write the bundle again with changed members; hashes follow them."""
    with zipfile.ZipFile(bundle) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    index = json.loads(members["bundle.json"])
    for place, files in index["rows"].items():
        for name in files:
            found = members.get(f"{place}/{name}", b"")
            files[name] = hashlib.sha256(found).hexdigest()
    members["bundle.json"] = json.dumps(index).encode()
    with zipfile.ZipFile(bundle, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)


FIRST = "nih/space-attention-space-attention-0-0-0"
SECRET = "imagenome/secret-secret-0-0-0"


def edited(place, **values):
    def change(members):
        record = json.loads(members[f"{place}/record.json"])
        for key, value in values.items():
            record[key] = value
        members[f"{place}/record.json"] = json.dumps(record).encode()

    return change


def moved(to):
    def change(members):
        index = json.loads(members["bundle.json"])
        index["rows"][to] = index["rows"].pop(FIRST)
        members["bundle.json"] = json.dumps(index).encode()
        for name in ("record.json", "scores.npz"):
            members[f"{to}/{name}"] = members.pop(f"{FIRST}/{name}")

    return change


def with_scores(place, **more):
    def change(members):
        out = io.BytesIO()
        np.savez_compressed(out, **(arrays() | more))
        members[f"{place}/scores.npz"] = out.getvalue()
        index = json.loads(members["bundle.json"])
        index["rows"][place]["scores.npz"] = ""
        members["bundle.json"] = json.dumps(index).encode()
        digest = hashlib.sha256(out.getvalue()).hexdigest()
        edited(place, scores={"file": "scores.npz", "sha256": digest})(members)

    return change


def version(members):
    members["bundle.json"] = members["bundle.json"].replace(b'"bundle": 1', b'"bundle": 2')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (moved("../../outside"), "a folder or a file that no row has"),
        (moved("/etc/x"), "a folder or a file that no row has"),
        (moved("nih/.."), "a folder or a file that no row has"),
        (moved("nih/another"), "its record belongs into nih/space-attention"),
        (edited(FIRST, id="../../x"), "its record belongs into"),
        (edited(FIRST, schema=2), "schema is 2"),
        (edited(FIRST, scores={"file": "../x", "sha256": ""}), "its scores are in '../x'"),
        (edited(FIRST, scores=None), "not those that the record names"),
        (edited(SECRET, note=DICOM), "a DICOM identifier"),
        (with_scores(SECRET), "per-image scores of credentialed data"),
        (with_scores(FIRST, maps=np.zeros(1)), "'maps', which is no array of predictions"),
        (with_scores(FIRST, patients=np.array([None])), "no file of predictions"),
        (lambda members: members.update({"nih/x.py": b"1"}), "nothing that a bundle has"),
        (lambda members: members.update({"../record.json": b""}), "'../record.json' is doubled"),
        (lambda members: members.pop(f"{FIRST}/scores.npz"), "not both in the file and its index"),
        (lambda members: members.update({f"{FIRST}/record.json": b"{"}), "is not valid JSON"),
        (version, "reads bundles of version 1"),
    ],
)
def test_what_a_bundle_never_has_is_refused_and_nothing_is_written(
    bundle, tmp_path, change, message
):
    rewritten(bundle, change)
    with pytest.raises(RecordError, match=message):
        merge(tmp_path / "theirs", bundle)
    assert not (tmp_path / "theirs").exists()
    assert not (tmp_path / "outside").exists()


def test_a_changed_byte_is_refused(bundle, tmp_path):
    content = bytearray(bundle.read_bytes())
    place = content.index(b'"budget": "full"')
    content[place + 11 : place + 15] = b"FULL"
    bundle.write_bytes(content)
    with pytest.raises(RecordError, match="cannot be read as a bundle"):  # the zip's own check
        merge(tmp_path / "theirs", bundle)
    assert not (tmp_path / "theirs").exists()


def test_hashes_are_checked_and_not_only_checksums(bundle, tmp_path):
    with zipfile.ZipFile(bundle) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members[f"{FIRST}/record.json"] += b" "
    with zipfile.ZipFile(bundle, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(RecordError, match="is not the file that was bundled"):
        merge(tmp_path / "theirs", bundle)


def test_compressed_large_and_foreign_files_are_refused(bundle, tmp_path, monkeypatch):
    other = tmp_path / "other.zip"
    other.write_bytes(bundle.read_bytes())
    rewritten(other, lambda _: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(RecordError, match="is compressed, encrypted, too large"):
        merge(tmp_path / "theirs", other)
    other.write_bytes(b"no zip")
    with pytest.raises(RecordError, match="cannot be read as a bundle"):
        merge(tmp_path / "theirs", other)
    monkeypatch.setitem(bundles.LARGEST, "scores.npz", 1500)
    with pytest.raises(RecordError, match=r"too large|unpacks to more than 1,500"):
        merge(tmp_path / "theirs", bundle)


def test_scores_that_unpack_to_too_much_are_refused(bundle, tmp_path, monkeypatch):
    rewritten(bundle, with_scores(FIRST, metadata=np.zeros(1_000_000)))
    monkeypatch.setitem(bundles.LARGEST, "scores.npz", 100_000)
    with pytest.raises(RecordError, match="unpacks to more than 100,000 bytes"):
        merge(tmp_path / "theirs", bundle)


def test_scores_that_are_not_the_records_are_not_bundled(rows, tmp_path):
    (rows[1] / "scores.npz").write_bytes(b"others")
    with pytest.raises(RecordError, match="missing or not the file"):
        write_bundle(tmp_path / "rows.zip", rows)
    assert not (tmp_path / "rows.zip").exists()


def test_the_commands(rows, tmp_path):
    import typer
    from typer.testing import CliRunner

    from harness.cli import bundle as verbs
    from harness.cli import explain

    app = typer.Typer()
    verbs.register(app)
    explain.register(app)

    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    words = ("--results", tmp_path / "mine")
    ended = run("bundle", "space-attention", "ab12", "secret", "-o", tmp_path / "x.zip", *words)
    assert ended.exit_code == 0, ended.output
    assert f"{SECRET} (without per-image scores)" in ended.output
    assert "6 rows" in ended.output
    where = ("--results", tmp_path / "theirs")
    ended = run("merge", tmp_path / "x.zip", *where)
    assert "6 rows added, 0 were already" in ended.output
    digest = hashlib.sha256((tmp_path / "x.zip").read_bytes()).hexdigest()
    assert digest in run("explain", "ab12", *where).output
    write_record(tmp_path / "theirs", read_record(rows[3]) | {"budget": "smoke"})
    ended = run("merge", tmp_path / "x.zip", *where)
    assert isinstance(ended.exception, RecordError)
    assert "1 rows" in str(ended.exception)
