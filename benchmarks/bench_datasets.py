"""Building a dataset repo beside the usual ways: time, memory, and how the files load.

    python benchmarks/bench_datasets.py [--images 5000] [--runs 3] [--folder DIR]   # 15 minutes

Pictures are generated: 50 different 1024 x 1024 JPEGs of about 215 kB, made distinct by a comment
in each file. Every measurement is a process of its own; ways of doing the same thing take turns,
and the fastest run of each is shown. Time starts after the imports.

- files to repo: `build binary` (a), the builder class `EmoNetFace` (b) and
  `Dataset.from_generator(...).to_parquet` (c), all from the same files by the same row generator,
  so each reads, checks and hashes every picture.
- writing alone: the same rows, made without reading or checking anything, through the same three
  ways. Here (b) is a plain `GeneratorBasedBuilder`. (c) twice: from rows that hold the bytes of
  the pictures, and from rows that hold their paths, as rows of images mostly do; there the
  pictures have to be embedded in a step of their own, or the Parquet file would hold the paths.
- reading: the repo beside files as `push_to_hub` writes them by default (row groups of up to
  100 MB), the same rows in both.
- hq.csv: rows in the proportions of the published file, `parse_literal` beside `ast.literal_eval`.

Aimed at: writing alone at least 2 times (b) and 5 times (c); peak memory of `build` under 300 MB
and the same for 1,000 and 5,000 images; reading not slower; literals at least 10 times.
"""

from __future__ import annotations

import argparse
import ast
import csv
import io
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
N_PICTURES = 50
SIDE = 1024
SHARD_BYTES = "450MB"
RATERS = ("human-1", "human-2", "human-4")


