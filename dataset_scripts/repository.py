"""The dataset repo: write or replace configs, whole or not at all, and say what was built.

A repo is a folder with a README whose front matter has the tag `emonet-face`. New shards are
written aside, what stays is linked beside them, `croissant.json` and then the README come last, and
one rename puts the folder in place: whoever loads it meanwhile sees the old repo or the new one.

The `description` of each `configs:` entry ends in the sha256 of its shards, because `load_dataset`
caches a local folder by the text of its YAML alone and would serve old rows for changed shards. It
knows no other key there for text, and drops from `dataset_info` what it does not know.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_scripts.croissant import write_croissant
from dataset_scripts.rejects import Reject, Rejects, rejects_file, rejects_path
from dataset_scripts.repo_files import CROISSANT, check_outputs
from dataset_scripts.schema import (
    CONFIGS,
    SPLITS,
    Row,
    features,
    shard_pattern,
)
from dataset_scripts.shards import Shards, write_shards
from emonet_face.config_words import HOLDS
from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import README, read_front_matter, write_front_matter
from emonet_face.outputs import check_replaceable, locked, new_folder
from emonet_face.progress import track

TAG = "emonet-face"
_HEAD = {
    "pretty_name": "EmoNet-Face",
    "license": "cc-by-4.0",
    "task_categories": ["image-classification"],
    "tags": [TAG, "emotion-recognition", "facial-expressions", "synthetic-images"],
}
_BODY = """
# EmoNet-Face

Generated faces with ratings or votes on 40 emotion categories. The configs, their columns and
sizes are listed in the front matter above.

```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder")  # the default config; others by their name
```
"""


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        repo: the dataset repo.
        rows: config -> rows written.
        n_rejected: rejected rows.
        reasons: kind of reason -> number of rejects.
        rejects: the file with all rejects; None without any.
        counts: what else is worth knowing of the source, in words -> number.
    """

    repo: Path
    rows: dict[str, int]
    n_rejected: int
    reasons: dict[str, int]
    rejects: Path | None
    counts: dict[str, int]

    @classmethod
    def of(
        cls,
        repo: Path,
        written: Mapping[str, Shards],
        rejects: Rejects,
        path: Path,
        counts: Mapping[str, int],
    ) -> BuildReport:
        """The report of a build that is done; `path` is its rejects file."""
        return cls(
            repo=repo,
            rows={config: shards.n_rows for config, shards in written.items()},
            n_rejected=rejects.n,
            reasons=dict(rejects.reasons.most_common()),
            rejects=path if rejects.n else None,
            counts=dict(counts),
        )

    def lines(self) -> list[str]:
        """The report as lines of text."""
        lines = [f"{self.repo}: rows of {config}: {n:,}" for config, n in self.rows.items()]
        lines += [f"  {what}: {n:,}" for what, n in sorted(self.counts.items()) if n]
        if self.n_rejected:
            lines.append(f"{self.n_rejected:,} rejected, all in {self.rejects}:")
            lines += [f"  {reason}: {n:,}" for reason, n in self.reasons.items()]
        return lines


def is_ours(repo: Path) -> bool:
    """Whether a folder is a dataset repo of this software: told from its README's tags."""
    try:
        data, _ = read_front_matter(repo)
    except EmoNetFaceError:
        return False
    return is_tagged(data)


def is_tagged(front: Mapping[str, Any]) -> bool:
    """Whether a front matter is that of a dataset repo of this software.

    The tag alone does not tell: model cards carry it too.
    """
    tags = front.get("tags")
    return isinstance(tags, list) and TAG in tags and "configs" in front


def check_repo(repo: Path) -> None:
    """Raise EmoNetFaceError where `repo` exists and is neither empty nor a dataset repo of ours."""
    check_replaceable(repo, is_ours)


def build_configs(
    out: Path,
    tables: Mapping[str, Iterable[Row | Reject]],
    *,
    source: Path,
    strict: bool,
    counts: Counter[str],
    group_rows: int,
) -> BuildReport:
    """Write or replace configs from the row generators behind them.

    Args:
        out: the repo; other configs in it stay as they are.
        tables: config -> rows and rejects, read in this order. The first names the rejects file
            and must have rows; another one without rows is left out.
        source: what is read, for errors.
        strict: the first reject is an error.
        counts: read when all rows have been.
        group_rows: rows of a Parquet row group.

    Raises:
        EmoNetFaceError: `out` or the rejects file is not ours, a reject with `strict`, or no row
            is left. Nothing was written then.
    """
    out = Path(os.path.realpath(out))
    check_repo(out)
    main = next(iter(tables))
    before = {config for config in tables if any(out.glob(shard_pattern(config)))}
    path = rejects_path(out, main)
    with rejects_file(path, strict=strict) as rejects:
        accepted = {
            config: rejects.accepted(rows, source=source, needed=config == main)
            for config, rows in tables.items()
        }
        written = write_configs(out, accepted, group_rows=group_rows)
    for config in sorted(before - set(written)):
        counts[f"configs removed because the source has nothing for {config}"] += 1
    return BuildReport.of(out, written, rejects, path, counts)


