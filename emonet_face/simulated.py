"""What is simulated says so: annotators by their names, a model by the record of its training.

>>> is_simulated("simulated-human-1"), is_simulated("human-1")
(True, False)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError

PREFIX = "simulated"
TRAINING_RECORD = "training.json"
_PUBLISHED_HEADS = "emonet-face convert"


def is_simulated(annotator: str) -> bool:
    """Whether the name says that the annotator is a program that imitates one."""
    return annotator.casefold().startswith(PREFIX)


def trained_on_simulated(record: Mapping[str, Any]) -> bool | None:
    """Whether a model learnt from simulated annotators, by what its training.json says.

    True where one of them is simulated, False where none is or the heads are the published ones,
    None where the record names nobody.
    """
    stages = record.get("stages", {}).values()
    names = [name for stage in stages for name in stage.get("annotators", [])]
    if any(map(is_simulated, names)):
        return True
    return False if names or record.get("made_by") == _PUBLISHED_HEADS else None


def model_is_simulated(folder: Path) -> bool | None:
    """`trained_on_simulated` of a model repo; None where there is no such folder or record.

    Raises:
        EmoNetFaceError: the record cannot be used.
    """
    path = folder / TRAINING_RECORD
    if not path.is_file():
        return None
    try:
        return trained_on_simulated(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise EmoNetFaceError(f"{path}: is no record of a training ({error})") from None


def beside(product: Path, model_id: str) -> Path:
    """Where the folder of a model is, if it lies beside another product: NAME of ORG/NAME."""
    return product.resolve().parent / model_id.rpartition("/")[2]