def pictures() -> list[bytes]:
    """50 JPEGs: smooth colours under noise, as large as photographs of their size."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    made = []
    for _ in range(N_PICTURES):
        colours = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(colours).resize((SIDE, SIDE)), np.int16)
        noisy = smooth + generator.normal(0, 9, (SIDE, SIDE, 1)).astype(np.int16)
        stream = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=75)
        made.append(stream.getvalue())
    return made


def distinct(picture: bytes, number: int) -> bytes:
    """The same picture in other bytes: a comment segment after the start mark."""
    comment = f"picture {number}".encode()
    return picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + picture[2:]


def make_sources(folder: Path, n: int) -> None:
    """`faces/`, `votes.csv` and the 50 pictures in `pictures/`."""
    for name in ("faces", "pictures"):
        (folder / name).mkdir(parents=True)
    made = pictures()
    for number, picture in enumerate(made):
        (folder / "pictures" / f"{number:02d}.jpg").write_bytes(picture)
    with (folder / "votes.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "annotator", "value", "emotion"))
        for number in range(n):
            image_id = f"{number:05d}"
            picture = distinct(made[number % N_PICTURES], number)
            (folder / "faces" / f"{image_id}.jpg").write_bytes(picture)
            writer.writerows((image_id, rater, True, "Anger") for rater in RATERS)
            writer.writerow((image_id, "human-3", False, "Contentment"))


def plain_rows(folder: str, n: int) -> Iterator[dict[str, Any]]:
    """Rows of config `binary`, nothing read or checked for them but the 50 pictures."""
    from emonet_face.taxonomy import INDEX

    made = [path.read_bytes() for path in sorted(Path(folder, "pictures").iterdir())]
    votes = [{"annotator": r, "emotion": INDEX["Anger"], "present": True} for r in RATERS]
    unknown = ("generator", "prompt", "prompted_emotion", "prompted_ethnicity", "prompted_age",
               "prompted_gender")  # fmt: skip
    for number in range(n):
        yield {
            "image": {
                "bytes": distinct(made[number % N_PICTURES], number),
                "path": f"{number:05d}.jpg",
            },
            "image_id": f"{number:05d}",
            "sha256": f"{number:064x}",
            "width": SIDE,
            "height": SIDE,
            **dict.fromkeys(unknown),
            "target_emotion": INDEX["Anger"],
            "contrast_emotion": INDEX["Contentment"],
            "votes": votes,
        }


def rows_with_paths(folder: str, n: int) -> Iterator[dict[str, Any]]:
    """The same rows with the path of a file in place of its bytes."""
    for row in plain_rows(folder, n):
        yield row | {"image": f"{folder}/faces/{row['image']['path']}"}


def checked_rows(folder: str) -> Iterator[dict[str, Any]]:
    """The rows that `build binary` writes."""
    from dataset_scripts import binary

    source = Path(folder)
    yield from binary.rows(source / "votes.csv", images=source / "faces")


def write_repo(folder: Path, out: Path, n: int, checked: bool) -> None:
    """(a) Our own way."""
    from dataset_scripts.binary import build_binary
    from dataset_scripts.repository import write_configs
    from dataset_scripts.shards import IMAGE_GROUP_ROWS

    if checked:
        build_binary(folder / "votes.csv", out, images=folder / "faces")
    else:
        rows = plain_rows(str(folder), n)
        write_configs(out, {"binary": rows}, group_rows=IMAGE_GROUP_ROWS)


def write_builder(folder: Path, out: Path, n: int, checked: bool) -> None:
    """(b) A `datasets` builder class."""
    import datasets

    from dataset_scripts.builder import EmoNetFace
    from dataset_scripts.schema import features

    class Plain(datasets.GeneratorBasedBuilder):
        VERSION = datasets.Version("1.0.0")
        DEFAULT_WRITER_BATCH_SIZE = EmoNetFace.DEFAULT_WRITER_BATCH_SIZE

        def _info(self) -> datasets.DatasetInfo:
            return datasets.DatasetInfo(features=features("binary"))

        def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
            return [datasets.SplitGenerator(name="train", gen_kwargs={})]

        def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
            for row in plain_rows(str(folder), n):
                yield row["image_id"], row

    cache = str(out.with_name("cache"))
    if checked:
        sources = {"votes": folder / "votes.csv", "images": folder / "faces"}
        builder = EmoNetFace(config_name="binary", cache_dir=cache, **sources)
    else:
        builder = Plain(cache_dir=cache)
    builder.download_and_prepare(str(out), file_format="parquet", max_shard_size=SHARD_BYTES)


def write_generator(folder: Path, out: Path, n: int, checked: bool) -> None:
    """(c) `Dataset.from_generator(...).to_parquet`; rows hold bytes, so images are embedded."""
    from datasets import Dataset

    from dataset_scripts.schema import features

    rows, arguments = (checked_rows, {}) if checked else (plain_rows, {"n": n})
    dataset = Dataset.from_generator(
        rows,
        features=features("binary"),
        gen_kwargs={"folder": str(folder), **arguments},
        cache_dir=str(out.with_name("cache")),
    )
    dataset.to_parquet(f"{out}.parquet")


def write_generator_of_paths(folder: Path, out: Path, n: int, checked: bool) -> None:
    """(c) Rows that hold paths: `from_generator`, pictures embedded, `to_parquet`."""
    from datasets import Dataset
    from datasets.table import embed_table_storage

    from dataset_scripts.schema import features

    dataset = Dataset.from_generator(
        rows_with_paths,
        features=features("binary"),
        gen_kwargs={"folder": str(folder), "n": n},
        cache_dir=str(out.with_name("cache")),
    )
    embedded = dataset.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100)
    embedded.with_format(None).to_parquet(f"{out}.parquet")


def write_hub_style(folder: Path, out: Path, n: int, checked: bool) -> None:
    """Files as `push_to_hub` uploads them: shards through `to_parquet` with its defaults."""
    from datasets import Dataset

    from dataset_scripts.schema import features

    arguments = {"folder": str(folder), "n": n}
    cache = str(out.with_name("cache"))
    dataset = Dataset.from_generator(
        plain_rows, features=features("binary"), gen_kwargs=arguments, cache_dir=cache
    )
    (out / "data").mkdir(parents=True)
    n_shards = int(dataset.data.nbytes / 500e6) + 1  # the default `max_shard_size`
    for index in range(n_shards):
        name = f"train-{index:05d}-of-{n_shards:05d}.parquet"
        part = dataset.shard(num_shards=n_shards, index=index, contiguous=True)
        part.to_parquet(out / "data" / name)


def first_load(repo: Path, out: Path, n: int, checked: bool) -> None:
    """`load_dataset` into an empty cache, one picture decoded."""
    from datasets import load_dataset

    dataset = load_dataset(str(repo), split="train", cache_dir=str(out))
    dataset[0]["image"].load()


def stream_first_rows(repo: Path, out: Path, n: int, checked: bool) -> None:
    """The first 10 rows of a stream, decoded, as the Hub's viewer shows them."""
    from datasets import load_dataset

    for row in load_dataset(str(repo), split="train", streaming=True).take(10):
        row["image"].load()


