"""The part of JSON Schema that `results.schema.json` uses: a test can hold results to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
_KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "properties", "required", "items",
    "additionalProperties", "enum", "const", "minimum", "exclusiveMinimum", "exclusiveMaximum",
    "allOf", "unevaluatedProperties",
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> Iterator[str]:
    """Every place where the value is not as the schema says; a keyword we do not know is one."""
    unknown = set(schema) - _KNOWN
    if unknown:
        yield f"{at}: the schema has unknown keywords {sorted(unknown)}"
    if "$ref" in schema:
        yield from faults(value, _target(schema["$ref"], root), root, at)
    for part in schema.get("allOf", ()):
        yield from faults(value, part, root, at)
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if "type" in schema and not _has_type(value, schema["type"]):
        yield f"{at}: {value!r} is no {schema['type']}"
        return
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
        below = schema.get("exclusiveMaximum")
        if (low is not None and value < low) or (above is not None and value <= above):
            yield f"{at}: {value!r} is too small"
        if below is not None and value >= below:
            yield f"{at}: {value!r} is too large"
    if isinstance(value, dict):
        yield from _object(value, schema, root, at)
    if isinstance(value, list) and "items" in schema:
        for place, entry in enumerate(value):
            yield from faults(entry, schema["items"], root, f"{at}[{place}]")


def _target(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    target = root
    for key in reference.removeprefix("#/").split("/"):
        target = target[key]
    return target


def _has_type(value: Any, names: str | list[str]) -> bool:
    for name in [names] if isinstance(names, str) else names:
        if isinstance(value, bool) and name != "boolean":
            continue
        if isinstance(value, _TYPES[name]):
            return True
    return False


def _object(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str
) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: lacks {name!r}"
    if schema.get("unevaluatedProperties") is False:
        known = _evaluated(schema, root)
        for name in value.keys() - known:
            yield f"{at}: {name!r} is not in the schema"
    for name, entry in value.items():
        if name in properties:
            yield from faults(entry, properties[name], root, f"{at}.{name}")
        elif isinstance(others, dict):
            yield from faults(entry, others, root, f"{at}.{name}")
        elif not others:
            yield f"{at}: {name!r} is not in the schema"


def _evaluated(schema: dict[str, Any], root: dict[str, Any]) -> set[str]:
    """Names of the properties that a schema and its parts speak of."""
    names = set(schema.get("properties", ()))
    for part in schema.get("allOf", ()):
        names |= _evaluated(_target(part["$ref"], root) if "$ref" in part else part, root)
    return names
