"""Rules on the files of a dataset repo: all shards there and whole, no strays, nothing stale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_scripts.card_rules import Card
from dataset_scripts.column_rules import wrong_schema
from dataset_scripts.croissant import file_hashes
from dataset_scripts.findings import Findings, examples
from dataset_scripts.repo_files import CROISSANT, KNOWN_FILES
from dataset_scripts.schema import CONFIGS, SPLITS, shard_name, shard_pattern
from dataset_scripts.shards import combined, sha256_of
from emonet_face.front_matter import README


@dataclass
class Layout:
    """The shards whose rows can be looked at.

    Attributes:
        shards: config -> paths, in order.
        rows: config -> rows in them.
        digests: config -> the digest that stands for all its shards.
        files: path in the repo -> sha256, of shards that are those the front matter was made for.
    """

    shards: dict[str, list[Path]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def check_layout(repo: Path, card: Card, findings: Findings) -> Layout:
    """Apply all rules on the front matter and the files of a repo, without looking at rows.

    Shards with other columns than their config's, and unreadable ones, are findings and are left
    out of what comes back.
    """
    layout = Layout()
    found = {config: sorted(repo.glob(shard_pattern(config))) for config in CONFIGS}
    here = [config for config in CONFIGS if config in card.configs or found[config]]
    if not here:
        findings.error("card_config", "", README, "names no config; `build` makes them")
    for config in here:
        card.check(config)
        _check_shards(repo, config, found[config], card, layout, findings)
    card.check_unknown()
    card.check_default()
    _check_strays(repo, {*CONFIGS, *card.configs}, findings)
    _check_croissant(repo, layout, findings)
    return layout


def _check_shards(
    repo: Path, config: str, paths: Sequence[Path], card: Card, layout: Layout, findings: Findings
) -> None:
    complete = _check_names(repo, config, paths, findings)
    usable = [path for path in paths if _is_usable(repo, config, path, findings)]
    if usable:
        layout.shards[config] = usable
        layout.rows[config] = sum(pq.read_metadata(path).num_rows for path in usable)
    if not complete:
        return  # digest and number of rows would only say the same once more
    if len(usable) == len(paths):
        card.check_rows(config, layout.rows[config])
    each = [sha256_of(path) for path in paths]
    layout.digests[config] = combined(each)
    if card.check_digest(config, layout.digests[config]):
        names = [path.relative_to(repo).as_posix() for path in paths]
        layout.files |= dict(zip(names, each, strict=True))


def _check_names(repo: Path, config: str, paths: Sequence[Path], findings: Findings) -> bool:
    """Whether exactly the shards are there that the names speak of."""
    if not paths:
        text = "the README has this config, but none of its shards is there"
        findings.error("missing_shard", config, shard_pattern(config), text)
        return False
    pattern = re.compile(rf"{SPLITS[config]}-\d{{5}}-of-(\d{{5}})\.parquet")
    counts: set[int] = set()
    for path in paths:
        match = pattern.fullmatch(path.name)
        if match is None:
            text = f"would be loaded as a shard, but has no name like {shard_name(config, 0, 1)}"
            findings.error("shard_name", config, path.relative_to(repo).as_posix(), text)
            return False
        counts.add(int(match[1]))
    if len(counts) > 1:
        text = f"the names speak of {' and of '.join(map(str, sorted(counts)))} shards"
        findings.error("shard_name", config, f"{config}/", f"{text}: two builds are mixed")
        return False
    count = counts.pop()
    needed = (shard_name(config, index, count) for index in range(count))
    missing = [name for name in needed if not (repo / name).is_file()]
    for name in missing:
        findings.error("missing_shard", config, name, "is missing")
    return not missing and len(paths) == count


def _is_usable(repo: Path, config: str, path: Path, findings: Findings) -> bool:
    """Whether a shard can be opened and has exactly the columns of its config."""
    where = path.relative_to(repo).as_posix()
    try:
        wrong = wrong_schema(pq.read_schema(path), config)
    except (OSError, pa.ArrowException) as error:
        findings.error("unreadable_shard", config, where, f"is no readable Parquet ({error})")
        return False
    if wrong:
        findings.error("schema", config, where, f"{wrong}; its rows were not looked at")
    return not wrong


def _check_strays(repo: Path, configs: set[str], findings: Findings) -> None:
    script = f"{repo.resolve().name}.py"
    if (repo / script).is_file():
        text = "load_dataset refuses a repo with a script of its own name: remove it"
        findings.error("loading_script", "", script, text)
    strays = [name for name in _files(repo) if not _expected(name, configs) and name != script]
    if strays:
        text = f"{len(strays):,} files that are no part of a dataset repo: {examples(strays)}"
        findings.warning("stray_file", "", strays[0], text)


def _files(repo: Path) -> Iterator[str]:
    """Every file below a repo by its path in it; hidden ones are passed over."""
    for path in sorted(repo.rglob("*")):
        parts = path.relative_to(repo).parts
        if not any(part.startswith(".") for part in parts) and not path.is_dir():
            yield "/".join(parts)


def _expected(name: str, configs: set[str]) -> bool:
    folder, _, file = name.partition("/")
    if not file:
        return name in KNOWN_FILES
    if folder in SPLITS:
        return file.startswith(f"{SPLITS[folder]}-") and file.endswith(".parquet")
    return folder in configs


def _check_croissant(repo: Path, layout: Layout, findings: Findings) -> None:
    """The hashes it lists. Of shards that have changed, `shard_digest` has said enough."""
    path = repo / CROISSANT
    if not path.is_file():
        text = "is missing; any `build` into this repo writes it"
        findings.warning("croissant", "", CROISSANT, text)
        return
    try:
        said = file_hashes(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = f"is no Croissant description ({type(error).__name__}: {error})"
        findings.error("croissant", "", CROISSANT, text)
        return
    stale = [name for name, sha256 in layout.files.items() if said.get(name) != sha256]
    if stale:
        text = f"does not list {examples(stale)} with the right sha256; build again"
        findings.error("croissant", "", CROISSANT, text)
