"""What a record says, in words: the same to whoever explains a row and whoever reports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.metrics.evaluated import RESAMPLES

Fact = tuple[str, str]


def made_with(record: Mapping[str, Any]) -> list[Fact]:
    """Return with what a run was made; what does not apply is left out."""
    data, git = record["dataset"], record["git"]
    plugin = record.get("plugin", {})
    found = [
        ("dataset", f"{data['name']}, protocol {data['protocol']}"),
        ("labels", _pairs(data["policy"])),
        ("phantom", _pairs(data["phantom"] or {})),
        ("budget, recipe, TTA", ", ".join(record[key] for key in ("budget", "recipe", "tta"))),
        ("settings", ", ".join(_settings(record))),
        ("weights", _pairs(record.get("weights", {}))),
        ("selected by", record.get("selection") or ""),
        ("plugin", " ".join(str(plugin.get(key, "")) for key in ("origin", "version")).strip()),
        ("device", _pairs(record["device"], ": ")),
        ("versions", _pairs(record["versions"])),
        ("commit", git.get("commit", "") + (" with changes" if git.get("changed") else "")),
        ("intervals", f"{record.get('resamples', RESAMPLES):,} resamples of patients"),
        ("pixels", data.get("pixels", "")),
        ("left out, unreadable", data.get("left_out", 0)),
        ("merged from", ", ".join(record.get("merged_from", []))),
        ("notes", " ".join(record.get("notes", ()))),
    ]
    return [(name, str(value)) for name, value in found if value]


def lists(record: Mapping[str, Any]) -> list[Fact]:
    """Return the whole fingerprint of each split's list of images."""
    prints = record["dataset"]["fingerprints"]
    return [(f"{split} list", str(digest)) for split, digest in prints.items()]


def stage_sentence(stage: Mapping[str, Any]) -> str:
    """Say in a sentence what a stage or a map of a record was and took."""
    if stage["kind"] == "map":
        return f"map {stage['name']}: {stage['images']:,} images, digest {stage['digest']}"
    shared = ", found in the cache" if stage.get("shared") else ""
    seconds = sum(stage["seconds"].values())
    return (
        f"stage {stage['name']}: {stage['epochs']} epochs of {stage['images']:,} images in "
        f"{seconds:,.0f} s, best {stage['best_epoch'] or 'last'}, digest {stage['digest']}{shared}"
    )


def _pairs(values: Mapping[str, Any], between: str = " ") -> str:
    return ", ".join(f"{name}{between}{value}" for name, value in values.items())


def _settings(record: Mapping[str, Any]) -> Iterator[str]:
    for name, entry in record["hyperparameters"].items():
        origin = "" if entry["origin"] == "default" else f" ({entry['origin']})"
        yield f"{name}={entry['value']}{origin}"
