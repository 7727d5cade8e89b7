"""A tiny model repo with drawn weights, made in a moment, and its export, made once a test run."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.export import Exported, export
from modeling_empathicinsight.heads_training import new_heads
from modeling_empathicinsight.repository import make_config, output_names, write_model_repo
from modeling_empathicinsight.tower import make_tower


def make_model(out: Path, *, dimensions: bool = True, image_size: int = 32) -> Path:
    """Write a model repo whose scores differ a little between pictures; its tower lies beside it.

    Neutral means differ between the outputs, so that forgetting them is seen.
    """
    tower = make_tower(
        out.with_name(f"{out.name}-tower"),
        image_size=image_size,
        patch_size=16,
        hidden=32,
        layers=1,
        heads=2,
    )
    backbone = load_backbone(tower)
    names = output_names(dimensions)
    means = [0.01 * index for index in range(len(names))]
    config = make_config(backbone, names, means, "made up", head_size="small")
    write_model_repo(out, config, backbone, new_heads(len(names), 32, [128, 32], 0.1, 0), {})
    return out


@functools.cache
def exported_model() -> Exported:
    """A model of 44 outputs exported into its own folder: tracing it takes half a minute's work.

    Two files of tests look at it and change nothing.
    """
    folder = tempfile.mkdtemp(prefix="emonet-face-export-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (done,) = export(make_model(Path(folder) / "model"))
    return done
