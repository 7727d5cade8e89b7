"""Rules on columns: those of a shard, and those the front matter tells of, must be the config's.

Loaders accept wrong category names without a word, so names are compared one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dataset_scripts.schema import features

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

_SHOWN = 80


def wrong_schema(schema: pa.Schema, config: str) -> str:
    """How the columns of a shard differ from those of its config; "" where they agree.

    Names, their order and types; and the categories in the `huggingface` metadata, which are
    believed where there is no README.
    """
    from datasets import Features

    expected = features(config).arrow_schema
    wrong = _wrong_names(schema.names, config)
    if wrong:
        return wrong
    for found, right in zip(schema, expected, strict=True):
        if found.type != right.type:
            return f"column {found.name!r} is {_short(found.type)}, must be {_short(right.type)}"
    if b"huggingface" not in (schema.metadata or {}):
        return ""
    try:
        return _wrong_types(Features.from_arrow_schema(schema), config)
    except Exception as error:  # any text may stand in the metadata
        return f"the huggingface metadata cannot be read ({error})"


def wrong_yaml(listed: Any, config: str) -> str:
    """How the `features` of a front matter differ from those of a config; "" where they agree."""
    from datasets import Features

    try:
        found = Features._from_yaml_list(listed)
    except Exception as error:  # any shape may stand in the YAML
        return f"cannot be read ({error})"
    return _wrong_names(list(found), config) or _wrong_types(found, config)


def _wrong_names(found: Sequence[str], config: str) -> str:
    expected = list(features(config))
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing or extra:
        parts = [f"column {missing[0]!r} is missing"] if missing else []
        parts += [f"column {extra[0]!r} is unknown"] if extra else []
        return " and ".join(parts)
    if list(found) != expected:
        return f"the columns are in the order {', '.join(found)}; must be {', '.join(expected)}"
    return ""


def _wrong_types(found: Features, config: str) -> str:
    for name, right in features(config).items():
        if found[name] != right:
            return f"column {name!r} {_unlike(found[name], right)}"
    return ""


def _unlike(found: Any, expected: Any) -> str:
    """The innermost difference of two types that are not equal."""
    from datasets import ClassLabel, List

    if isinstance(found, List) and isinstance(expected, List) and found.length == expected.length:
        return _unlike(found.feature, expected.feature)
    if isinstance(found, dict) and isinstance(expected, dict) and list(found) == list(expected):
        name = next(name for name in expected if found[name] != expected[name])
        return f"-> {name!r} {_unlike(found[name], expected[name])}"
    if isinstance(found, ClassLabel) and isinstance(expected, ClassLabel):
        if len(found.names) != len(expected.names):
            return f"has {len(found.names)} category names, must be {len(expected.names)}"
        pairs = zip(found.names, expected.names, strict=True)
        for index, (name, right) in enumerate(pairs):
            if name != right:
                return f"names category {index} {name!r}, must be {right!r}"
    return f"is {_short(found)}, must be {_short(expected)}"


def _short(kind: Any) -> str:
    text = str(kind)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
