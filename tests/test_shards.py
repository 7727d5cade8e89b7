"""Shards are written and hashed beside the taking of rows, and fail as if they were not.

pytest tests/test_shards.py
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import subprocess
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_scripts.schema import features
from dataset_scripts.shards import write_shards
from emonet_face.look_ahead import look_ahead


def face(index, data=None):
    image = None if data is None else {"bytes": data, "path": f"{index}.jpg"}
    row = dict.fromkeys(features("big"))
    return row | {"image_id": f"{index:03d}", "image": image, "ratings": []}


def test_hashes_are_those_of_the_files(tmp_path):
    rows = [face(i, bytes([i]) * 50_000) for i in range(40)]
    shards = write_shards(rows, tmp_path, "big", group_rows=4, shard_bytes=500_000)
    assert len(shards.paths) == 5
    each = [hashlib.sha256(path.read_bytes()).hexdigest() for path in shards.paths]
    assert shards.hashes == tuple(each)
    printed = subprocess.run(
        "sha256sum big/* | cut -c-64 | sha256sum",
        shell=True, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"{shards.sha256}  -\n" == printed.stdout
    (tmp_path / "one").mkdir()
    single = write_shards(rows[:4], tmp_path / "one", "big", group_rows=4)
    assert single.hashes == (single.sha256,)
    (tmp_path / "none").mkdir()
    nothing = write_shards([], tmp_path / "none", "big", group_rows=4)
    assert (nothing.paths, nothing.n_rows, nothing.hashes) == ((), 0, ())


@pytest.mark.parametrize("group_rows", [1, 7])  # 3 kB are less than a page, 21 kB are several
def test_hashes_are_those_of_files_where_nothing_can_be_mapped(tmp_path, monkeypatch, group_rows):
    rows = [face(i, bytes([i]) * 3_000) for i in range(40)]
    maps = []

    def counted(*args, **kwargs):
        maps.append(args)
        return real(*args, **kwargs)

    def refused(*_args, **_kwargs):
        raise OSError(errno.ENODEV, "No such device")

    real = mmap.mmap
    found = {}
    for name, mapping in (("mapped", counted), ("read", refused)):
        monkeypatch.setattr("dataset_scripts.shards.mmap.mmap", mapping)
        (tmp_path / name).mkdir()
        shards = write_shards(rows, tmp_path / name, "big", group_rows=group_rows)
        found[name] = shards.sha256
        assert shards.sha256 == hashlib.sha256(shards.paths[0].read_bytes()).hexdigest()
    assert found["mapped"] == found["read"]
    assert len(maps) > 5


def test_pictures_and_gaps_come_back_as_they_were(tmp_path):
    # Row groups with pictures, without, and with both; what a picture lacks stays lacking.
    data = [b"a", None, b"", None, None, b"b" * 3_000_000]
    rows = [face(i, d) for i, d in enumerate(data)]
    rows[0]["image"]["path"] = None
    shards = write_shards(rows, tmp_path, "big", group_rows=2)
    table = pq.read_table(shards.paths[0])
    assert table.column("image").to_pylist() == [row["image"] for row in rows]
    assert shards.num_bytes == pytest.approx(3_000_000, rel=0.1)


def test_arrow_holds_no_row_group_of_pictures(tmp_path):
    def rows():
        for index in range(60):
            held.append(pa.total_allocated_bytes() - before)
            yield face(index, b"x" * 1_000_000)

    held: list[int] = []
    before = pa.total_allocated_bytes()
    write_shards(rows(), tmp_path, "big", group_rows=10)
    # Arrow takes no copy of the pictures but the pages on their way to the file.
    assert max(held) < 8_000_000


def test_a_fault_of_the_writing_thread_comes_out_and_stops_the_rows(tmp_path, monkeypatch):
    def no_space(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    taken = []

    def rows():
        for index in range(1000):
            taken.append(index)
            yield face(index, b"x")

    threads = threading.active_count()
    monkeypatch.setattr("dataset_scripts.shards.pq.ParquetWriter.write_table", no_space)
    with pytest.raises(OSError, match="No space"):
        write_shards(rows(), tmp_path, "big", group_rows=10)
    assert len(taken) == 30  # the first group's fault is found before a fourth one is taken
    assert threading.active_count() == threads


def test_a_fault_of_the_rows_waits_for_the_writing_thread(tmp_path):
    def rows():
        yield from (face(i, b"x") for i in range(10))
        raise KeyError("bad row")

    threads = threading.active_count()
    with pytest.raises(KeyError, match="bad row"):
        write_shards(rows(), tmp_path, "big", group_rows=5)
    assert threading.active_count() == threads
    for part in (tmp_path / "big").iterdir():
        part.unlink()  # nobody holds them open or writes to them any more


def test_looking_ahead_keeps_order_and_stays_near():
    started = []

    def slow(item):
        started.append(item)
        time.sleep(0.001 * (item % 3))
        return item * 2

    results = look_ahead(slow, iter(range(200)))
    assert next(results) == 0
    assert len(started) < 40
    assert list(results) == [2 * item for item in range(1, 200)]
    assert list(look_ahead(slow, [])) == []


def test_looking_ahead_raises_where_the_result_is_due_and_lets_go():
    def fragile(item):
        if item == 5:
            raise ValueError("five")
        return item

    threads = threading.active_count()
    results = look_ahead(fragile, range(1000))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    results = look_ahead(fragile, range(1000))
    next(results)
    results.close()
    assert threading.active_count() == threads
