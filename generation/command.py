"""The backend that the options of `emonet-face generate` ask for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from emonet_face.errors import EmoNetFaceError
from generation.backends import Backend
from generation.schematic_backend import SchematicBackend

BACKENDS = ("schematic", "diffusers")


def backend_from(
    name: str,
    *,
    model: str | None = None,
    batch_size: int | None = None,
    options: Sequence[str] = (),
    **settings: Any,
) -> Backend:
    """The backend of a name.

    Args:
        name: one of BACKENDS.
        model: Hub id or folder; diffusers only.
        batch_size: None: 1 for a pipeline.
        options: NAME=JSON each; text that is not JSON is taken as it stands.
        settings: further arguments of `DiffusersBackend`; None or "auto": not given.

    Raises:
        EmoNetFaceError: an unknown name, no model, an option that the backend has no use for, or
            see `DiffusersBackend`.
    """
    if name not in BACKENDS:
        raise EmoNetFaceError(f"unknown backend {name!r}; allowed: {', '.join(BACKENDS)}")
    settings = {key: value for key, value in settings.items() if value not in (None, "auto")}
    if name == "schematic":
        unused = [*settings, *(["model"] if model else [])]
        unused += ["option"] * bool(options)
        if unused:
            raise EmoNetFaceError(f"the schematic backend has no --{unused[0]}")
        return SchematicBackend() if batch_size is None else SchematicBackend(batch_size)
    if model is None:
        raise EmoNetFaceError("the diffusers backend needs --model: a Hub id or a folder")
    try:
        import diffusers  # noqa: F401
    except ModuleNotFoundError:
        raise EmoNetFaceError(
            "the diffusers backend needs diffusers: pip install 'emonet-face[generate]'"
        ) from None
    from generation.diffusers_backend import DiffusersBackend

    named = dict(_named(option) for option in options)
    return DiffusersBackend(model, batch_size=batch_size or 1, options=named, **settings)


def _named(option: str) -> tuple[str, Any]:
    name, sign, value = option.partition("=")
    if not name or not sign:
        raise EmoNetFaceError(f"--option {option!r}: give NAME=JSON")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
