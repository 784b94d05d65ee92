"""Which measured rows cannot be told from the best: paired tests on their stored predictions.

A file of predictions is reduced once, and kept in HARNESS_HOME under its hash; so is what the
tests of a group of rows say, under the hashes of all of them. A table that is printed again reads
records only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.files import read_json, write_json, write_npz
from harness.home import home
from harness.progress import Bar
from harness.results.form import MEAN, Row
from harness.results.records import folder_of, read_record, read_scores
from harness.results.schema import Record

if TYPE_CHECKING:
    from harness.metrics.compare import Row as Joint
    from harness.metrics.compare import Run

VERSION = 1  # of what is kept: other resamples or tests need another
_JOINT = ("influence", "draws")
Seeds = Mapping[int, tuple[str, ...]]
"""The hashes of the predictions of each seed of a row."""


@dataclass(frozen=True)
class Tested:
    """Positions of the rows that were tested and, by column, of those among the best."""

    rows: frozenset[int] = frozenset()
    best: Mapping[str, frozenset[int]] | None = None

    def kept(self, row: int, column: str) -> bool:
        """Whether a tested row is not distinguishable from the best one."""
        return self.best is not None and row in self.best.get(column, frozenset())


class Predictions:
    """The predictions behind a table's records, which lie in ``root``."""

    def __init__(self, root: Path, records: Sequence[Record]) -> None:
        self._root = root
        self._records = {str(record.get("folder")): record for record in records}
        self._folders = {
            record["scores"]["sha256"]: root / folder
            for folder, record in self._records.items()
            if record["scores"] is not None
        }

    def test(self, rows: Sequence[Row], columns: Sequence[str]) -> Tested:
        """Compare rows of one test split with the best of them, on each column and on the mean.

        Tested are rows of at least two seeds whose predictions are here and were scored on the
        images and labels that most of them share.
        """
        seeds = {i: found for i, row in enumerate(rows) if len(found := self._seeds(row)) > 1}
        if len(seeds) < 2:
            return Tested()
        order = sorted(seeds, key=lambda i: sorted(seeds[i].items()))
        group = [seeds[i] for i in order]
        about = json.dumps([VERSION, list(columns), [sorted(each.items()) for each in group]])
        path = _kept_at(f"{hashlib.sha256(about.encode()).hexdigest()}.json")
        if not path.exists():
            write_json(path, self._decide(group, columns))
        found = read_json(path)
        best = {column: frozenset(order[i] for i in kept) for column, kept in found["best"].items()}
        return Tested(frozenset(order[i] for i in found["tested"]), best)

    def _seeds(self, row: Row) -> Seeds:
        """Return the predictions of each seed; nothing where some are not on this machine."""
        found: dict[int, tuple[str, ...]] = {}
        for folder in row.records:
            record = self._records.get(folder)
            if record is None or record["scores"] is None or not self._here(record):
                return {}
            before = found.get(record["seed"], ())
            found[record["seed"]] = tuple(sorted((*before, record["scores"]["sha256"])))
        return found

    def _here(self, record: Record) -> bool:
        digest = record["scores"]["sha256"]
        kept, scores = _kept_at(f"{digest}.npz"), _scores_of(self._folders[digest], record)
        return kept.exists() or scores.exists()

    def _decide(self, group: Sequence[Seeds], columns: Sequence[str]) -> dict[str, Any]:
        """Return the positions of the tested rows and, by column, of the best among them."""
        from harness.metrics.families import best

        self._reduce({digest for seeds in group for each in seeds.values() for digest in each})
        rows = {i: row for i, seeds in enumerate(group) if (row := _joint(i, seeds, columns))}
        if not rows:
            return {"tested": [], "best": {}}
        usual = Counter(ground for ground, _ in rows.values()).most_common(1)
        tested = [i for i, (ground, _) in rows.items() if ground == usual[0][0]]
        joint = [rows[i][1] for i in tested]
        alike = len({tuple(sorted(group[i])) for i in tested}) == 1  # the same seeds are pairs
        ends = {MEAN: None} | {column: c for c, column in enumerate(columns)}
        kept = {column: best(joint, c, alike).rows for column, c in ends.items()}
        places = {column: [int(name) for name in names] for column, names in kept.items()}
        return {"tested": tested, "best": places}

    def _reduce(self, digests: set[str]) -> None:
        """Reduce the files of predictions that were not before, on all cores."""
        missing = sorted(digest for digest in digests if not _kept_at(f"{digest}.npz").exists())
        cores = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(cores) as pool, Bar("comparing", len(missing), "runs") as bar:
            for _ in pool.map(_reduce, [self._folders[d] for d in missing], missing):
                bar.advance()


def _kept_at(name: str) -> Path:
    return home() / "comparisons" / name


def _scores_of(folder: Path, record: Record) -> Path:
    """Return where the predictions of a record are on the machine that made it."""
    secret = record["dataset"]["credentialed"]
    return (home() / "private" / folder_of(record) if secret else folder) / "scores.npz"


def _reduce(folder: Path, digest: str) -> None:
    """Keep what comparisons need of one run's predictions."""
    from harness.metrics.compare import measure

    private = home() / "private" / folder_of(read_record(folder))
    found = read_scores(folder, private)
    run = measure(found["scores"], found["targets"], found["patients"])
    ground = hashlib.sha256("\n".join([*found["names"], *found["patients"]]).encode())
    ground.update(np.asarray(found["targets"], np.float32).tobytes())
    arrays: dict[str, NDArray[Any]] = {
        "auroc": run.auroc,
        "influence": run.influence.astype(np.float32),
        "draws": run.draws.astype(np.float32),
        "classes": found["classes"],
        "ground": np.array(ground.hexdigest()),
    }
    write_npz(_kept_at(f"{digest}.npz"), arrays)


def _read(digest: str, columns: Sequence[str]) -> tuple[str, Run] | None:
    """Return what a run was scored on and what comparisons need of these classes of it."""
    from harness.metrics.compare import Run

    with np.load(_kept_at(f"{digest}.npz"), allow_pickle=False) as kept:
        classes = kept["classes"].tolist()
        if not set(columns) <= set(classes):
            return None
        chosen = [classes.index(column) for column in columns]
        influence, draws = (kept[key].astype(np.float64)[:, chosen] for key in _JOINT)
        run = Run(kept["auroc"][chosen], np.arange(len(influence)), influence, draws)
        return str(kept["ground"]), run  # equal ground: position g is the same patient


def _joint(position: int, seeds: Seeds, columns: Sequence[str]) -> tuple[str, Joint] | None:
    """Return what a row was scored on and the row; None if its seeds differ in that."""
    from harness.metrics.compare import Run, row

    runs = []
    grounds = set()
    for seed in sorted(seeds):
        read = [_read(digest, columns) for digest in seeds[seed]]
        known = [each for each in read if each is not None]
        grounds |= {ground for ground, _ in known} if len(known) == len(read) else {"", "none"}
        if len(grounds) > 1:
            return None
        same = [run for _, run in known]  # of one seed: averaged, as in the table
        parts = [np.mean([getattr(run, key) for run in same], axis=0) for key in ("auroc", *_JOINT)]
        runs.append(Run(parts[0], same[0].patients, parts[1], parts[2]))
    return grounds.pop(), row(str(position), runs)
