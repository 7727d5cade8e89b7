"""Released head files and a vision tower -> one model repo.

    emonet-face convert --heads DIR --backbone google/siglip2-so400m-patch16-384 --out DIR

The heads are stacked into one safetensors file beside the tower; config.json gets the names of the
outputs, the scales and the neutral means; training.json says what the repo was made from.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import check_replaceable
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES
from modeling_empathicinsight.released_heads import read_heads
from modeling_empathicinsight.released_neutral import check_given, means_for
from modeling_empathicinsight.repository import is_model_repo, make_config, write_model_repo

MADE_BY = "emonet-face convert"
DROPOUT = 0.1
DROPOUT_SOURCE = {
    "small": "as published",
    "large": "not published for Large: the value of Small; scores do not depend on it",
}


def convert(
    heads: Path,
    backbone: str | Path,
    out: Path,
    *,
    size: str | None = None,
    neutral: Path | None = None,
) -> dict[str, Any]:
    """Write a complete model repo (without card) from released head files.

    Args:
        heads: folder of `model_<slug>_best.pth`, 40 or 44.
        backbone: the tower the heads were trained on, in any form that `load_backbone` takes. The
            heads do not say which that was; only the width of its embedding can be checked. The
            released heads belong to google/siglip2-so400m-patch16-384.
        out: folder; an existing model repo there is replaced.
        size: "small" or "large"; None: told from the shapes.
        neutral: where the neutral means come from (see `means_for`). None: the published constants,
            which are known for Small alone.

    Returns:
        What training.json says.

    Raises:
        EmoNetFaceError: see `read_heads`, `means_for` and `load_backbone`; heads of another width
            than the tower's; or `out` exists and is not a model repo.
    """
    if size is not None and size not in HIDDEN_SIZES:
        raise EmoNetFaceError(f"size is {size!r}: must be one of {', '.join(HIDDEN_SIZES)}")
    check_replaceable(Path(out), is_model_repo)
    released = read_heads(Path(heads), size)
    check_given(released, neutral)
    tower = load_backbone(backbone)
    width = tower.tower.config.hidden_size
    if released.embedding_size != width:
        raise EmoNetFaceError(
            f"{heads}: the heads take embeddings of {released.embedding_size} numbers, but"
            f" {backbone} gives {width}; give the tower they were trained on"
        )
    stacked = released.stacked(DROPOUT)
    means, source = means_for(released, neutral, tower, stacked)
    config = make_config(
        tower, released.names, means, source, head_size=released.size, head_dropout=DROPOUT
    )
    record = {
        "made_by": MADE_BY,
        "version": __version__,
        "versions": {name: version(name) for name in ("torch", "transformers", "safetensors")},
        "size": released.size,
        "outputs": len(released.names),
        "head_dropout_source": DROPOUT_SOURCE[released.size],
        "backbone": {
            "name": str(backbone) if tower.revision else Path(backbone).name,
            "revision": tower.revision,
            "tower_sha256": tower.sha256,
        },
        "neutral_source": source,
        "head_files_sha256": released.sha256,
    }
    write_model_repo(Path(out), config, tower, stacked, record)
    return record
