"""The keys that every record has, and what they may hold."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import RecordError

Record = dict[str, Any]

SCHEMA = 1

_FIELDS: Mapping[str, tuple[type, ...]] = {
    "schema": (int,),
    "id": (str,),
    "seed": (int,),
    "method": (str,),
    "label": (str,),
    "kind": (str,),
    "dataset.name": (str,),
    "dataset.protocol": (str,),
    "dataset.fingerprints": (dict,),
    "dataset.counts": (dict,),
    "dataset.policy": (dict,),
    "dataset.phantom": (dict, type(None)),
    "dataset.credentialed": (bool,),
    "dataset.classes": (list,),
    "budget": (str,),
    "recipe": (str,),
    "tta": (str,),
    "hyperparameters": (dict,),
    "metrics": (dict,),
    "throughput": (dict,),
    "device": (dict,),
    "stages": (list,),
    "versions": (dict,),
    "git": (dict,),
    "command": (list,),
    "scores": (dict, type(None)),
}


def check_record(record: object, where: object) -> None:
    """Raise a RecordError that names ``where`` and the key if a record is not one."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise RecordError(f"{where}: schema is {found}, this version reads {SCHEMA}.")
    for key, kinds in _FIELDS.items():
        value = _find(record, key, where)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise RecordError(f"{where}: '{key}' is {value!r}; {wanted} is needed.")
    if record["kind"] not in {"measured", "imported"}:
        raise RecordError(f"{where}: 'kind' is '{record['kind']}', not measured or imported.")
    for name, metric in scored(record["metrics"]):
        _check_metric(metric, f"{where}: metrics.{name}")


def scored(metrics: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield (name, entry) for all that has a mean and classes; ``localization/largest/iou>0.3``."""
    for name in ("auroc", "region_auroc"):
        if name in metrics:
            yield name, metrics[name]
    for boxes, measures in metrics.get("localization", {}).items():
        for measure, entry in measures.items():
            yield f"localization/{boxes}/{measure}", entry


def _find(record: Record, key: str, where: object) -> object:
    value: object = record
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise RecordError(f"{where}: the key '{key}' is missing.")
        value = value[part]
    return value


def _check_metric(entry: object, where: str) -> None:
    if not isinstance(entry, dict) or not {"mean", "classes"} <= entry.keys():
        raise RecordError(f"{where} needs 'mean' and 'classes'.")
    for name, cell in {"mean": entry["mean"], **entry["classes"]}.items():
        for part in ("value", "low", "high"):
            value = cell.get(part)
            if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
                raise RecordError(f"{where}.{name}.{part} is {value!r}; null or 0 to 1 is needed.")
