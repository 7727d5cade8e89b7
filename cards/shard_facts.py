"""What a card of a dataset counts in its Parquet shards: who rated, what drew, how votes fell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cards.sourced import Number
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = {"hq": "ratings", "big": "ratings", "binary": "votes"}
"""Config -> its column of annotations."""
_UNKNOWN = "not recorded"


@dataclass
class ShardFacts:
    """What the shards of one config hold.

    Attributes:
        rows: images (of `hq_baselines`: rows).
        pictures: of them with a picture.
        annotators: name -> images or answers; of `hq_baselines`, models -> rows.
        generators: name -> images.
        votes: of `binary`: a row per category with `emotion`, `n`, `agreement`, `partial`,
            `disagreement`, `n_all`; only categories that were asked about.
        n_votes: of `binary`.
    """

    rows: Number
    pictures: Number
    annotators: dict[str, Number] = field(default_factory=dict)
    generators: dict[str, Number] = field(default_factory=dict)
    votes: list[dict[str, Any]] = field(default_factory=list)
    n_votes: Number | None = None


def shard_facts(repo: Path, config: str) -> ShardFacts:
    """Count in the shards of a config; pictures and scores stay on disk.

    Raises:
        EmoNetFaceError: there are none, or one cannot be read.
    """
    paths = sorted((repo / config).glob("*.parquet"))
    if not paths:
        raise EmoNetFaceError(f"{repo}: config {config!r} has no Parquet files; build it again")
    table = _read(paths, config)
    source = f"{config}/*.parquet"

    def counted(what: str, n: int) -> Number:
        return Number(n, f"{source}#{what}")

    if config == "hq_baselines":
        names = _counts(table["annotator"])
        rows = counted("rows", table.num_rows)
        return ShardFacts(rows, counted("pictures", 0), _named(names, source, "annotators"))
    entries = _flat(table, LABELS[config])
    names = _counts(entries.field("annotator"))
    generators = _counts(table["generator"])
    facts = ShardFacts(
        rows=counted("rows", table.num_rows),
        pictures=counted("pictures", table.num_rows - table["sha256"].null_count),
        annotators=_named(names, source, "annotators"),
        generators=_named(generators, source, "generators"),
    )
    if config == "binary":
        facts.votes = _votes(table, source)
        facts.n_votes = counted("votes", len(entries))
    return facts


def _read(paths: list[Path], config: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    if config == "hq_baselines":
        columns = ["annotator"]
    else:
        leaves = ("annotator", "emotion", "present") if config == "binary" else ("annotator",)
        inner = [f"{LABELS[config]}.list.element.{leaf}" for leaf in leaves]
        columns = ["generator", "sha256", *inner]
    tables = []
    for path in paths:
        try:
            tables.append(parquet.ParquetFile(path).read(columns=columns))
        except (OSError, ValueError, KeyError, IndexError) as error:
            reason = str(error).partition("\n")[0]
            raise EmoNetFaceError(f"{path}: cannot be read ({reason})") from None
    return pa.concat_tables(tables).combine_chunks()


def _flat(table: pa.Table, column: str) -> pa.StructArray:
    import pyarrow as pa

    chunks = [chunk.flatten() for chunk in table[column].chunks]
    return pa.concat_arrays(chunks)


def _counts(column: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    import pyarrow.compute as pc

    counted = pc.value_counts(column).to_pylist()
    return {pair["values"] or _UNKNOWN: pair["counts"] for pair in counted}


def _named(counts: Mapping[str, int], source: str, what: str) -> dict[str, Number]:
    """Sorted by name; what is not known comes last."""
    names = sorted(counts, key=lambda name: (name == _UNKNOWN, name))
    return {name: Number(counts[name], f"{source}#{what}/{name}") for name in names}


def _votes(table: pa.Table, source: str) -> list[dict[str, Any]]:
    """The published count of votes: (image, category) pairs with more than one, by outcome."""
    import numpy as np
    import pyarrow.compute as pc

    entries = _flat(table, "votes")
    # Not by `to_numpy`: that imports pandas, which takes longer than the rest of a card.
    image = np.from_dlpack(pc.list_parent_indices(table["votes"].chunk(0)))
    emotion = np.from_dlpack(entries.field("emotion"))
    present = np.from_dlpack(entries.field("present").cast("int8"))
    pair, where = np.unique(image.astype(np.int64) * len(EMOTIONS) + emotion, return_inverse=True)
    n_votes, n_yes = np.bincount(where), np.bincount(where, weights=present)
    several, category = n_votes > 1, pair % len(EMOTIONS)
    unanimous = (n_yes == 0) | (n_yes == n_votes)
    rows = []
    for index, name in enumerate(EMOTIONS):
        own = several & (category == index)
        n = int(own.sum())
        if not n:
            continue
        shares = {
            "agreement": (own & unanimous).sum() / n,
            "partial": (own & (n_votes == 3) & (n_yes == 2)).sum() / n,
            "disagreement": (own & (n_votes == 2) & (n_yes == 1)).sum() / n,
        }
        counts = {"n": n, "n_all": int((category == index).sum())}
        key = name.replace("/", "~1")
        numbers = {
            what: Number(float(value), f"{source}#agreement/{key}/{what}")
            for what, value in (shares | counts).items()
        }
        rows.append({"emotion": name, **numbers})
    return rows