def write_configs(
    repo: Path, tables: Mapping[str, Iterable[Row]], *, group_rows: int
) -> dict[str, Shards]:
    """Write or replace configs of a repo; everything else in it stays.

    A config of `tables` without rows is left out, and so is what stood there before.

    Raises:
        EmoNetFaceError: `repo` exists and is not ours.
    """

    def write(folder: Path) -> dict[str, Shards]:
        return {
            config: write_shards(
                track(rows, f"writing {config}"), folder, config, group_rows=group_rows
            )
            for config, rows in tables.items()
        }

    return replace_configs(repo, tables, write)


def replace_configs(
    repo: Path, configs: Iterable[str], write: Callable[[Path], Mapping[str, Shards]]
) -> dict[str, Shards]:
    """Put the shards of configs in a repo, in one step.

    `croissant.json` is written anew and what `check` wrote goes; everything else in the repo stays.

    Args:
        repo: the dataset repo, perhaps not there yet.
        configs: those to replace; one that comes back without rows is left out.
        write: puts the shards below the folder it is given, as `write_shards` does.

    Raises:
        EmoNetFaceError: `repo` exists and is not ours.
    """
    replaced = set(configs)
    repo = Path(os.path.realpath(repo))
    with ExitStack() as held, new_folder(repo, is_ours) as aside:
        written = {name: shards for name, shards in write(aside).items() if shards.n_rows}
        # From here to the renaming: else a config that another process puts there would be lost.
        held.enter_context(locked(repo.parent, wait=True))
        _carry_over(repo, aside, leave={README, CROISSANT, *check_outputs(repo), *replaced})
        hashes = {
            path: sha256
            for shards in written.values()
            for path, sha256 in zip(shards.paths, shards.hashes, strict=True)
        }
        write_croissant(aside, hashes)
        data, body = read_front_matter(repo)
        write_front_matter(aside, _with_configs(data, written, replaced), body or _BODY)
    return written


def _carry_over(old: Path, new: Path, leave: set[str]) -> None:
    for entry in sorted(old.iterdir()) if old.is_dir() else ():
        if entry.name in leave:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, new / entry.name, symlinks=True, copy_function=_link)
        elif entry.is_symlink():
            shutil.copy2(entry, new / entry.name, follow_symlinks=False)
        else:
            _link(entry, new / entry.name)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _with_configs(
    data: Mapping[str, Any], written: Mapping[str, Shards], replaced: set[str]
) -> dict[str, Any]:
    """The front matter after a build: keys of others stay, entries of replaced configs change."""
    tags = list(dict.fromkeys([*_HEAD["tags"], *data.get("tags", [])]))
    infos = _entries(data, "dataset_info", replaced) | _infos(written)
    configs = _entries(data, "configs", replaced)
    for config, shards in written.items():
        configs[config] = {
            "config_name": config,
            "description": f"{HOLDS[config]} (sha256:{shards.sha256})",
            "data_files": [{"split": SPLITS[config], "path": shard_pattern(config)}],
        }
    order = [*(c for c in CONFIGS if c in configs), *(c for c in configs if c not in CONFIGS)]
    default = next(iter(order), None)
    for config, entry in configs.items():
        entry.pop("default", None)
        if config == default:
            entry["default"] = True
    return {
        **_HEAD,
        **data,
        "tags": tags,
        "dataset_info": [infos[config] for config in order if config in infos],
        "configs": [configs[config] for config in order],
    }


def _entries(data: Mapping[str, Any], key: str, replaced: set[str]) -> dict[str, dict[str, Any]]:
    """config -> its entry in a list of the front matter, of configs that stay."""
    value = data.get(key) or []
    entries = value if isinstance(value, list) else [value]
    named = {e["config_name"]: e for e in entries if isinstance(e, dict) and "config_name" in e}
    return {name: dict(e) for name, e in named.items() if name not in replaced}


def _infos(written: Mapping[str, Shards]) -> dict[str, dict[str, Any]]:
    """config -> its `dataset_info` entry, spelt by the library that reads it."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    infos = {}
    for config, shards in written.items():
        splits = SplitDict()
        splits.add(SplitInfo(SPLITS[config], shards.num_bytes, shards.n_rows))
        infos[config] = DatasetInfo(
            features=features(config),
            splits=splits,
            download_size=sum(path.stat().st_size for path in shards.paths),
            dataset_size=shards.num_bytes,
        )
    card = DatasetCardData()
    DatasetInfosDict(infos).to_dataset_card_data(card)
    return _entries({"dataset_info": card["dataset_info"]}, "dataset_info", set())
