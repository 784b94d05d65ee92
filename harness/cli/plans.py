"""What would run, as people and as programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.engine.courses import Course
from harness.engine.rehearsal import Planned
from harness.progress import duration

HEADS = ("step", "name", "images", "at most", "batch", "parameters", "disk", "device time")


def print_courses(courses: Sequence[Course]) -> None:
    """Print what is left of each method and of all of them; a shared step stands there once."""
    for course in courses:
        _print(course)
    total, runs = total_of(courses), sum(len(course.left) for course in courses)
    disk = f"{_bytes(total['bytes'])}, of which {_bytes(total['store_bytes'])} packed images"
    print(f"\n{runs} runs, disk: {disk}")
    lacking = [c.order.method.label for c in courses if c.left and c.device_seconds is None]
    known = duration(total["device_seconds_known"])
    if not lacking:
        print(f"device time: {known}")
        return
    print(
        f"device time: {known if total['device_seconds_known'] else 'nothing'} is known; unknown, "
        f"at least in part: {', '.join(lacking)}; one record of a like run on this device is "
        "enough, of any seed and length"
    )


def _print(course: Course) -> None:
    from tabulate import tabulate

    order, plan = course.order, course.plan
    images = ", ".join(f"{count:,} {split}" for split, count in plan.images.items())
    how = "" if order.recipe.name == "paper" else f", {order.recipe.name} recipe"
    print(f"\n{order.method.label} on {order.dataset.name} ({order.budget.name}{how}): {images}")
    if course.complete:
        print(f"complete, not run again: seed {', '.join(map(str, course.complete))}")
    if not course.left:
        return
    own = [step for step in plan.steps if step.digest not in course.shared]
    print(tabulate([_row(course, step) for step in own], HEADS, disable_numparse=True))
    for whom in dict.fromkeys(course.shared.values()):
        names = [s.name for s in plan.steps if course.shared.get(s.digest) == whom]
        print(f"shared with {whom}: {', '.join(names)}")
    seeds = "" if len(course.left) == 1 else f" for each of {len(course.left)} seeds"
    print(
        f"packed images: {_bytes(plan.store_bytes)}; test images: "
        f"{_seconds(course.seconds.get('prediction'))}{seeds}"
    )


def _row(course: Course, step: Planned) -> tuple[object, ...]:
    timed = step.kind in ("stage", "map")
    return (
        step.kind,
        step.name,
        f"{step.images:,}" if step.images else "",
        f"{step.epochs} epochs" if step.epochs else f"{step.steps} steps" * bool(step.steps),
        step.batch_size or "",
        f"{step.parameters:,}" if step.parameters else "",
        _bytes(step.bytes) if step.bytes else "",
        _seconds(course.seconds.get(step.digest)) if timed else "",
    )


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else duration(value)


def total_of(courses: Sequence[Course]) -> dict[str, Any]:
    """Return bytes and device seconds of all; images are packed once for each view."""
    stores = {str(c.order.method.model.view): c.plan.store_bytes for c in courses if c.left}
    seconds = [course.device_seconds for course in courses]
    known = sum(len(c.left) * sum(v for v in c.seconds.values() if v is not None) for c in courses)
    return {
        "store_bytes": sum(stores.values()),
        "bytes": sum(stores.values()) + sum(course.bytes for course in courses),
        "device_seconds": None if None in seconds else known,
        "device_seconds_known": known,
    }


def as_plain(course: Course) -> dict[str, Any]:
    """Return a course as what ``--json`` prints."""
    order, plan = course.order, course.plan
    return {
        "method": order.method.label,
        "dataset": order.dataset.name,
        "budget": order.budget.name,
        "recipe": order.recipe.name,
        "images": dict(plan.images),
        "seeds": course.left,
        "complete": course.complete,
        "steps": [
            {
                **vars(step),
                "shared_with": course.shared.get(step.digest),
                "device_seconds": course.seconds.get(step.digest),
            }
            for step in plan.steps
        ],
        "bytes": plan.bytes,
        "device_seconds": course.device_seconds,
    }