def random_row(repo: Path, out: Path, n: int, checked: bool) -> None:
    """One row amid the files, through its row group alone, 20 times."""
    import pyarrow.parquet as pq

    chance = random.Random(0)
    files = [pq.ParquetFile(path) for path in sorted(repo.rglob("*.parquet"))]
    counts = [file.metadata.num_rows for file in files]
    for _ in range(20):
        row = chance.randrange(sum(counts))
        for file, count in zip(files, counts, strict=True):
            if row < count:
                _read_row(file, row)
                break
            row -= count


def _read_row(file: Any, row: int) -> Any:
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if row < count:
            return file.read_row_group(group).slice(row, 1).to_pylist()
        row -= count
    raise IndexError(row)


WAYS: dict[str, Callable[[Path, Path, int, bool], None]] = {
    function.__name__: function
    for function in (
        write_repo, write_builder, write_generator, write_generator_of_paths, write_hub_style,
        first_load, stream_first_rows, random_row,
    )
}  # fmt: skip


def work(way: str, source: Path, out: Path, n: int, checked: bool) -> None:
    """One measurement, printed as JSON: seconds, peak resident MB."""
    os.environ["HF_HOME"] = str(out.parent / "home")
    import datasets
    import pyarrow.parquet  # noqa: F401 - imported before the clock starts

    import dataset_scripts.binary  # noqa: F401
    from dataset_scripts.schema import features

    datasets.disable_progress_bars()
    features("binary")
    os.sync()  # what was written before is not on this one's account
    start = time.perf_counter()
    WAYS[way](source, out, n, checked)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "peak": peak}), flush=True)
    os._exit(0)  # a stream that was not read to its end keeps the interpreter from leaving


