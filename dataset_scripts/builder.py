"""`EmoNetFace`: the configs as a `datasets` builder, for people who work from raw sources.

    from dataset_scripts import EmoNetFace

    builder = EmoNetFace(config_name="binary", votes="binary.csv")
    builder.download_and_prepare()
    dataset = builder.as_dataset(split="train")

The same row generators as in `emonet-face build` stand behind it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import datasets

from dataset_scripts import big, binary, hq
from dataset_scripts.rejects import Reject, Rejects
from dataset_scripts.schema import SPLITS, Row, features
from emonet_face.errors import EmoNetFaceError

logger = logging.getLogger(__name__)


@dataclass
class RawConfig(datasets.BuilderConfig):
    """Where the raw sources of a config are.

    Attributes:
        ratings: of `hq`: CSV in the form of the published `hq.csv`.
        votes: of `binary`: CSV in the form of the published `binary.csv`.
        source: of `big`: folder of images and records or of `*.tar`, or one `.tar`.
        labels: of `big`, optional: JSON lines of `annotate`.
        images, prompts: of `hq` and `binary`, optional: folder of images, JSON lines of prompts.
        strict: a rejected row is an error; otherwise rejects are counted in a warning.
    """

    ratings: str | Path | None = None
    votes: str | Path | None = None
    source: str | Path | None = None
    labels: str | Path | None = None
    images: str | Path | None = None
    prompts: str | Path | None = None
    strict: bool = False

    def paths(self) -> dict[str, Path]:
        """The sources that were given, by argument name."""
        own = {f.name for f in fields(self)} - {f.name for f in fields(datasets.BuilderConfig)}
        given = {name: getattr(self, name) for name in sorted(own - {"strict"})}
        return {name: Path(value) for name, value in given.items() if value is not None}

    def create_config_id(
        self, config_kwargs: dict[str, Any], custom_features: datasets.Features | None = None
    ) -> str:
        """The cache key, with the state of the sources in it: a changed file is read again."""
        state = hashlib.sha256()
        for name, path in self.paths().items():
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file():
                    about = file.stat()
                    state.update(f"{name} {file} {about.st_size} {about.st_mtime_ns}\n".encode())
        kwargs = {key: str(value) for key, value in config_kwargs.items()}
        return super().create_config_id({**kwargs, "state": state.hexdigest()}, custom_features)


_VERSION = datasets.Version("1.0.0")
_ROWS = {"hq": hq.rows, "binary": binary.rows, "big": big.rows}
_NEEDED = {"hq": "ratings", "binary": "votes", "big": "source"}
_OPTIONAL = {"hq": ("images", "prompts"), "binary": ("images", "prompts"), "big": ("labels",)}


class EmoNetFace(datasets.GeneratorBasedBuilder):
    """Configs `hq`, `binary` and `big` from raw sources, with the columns of the dataset repo."""

    VERSION = _VERSION
    BUILDER_CONFIG_CLASS = RawConfig
    BUILDER_CONFIGS = [RawConfig(name=name, version=_VERSION) for name in _ROWS]  # noqa: RUF012
    DEFAULT_CONFIG_NAME = "hq"
    DEFAULT_WRITER_BATCH_SIZE = 100

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("dataset_name", "emonet-face")
        super().__init__(*args, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=features(self.config.name))

    def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
        name = self.config.name
        paths = self.config.paths()
        allowed = (_NEEDED[name], *_OPTIONAL[name])
        wrong = next((key for key in paths if key not in allowed), None)
        if wrong is not None:
            raise EmoNetFaceError(f"config {name!r} has no {wrong!r}; it has {', '.join(allowed)}")
        if _NEEDED[name] not in paths:
            raise EmoNetFaceError(f"config {name!r} needs {_NEEDED[name]!r}: the raw source")
        return [datasets.SplitGenerator(name=SPLITS[name], gen_kwargs={"paths": paths})]

    def _generate_examples(self, paths: dict[str, Path]) -> Iterator[tuple[str, Row]]:
        rest = dict(paths)
        source = rest.pop(_NEEDED[self.config.name])
        rejects = Rejects(strict=self.config.strict)
        found: Iterator[Row | Reject] = _ROWS[self.config.name](source, **rest)
        for row in rejects.accepted(found, source=source):
            yield row["image_id"], row
        for kind, n in rejects.reasons.items():
            logger.warning("%s: %d rejected: %s", source, n, kind)
