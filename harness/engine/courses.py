"""What is left to do for a list of runs: which are recorded, what they share, how long it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.engine import job
from harness.engine.forecast import Forecast
from harness.engine.plan import Order, Plan, plan
from harness.engine.rehearsal import Planned
from harness.home import home

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Course:
    """One method: its seeds with and without a record, its steps, and whose it shares.

    ``shared`` says of a step, by its digest, who trains it. ``seconds`` are device seconds of one
    seed by step and of prediction, None where nothing like it was measured; of a shared step 0.
    """

    order: Order
    plan: Plan
    left: list[int]
    complete: list[int]
    shared: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def device_seconds(self) -> float | None:
        """Device seconds of all seeds that are left, None where a part of them is unknown."""
        known = [value for value in self.seconds.values() if value is not None]
        if self.left and len(known) < len(self.seconds):
            return None
        return len(self.left) * sum(known)

    @property
    def bytes(self) -> int:
        """Bytes that steps of its own will take, for all seeds that are left."""
        own = [step for step in self.plan.steps if step.digest not in self.shared]
        return len(self.left) * sum(step.bytes for step in own)


def complete(order: Order, records: Sequence[Record]) -> dict[int, Record]:
    """Return the records that an order's runs would write again, by seed.

    All of a run's identity is compared but its pixels, which are not opened for it.
    """
    lists = {
        name: job.fingerprints(other, {"train": other.splits["train"]})
        for name, other in order.auxiliary.items()
    }
    rows = job.used_rows(order.dataset, order.budget)
    what = (order.budget, order.recipe, order.compute)
    wanted = _text(job.declared(order.method, order.dataset, rows, lists, *what))
    return {r["seed"]: r for r in records if wanted == _text(r.get("identity", {}))}


def _text(facts: Mapping[str, Any]) -> str:
    known = {name: value for name, value in facts.items() if name != "pixels"}
    return json.dumps(known, sort_keys=True, default=str)


class Planner:
    """Finds out the courses of one order after the other.

    A step that an earlier order takes, or took where its record and what it learnt are here, is
    shared. With ``again``, runs that have a record are run again all the same.
    """

    def __init__(
        self, seeds: Sequence[int], records: Sequence[Record], *, again: bool = False
    ) -> None:
        self._seeds, self._records, self._again = seeds, records, again
        self._taken: dict[str, str] = {}

    def course(self, order: Order) -> Course:
        """Rehearse an order and return its course.

        Raises:
            HarnessError: the rehearsal has found a mistake.
        """
        done = {} if self._again else complete(order, self._records)
        found = plan(order, backward=False)
        left = [seed for seed in self._seeds if seed not in done]
        shared = {s.digest: self._taken[s.digest] for s in found.steps if s.digest in self._taken}
        expected = Forecast(order, found, self._records).seconds()
        seconds = {name: 0.0 if name in shared else value for name, value in expected.items()}
        steps = found.steps if left else _kept(found.steps, next(iter(done.values())))
        self._taken = {s.digest: order.method.label for s in steps if s.digest} | self._taken
        recorded = [seed for seed in self._seeds if seed in done]
        return Course(order, found, left, recorded, shared, seconds)


def _kept(steps: Sequence[Planned], record: Record) -> list[Planned]:
    """Return the steps of a recorded run whose stages and maps lie in this home."""
    learnt = [step for step in steps if step.kind in ("stage", "map")]
    return [
        step
        for step, entry in zip(learnt, record["stages"], strict=False)
        if (home() / f"{step.kind}s" / entry["digest"]).exists()
    ]