def measure(way: str, source: Path, n: int, checked: bool, keep: Path | None = None) -> dict:
    """Run `work` in a process of its own; its output goes, unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(dir=source.parent if keep is None else keep.parent))
    out = folder / "out" if keep is None else keep
    command = [sys.executable, __file__, "--work", way, str(source), str(out), str(n)]
    try:
        done = subprocess.run(
            [*command, "checked" if checked else "plain"],
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{way}: exit code {error.returncode}\n{error.stderr}") from None
    finally:
        shutil.rmtree(folder)
    return json.loads(done.stdout.splitlines()[-1])


def in_turns(jobs: dict[str, tuple], runs: int) -> dict[str, dict[str, float]]:
    """name -> the fastest run, with the highest peak; every round runs all jobs once."""
    results: dict[str, list[dict]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            results[name].append(measure(*job))
    return {
        name: {
            "seconds": min(run["seconds"] for run in all_runs),
            "peak": max(run["peak"] for run in all_runs),
        }
        for name, all_runs in results.items()
    }


def show(title: str, results: dict[str, dict[str, float]], memory: bool = True) -> None:
    """One table; ratios are to the first line."""
    print(f"\n{title}")
    first = next(iter(results.values()))["seconds"]
    for name, result in results.items():
        peak = f"  peak {result['peak']:6.0f} MB" if memory else ""
        print(f"  {name:44} {result['seconds']:9.3f} s  {result['seconds'] / first:5.2f} x{peak}")


def rating_literals() -> list[str]:
    """700 texts as they stand in `annotations`: 10 of 45 by people, 25 by models that give whole
    numbers (4 of the 14 with extra dimensions), 10 by models that give fractions.
    """
    from emonet_face.taxonomy import CATEGORIES, DIMENSIONS

    chance = random.Random(0)
    keys = [category.key for category in CATEGORIES]
    extra = {dimension.key: 1 for dimension in DIMENSIONS}
    texts = []
    for number in range(700):
        kind = number % 45
        if kind < 35:
            said = {key: chance.choice((0, 0, 0, 0, 1, 2, 5, 7)) for key in keys}
            texts.append(repr(said | extra if kind >= 25 else said))
        else:
            texts.append(repr({key: chance.gauss(0, 2) for key in keys}))
    return texts


def literal_table(runs: int) -> None:
    """`parse_literal` beside `ast.literal_eval`, in this process."""
    from emonet_face.literals import parse_literal

    texts = rating_literals()
    fractions = [text for text in texts if text.count(".") > 20]
    whole = [text for text in texts if text.count(".") <= 20]
    print("\nhq.csv literals, microseconds each (processor time)")
    for name, some in (("all", texts), ("whole numbers", whole), ("fractions", fractions)):
        times: dict[Callable, list[float]] = {ast.literal_eval: [], parse_literal: []}
        for _ in range(max(runs, 7)):
            for function, seen in times.items():
                start = time.thread_time()
                for text in some:
                    function(text)
                seen.append((time.thread_time() - start) / len(some) * 1e6)
        slow, quick = (statistics.median(seen) for seen in times.values())
        print(f"  {name:16} ast {slow:7.1f}   ours {quick:6.1f}   {slow / quick:5.1f} x")


def main(argv: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="for the files; needs 1.5 MB an image")
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.work:
        way, source, out, n, checked = options.work
        work(way, Path(source), Path(out), int(n), checked == "checked")
        return 0
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        run_all(Path(temporary), options.images, options.runs)
    literal_table(options.runs)
    return 0


def run_all(folder: Path, n: int, runs: int) -> None:
    """The tables that need files."""
    if shutil.disk_usage(folder).free < n * 1_500_000 + 5e9:
        raise SystemExit(f"{folder}: less than {n * 1.5e-3 + 5:.0f} GB free")
    few = max(n // 5, 100)
    sources = {count: folder / f"source-{count}" for count in (few, n)}
    for count, source in sources.items():
        make_sources(source, count)
    three = {"build": "write_repo", "builder class": "write_builder",
             "from_generator, to_parquet": "write_generator"}  # fmt: skip
    for title, checked in (("Files to Parquet, every picture checked", True),
                           ("Writing alone", False)):  # fmt: skip
        paths = {} if checked else {"the same from paths, embedded": "write_generator_of_paths"}
        jobs = {
            f"{name}, {count:,} images": (way, source, count, checked)
            for count, source in sources.items()
            for name, way in (three | paths).items()
        }
        results = in_turns(jobs, runs)
        for count in sources:
            some = {k: v for k, v in results.items() if k.endswith(f" {count:,} images")}
            show(title, some)
    repos = {"our repo": folder / "ours" / "repo", "as push_to_hub": folder / "theirs" / "repo"}
    for way, repo in zip(("write_repo", "write_hub_style"), repos.values(), strict=True):
        repo.parent.mkdir()
        measure(way, sources[n], n, False, keep=repo)
    for way in ("first_load", "stream_first_rows", "random_row"):
        jobs = {name: (way, repo, n, False) for name, repo in repos.items()}
        show(f"{WAYS[way].__doc__.splitlines()[0]} ({n:,} images)", in_turns(jobs, runs), False)


if __name__ == "__main__":
    sys.exit(main())
