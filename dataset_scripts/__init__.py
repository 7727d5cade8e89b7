"""Raw files -> checked Parquet dataset repo, one builder per config.

>>> from dataset_scripts import build_binary, EmoNetFace  # doctest: +SKIP

Names are imported when first used: the `datasets` library takes a second to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "EmoNetFace": ("builder", "EmoNetFace"),
    "build_hq": ("hq", "build_hq"),
    "build_binary": ("binary", "build_binary"),
    "build_big": ("big", "build_big"),
}
__all__ = ["EmoNetFace", "build_big", "build_binary", "build_hq"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)
