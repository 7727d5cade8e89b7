"""Embeddings of a dataset's or a folder's images: what is written, refused, listed, taken up again.

    pytest tests/test_embedding.py             # half a minute
    pytest tests/test_embedding.py -m slow     # SIGKILL at every moment, Ray: 2 minutes

What the tower computes is compared with the stock image processor (`Backbone.embed`).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from kill_moments import finishes
from PIL import Image
from safetensors.torch import load_file, save_file
from toy_faces import write_toy_repo
from toy_repo import picture

from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.look_ahead import look_ahead
from modeling_empathicinsight import embedding, embedding_parts, embedding_source
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.embedding import embed
from modeling_empathicinsight.embedding_source import (
    FilesPiece,
    GroupPiece,
    dataset_source,
    folder_source,
)
from modeling_empathicinsight.embedding_workers import worker_processes
from modeling_empathicinsight.embeddings import read_embeddings
from modeling_empathicinsight.tower import make_tower

multiprocessing.get_context("forkserver").set_forkserver_preload(
    ["modeling_empathicinsight.embedding", "PIL.JpegImagePlugin", "toy_faces"]
)
"""What the processes to be killed import: without it each takes many seconds to start."""

N = 160
WIDTH = 32

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tower(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("embedding") / "tower"
    return make_tower(place, image_size=32, patch_size=16, hidden=WIDTH, layers=1, heads=2, seed=1)


@pytest.fixture(scope="module")
def repo(tmp_path_factory) -> Path:
    return write_toy_repo(tmp_path_factory.mktemp("embedding") / "toy", big=N, binary=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """150 pictures, so three pieces."""
    place = tmp_path_factory.mktemp("embedding") / "pictures"
    for index in range(150):
        file = place / f"part-{index % 2}" / f"face-{index:03d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(index, suffix="JPEG"))
    return place


@pytest.fixture(scope="module")
def undisturbed(tower, folder, tmp_path_factory) -> bytes:
    out = tmp_path_factory.mktemp("embedding") / "whole.parquet"
    embed(None, None, tower, out, images=folder)
    return out.read_bytes()


def vectors_of(path: Path) -> np.ndarray:
    return np.array(pq.read_table(path)["embedding"].to_pylist(), np.float32)


def ids_of(path: Path) -> list[str]:
    return pq.read_table(path)["image_id"].to_pylist()


def left_in(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


# --- what is written


def test_rows_stand_in_order_and_the_file_says_what_made_them(repo, tower, tmp_path):
    out = tmp_path / "big.parquet"
    done = embed(repo, "big", tower, out)
    table = pq.read_table(out)
    assert table.column_names == ["config", "image_id", "embedding"]
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), WIDTH)
    assert table["image_id"].to_pylist() == [f"big-{i:04d}" for i in range(N)]
    assert set(table["config"].to_pylist()) == {"big"}
    np.testing.assert_allclose(np.linalg.norm(vectors_of(out), axis=1), 1, atol=1e-6)
    assert json.loads(table.schema.metadata[b"emonet_face"]) == {
        "made_by": "emonet-face embed",
        "backbone": str(tower),
        "revision": None,
        "tower_sha256": load_backbone(tower).sha256,
        "size": 32,
        "normalisation": {
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "rescale_factor": 1 / 255,
            "resample": "bicubic",
        },
        "dtype": "float32",
        "autocast": False,
        "precision": "float32",
        "normalized": True,
        "dim": WIDTH,
    }
    assert (done["n"], done["n_null"], done["n_rejected"], done["rejects"]) == (N, 0, 0, None)
    assert left_in(tmp_path) == ["big.parquet"]


def test_vectors_are_those_of_the_stock_processor(tower, folder, undisturbed, tmp_path):
    """48 px to 32 shrinks by less than 2, so the pixels are Pillow's, bit for bit."""
    out = tmp_path / "e.parquet"
    out.write_bytes(undisturbed)
    files = sorted(folder.rglob("*.jpg"))
    expected = load_backbone(tower).embed([Image.open(file).convert("RGB") for file in files])
    assert ids_of(out) == [file.stem for file in files]
    np.testing.assert_allclose(vectors_of(out), expected.numpy(), atol=1e-6)


def test_a_dataset_and_a_folder_of_its_images_give_the_same(repo, tower, tmp_path):
    for row in pq.read_table(repo / "big" / "train-00000-of-00001.parquet").to_pylist():
        (tmp_path / "faces").mkdir(exist_ok=True)
        (tmp_path / "faces" / f"{row['image_id']}.png").write_bytes(row["image"]["bytes"])
    embed(repo, "big", tower, tmp_path / "a.parquet")
    embed(None, "big", tower, tmp_path / "b.parquet", images=tmp_path / "faces")
    assert ids_of(tmp_path / "a.parquet") == ids_of(tmp_path / "b.parquet")
    np.testing.assert_allclose(
        vectors_of(tmp_path / "a.parquet"), vectors_of(tmp_path / "b.parquet"), atol=1e-6
    )
    embed(None, None, tower, tmp_path / "b.parquet", images=tmp_path / "faces")  # ours: replaced
    assert set(pq.read_table(tmp_path / "b.parquet")["config"].to_pylist()) == {"images"}


def test_float16_takes_half_the_place(tower, folder, undisturbed, tmp_path):
    """Rounding to 11 bits moves a number below 1 by at most 2 ** -12."""
    (tmp_path / "32.parquet").write_bytes(undisturbed)
    embed(None, None, tower, tmp_path / "16.parquet", images=folder, precision="float16")
    one, half = (read_embeddings([tmp_path / f"{bits}.parquet"]).vectors for bits in (32, 16))
    assert (one.dtype, half.dtype) == (np.float32, np.float16)
    assert np.abs(one - half.astype(np.float32)).max() <= 2**-12
    assert one.shape == half.shape == (150, WIDTH)


def test_bfloat16_is_said_and_comes_close(tower, folder, undisturbed, tmp_path):
    (tmp_path / "32.parquet").write_bytes(undisturbed)
    done = embed(None, None, tower, tmp_path / "b.parquet", images=folder, dtype="bfloat16")
    assert (done["dtype"], done["autocast"], done["precision"]) == ("bfloat16", True, "float32")
    exact, rounded = vectors_of(tmp_path / "32.parquet"), vectors_of(tmp_path / "b.parquet")
    cosine = (exact * rounded).sum(axis=1)
    assert 0.999 < cosine.min() < 1
    assert not np.array_equal(exact, rounded)


def test_the_batch_size_changes_rounding_at_most(tower, folder, undisturbed, tmp_path):
    (tmp_path / "16.parquet").write_bytes(undisturbed)
    embed(None, None, tower, tmp_path / "7.parquet", images=folder, batch_size=7)
    np.testing.assert_allclose(
        vectors_of(tmp_path / "7.parquet"), vectors_of(tmp_path / "16.parquet"), atol=1e-6
    )


def test_the_file_is_joined_in_whole_row_groups(tower, folder, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_parts, "BLOCK", 40)
    out = tmp_path / "e.parquet"
    embed(None, None, tower, out, images=folder)
    groups = pq.ParquetFile(out).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [40, 40, 40, 30]
    (tmp_path / "whole.parquet").write_bytes(undisturbed)
    assert pq.read_table(out) == pq.read_table(tmp_path / "whole.parquet")


# --- rows without image, images that cannot be read, what cannot be used


def test_rows_without_image_are_counted_and_all_of_them_is_an_error(tower, tmp_path):
    def without_images(keep: int):
        def edit(config, rows):
            for row in rows[keep:]:
                row["image"] = None

        return edit

    some = write_toy_repo(tmp_path / "some", big=30, binary=0, edit=without_images(12))
    done = embed(some, "big", tower, tmp_path / "some.parquet")
    assert (done["n"], done["n_null"]) == (12, 18)
    none = write_toy_repo(tmp_path / "none", big=30, binary=0, edit=without_images(0))
    with pytest.raises(EmoNetFaceError, match="none of its 30 rows has an image"):
        embed(none, "big", tower, tmp_path / "none.parquet")
    assert left_in(tmp_path) == ["none", "some", "some.parquet"]


def test_images_that_cannot_be_read_are_listed(tower, tmp_path, capsys):
    def spoil(config, rows):
        rows[3]["image"] = {"bytes": b"no picture", "path": None}
        rows[7]["image"]["bytes"] = rows[7]["image"]["bytes"][:-40]
        rows[9]["image"] = None

    bad = write_toy_repo(tmp_path / "bad", big=12, binary=0, edit=spoil)
    out = tmp_path / "bad.parquet"
    arguments = ["embed", "--dataset", str(bad), "--config", "big"]
    assert main([*arguments, "--backbone", str(tower), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "9 embeddings of 32 numbers, float32" in said
    assert "1 rows have no image" in said
    assert f"2 images cannot be read, all in {out}.rejects.jsonl" in said
    one, two = map(json.loads, Path(f"{out}.rejects.jsonl").read_text().splitlines())
    file = str(bad / "big" / "train-00000-of-00001.parquet")
    assert one == {
        "file": file,
        "row": 4,
        "reason": "is not a PNG, JPEG or WebP image",
        "record": {"config": "big", "image_id": "big-0003"},
    }
    assert (two["row"], two["record"]["image_id"]) == (8, "big-0007")
    assert "big-0003" not in ids_of(out)
    # The list goes with the next call that needs none.
    whole = write_toy_repo(tmp_path / "whole", big=12, binary=0)
    embed(whole, "big", tower, out)
    assert left_in(tmp_path) == ["bad", "bad.parquet", "whole"]


def test_unreadable_files_of_a_folder_are_listed_and_all_of_them_is_an_error(tower, tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    (faces / "good.jpg").write_bytes(picture(0, suffix="JPEG"))
    (faces / "cut.jpg").write_bytes(picture(1, suffix="JPEG")[:-20])
    (faces / "dead.png").symlink_to("nowhere.png")
    done = embed(None, None, tower, tmp_path / "e.parquet", images=faces)
    assert (done["n"], done["n_rejected"]) == (1, 1)  # a dead link is no file
    (line,) = done["rejects"].read_text().splitlines()
    assert json.loads(line)["file"] == str(faces / "cut.jpg")
    (faces / "good.jpg").unlink()
    with pytest.raises(EmoNetFaceError, match=r"none of its images can be read; all 1 are listed"):
        embed(None, None, tower, tmp_path / "e.parquet", images=faces)
    assert done["rejects"].exists()


def test_what_cannot_be_used_is_named(repo, tower, folder, tmp_path):
    out = tmp_path / "x.parquet"

    def refused(message, dataset, config, where=out, **options):
        with pytest.raises(EmoNetFaceError, match=message):
            embed(dataset, config, tower, where, **options)

    refused("no config 'hq'; found big", repo, "hq")
    refused("cannot be read as a dataset", tmp_path / "nothing", "big")
    refused("name the config to embed", repo, None)
    refused("either a dataset with its config or a folder", None, None)
    refused("either a dataset with its config or a folder", repo, "big", images=folder)
    refused("no such folder of images", None, None, images=tmp_path / "nothing")
    refused("dtype is 'int8': must be auto, float32", repo, "big", dtype="int8")
    refused("precision is 'float64': must be float32, float16", repo, "big", precision="float64")
    refused("engine is 'spark': must be local, ray", repo, "big", engine="spark")
    refused("batch_size is 0: must be 1 or more", repo, "big", batch_size=0)
    refused("workers is -1: must be 0 or more", repo, "big", workers=-1)
    refused("actors is 0: must be 1 or more", repo, "big", actors=0, engine="ray")
    refused("actors is 2: only the engine ray has actors", repo, "big", actors=2)
    refused("workers is 1: with the engine ray", repo, "big", workers=1, engine="ray")
    (tmp_path / "empty").mkdir()
    refused("holds no PNG, JPEG or WebP image", None, None, images=tmp_path / "empty")
    (tmp_path / "mine.parquet").write_text("mine")
    refused("was not made by this command", repo, "big", tmp_path / "mine.parquet")
    assert left_in(tmp_path) == ["empty", "mine.parquet"]


def test_ids_must_be_there_and_unique_over_all_files(tower, tmp_path):
    def double(config, rows):
        rows[5]["image_id"] = rows[4]["image_id"]

    twice = write_toy_repo(tmp_path / "twice", big=10, binary=0, edit=double)
    with pytest.raises(EmoNetFaceError, match="image 'big-0004': stands twice"):
        embed(twice, "big", tower, tmp_path / "x.parquet")

    def lose(config, rows):
        rows[5]["image_id"] = None

    lost = write_toy_repo(tmp_path / "lost", big=10, binary=0, edit=lose)
    with pytest.raises(EmoNetFaceError, match="row 6 has no image_id"):
        embed(lost, "big", tower, tmp_path / "x.parquet")


def test_an_id_whose_print_is_another_ones_is_not_taken_for_it(repo, monkeypatch):
    """Eight bytes can agree by chance: the ids themselves decide."""
    monkeypatch.setattr(embedding_source, "_print", lambda image_id: 7)
    assert dataset_source(repo, "big").n_rows == N


def test_a_damaged_file_of_a_dataset_is_named(tower, tmp_path):
    repo = write_toy_repo(tmp_path / "toy", big=10, binary=0)
    file = repo / "big" / "train-00000-of-00001.parquet"
    data = bytearray(file.read_bytes())
    data[200:2000] = bytes(1800)
    file.write_bytes(data)
    with pytest.raises(EmoNetFaceError, match=r"train-00000-of-00001\.parquet cannot be read"):
        embed(repo, "big", tower, tmp_path / "x.parquet")
    assert left_in(tmp_path) == ["toy"]


def broken_tower(place: Path) -> Path:
    make_tower(place, image_size=32, patch_size=16, hidden=WIDTH, heads=2)
    weights = load_file(place / "model.safetensors")
    name = next(key for key in weights if key.endswith("post_layernorm.weight"))
    weights[name][0] = float("nan")
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    return place


def test_a_tower_that_gives_nan_is_refused(folder, tmp_path):
    place = broken_tower(tmp_path / "t")
    with pytest.raises(EmoNetFaceError, match="image 'face-000' is not finite or zero"):
        embed(None, None, place, tmp_path / "x.parquet", images=folder)
    assert left_in(tmp_path) == ["t"]


# --- pieces


@pytest.mark.parametrize("group_rows", [7, 100, 300])
def test_pieces_of_any_row_groups_give_each_row_once(repo, tmp_path, group_rows):
    place = tmp_path / "other"
    (place / "big").mkdir(parents=True)
    (place / "README.md").write_bytes((repo / "README.md").read_bytes())
    table = pq.read_table(repo / "big" / "train-00000-of-00001.parquet")
    for part in range(2):
        rows = table.slice(part * 100, 100 if part == 0 else None)
        target = place / "big" / f"train-0000{part}-of-00002.parquet"
        pq.write_table(rows, target, row_group_size=group_rows)
    source = dataset_source(place, "big")
    found = [row for piece in source.pieces for row in piece.rows()]
    assert [row.image_id for row in found] == table["image_id"].to_pylist()
    assert [row.data for row in found] == [image["bytes"] for image in table["image"].to_pylist()]
    assert [row.row for row in found] == [*range(1, 101), *range(1, 61)]


def test_row_groups_that_are_too_large_are_cut(repo, monkeypatch):
    monkeypatch.setattr(embedding_source, "_MOST_ROWS", 50)
    pieces = dataset_source(repo, "big").pieces
    assert [(p.start, p.stop) for p in pieces] == [(0, 50), (50, 100), (100, 150), (150, 160)]
    ids = [row.image_id for piece in reversed(pieces) for row in piece.rows()]
    assert sorted(ids) == [f"big-{i:04d}" for i in range(N)]
    assert isinstance(pieces[0], GroupPiece)


# --- interrupted, disturbed


def one_file(tower, folder, out, workers=0):
    torch.set_num_threads(1)  # as here; with more of them other bits may come
    embed(None, None, tower, out, images=folder, workers=workers)


@pytest.mark.slow
def test_a_killed_call_is_taken_up(tower, folder, undisturbed, tmp_path):
    """The eleventh change of a file begins the third piece; SIGKILL comes just before it."""
    out = tmp_path / "e.parquet"
    assert not finishes(tmp_path, 11, one_file, tower, folder, out)
    assert left_in(tmp_path) == [".e.parquet.parts"]
    assert embed(None, None, tower, out, images=folder)["n_resumed"] == 2
    assert out.read_bytes() == undisturbed
    assert left_in(tmp_path) == ["e.parquet"]


@pytest.mark.slow
def test_sigkill_at_every_moment(tower, folder, undisturbed, tmp_path):
    """Before each change of a file that the call makes; then it is made again."""
    moment, finished = 0, False
    while not finished:
        moment += 1
        place = tmp_path / str(moment)
        place.mkdir()
        finished = finishes(place, moment, one_file, tower, folder, place / "e.parquet")
        if not finished:
            one_file(tower, folder, place / "e.parquet")
        assert (place / "e.parquet").read_bytes() == undisturbed
        assert left_in(place) == ["e.parquet"]
    assert moment > 10


def stop_after(pieces: int, monkeypatch):
    """Make `put` fail as Ctrl-C does, after some pieces."""
    real, count = embedding_parts.Parts.put, iter(range(1000))

    def put(self, number, data):
        if next(count) == pieces:
            raise KeyboardInterrupt
        real(self, number, data)

    monkeypatch.setattr(embedding_parts.Parts, "put", put)


def test_only_an_equal_call_goes_on(tower, folder, undisturbed, tmp_path, monkeypatch):
    out = tmp_path / "e.parquet"
    for change in ({}, {"batch_size": 5}, {"precision": "float16"}, {"config": "faces"}):
        options = {"config": None, "images": folder, **change}
        with monkeypatch.context() as patch:
            stop_after(2, patch)
            with pytest.raises(KeyboardInterrupt):
                embed(None, None, tower, out, images=folder)
        done = embed(None, options.pop("config"), tower, out, **options)
        assert done["n_resumed"] == (0 if change else 2), change
    with monkeypatch.context() as patch:
        stop_after(0, patch)
        with pytest.raises(KeyboardInterrupt):
            embed(None, None, tower, tmp_path / "other.parquet", images=folder)
    assert left_in(tmp_path) == ["e.parquet"], "nothing done, nothing left"


def test_a_changed_image_starts_over(tower, tmp_path, monkeypatch):
    faces = tmp_path / "faces"
    faces.mkdir()
    for index in range(70):
        (faces / f"{index:02d}.png").write_bytes(picture(index))
    out = tmp_path / "e.parquet"
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            embed(None, None, tower, out, images=faces)
    (faces / "03.png").write_bytes(picture(1000))
    assert embed(None, None, tower, out, images=faces)["n_resumed"] == 0


def test_a_piece_that_the_disk_lost_is_made_again(
    tower, folder, undisturbed, tmp_path, monkeypatch
):
    out = tmp_path / "e.parquet"
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            embed(None, None, tower, out, images=folder)
    first, second = sorted((tmp_path / ".e.parquet.parts").glob("*.arrow"))
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:-100])
    with pytest.raises(EmoNetFaceError, match="was damaged after it was written"):
        embed(None, None, tower, out, images=folder)
    assert embed(None, None, tower, out, images=folder)["n_resumed"] == 2
    assert out.read_bytes() == undisturbed


def test_two_calls_do_not_write_one_file(tower, folder, tmp_path):
    out = tmp_path / "e.parquet"
    with (
        embedding_parts.open_parts(out, {}, 3),
        pytest.raises(EmoNetFaceError, match="is being written by another process"),
    ):
        embed(None, None, tower, out, images=folder)


# --- worker processes


def test_worker_processes_give_the_same_file(tower, folder, undisturbed, tmp_path):
    one_file(tower, folder, tmp_path / "e.parquet", workers=2)
    assert (tmp_path / "e.parquet").read_bytes() == undisturbed


def test_a_killed_worker_process_is_named():
    with (
        pytest.raises(EmoNetFaceError, match=r"worker process .* was killed"),
        worker_processes(1) as pool,
    ):
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


PARENT = """
import os, time
from modeling_empathicinsight.embedding_workers import worker_processes

with worker_processes(1) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed():
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        assert _runs(worker)
        parent.kill()
    until = time.monotonic() + 60
    while _runs(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_pool_is_looked_ahead_in_order():
    with worker_processes(2) as pool:
        assert list(look_ahead(abs, range(-5, 5), 3, pool)) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


# --- Ray


@pytest.fixture(scope="module")
def cluster():
    """A local cluster of two processes; what they unpickle of this file travels with it."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield ray
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    ray.shutdown()


@pytest.mark.slow
def test_ray_gives_the_same_file(cluster, tower, folder, undisturbed, tmp_path, monkeypatch):
    """From the beginning, and where a local call left off; also with an image it cannot read."""
    out = tmp_path / "e.parquet"
    done = embed(None, None, tower, out, images=folder, engine="ray", actors=2)
    assert out.read_bytes() == undisturbed
    assert (done["n"], done["n_resumed"]) == (150, 0)
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            embed(None, None, tower, out, images=folder)
    done = embed(None, None, tower, out, images=folder, engine="ray")
    assert out.read_bytes() == undisturbed
    assert done["n_resumed"] == 1

    def spoil(config, rows):
        rows[3]["image"]["bytes"] = b"no picture"
        rows[4]["image"] = None

    bad = write_toy_repo(tmp_path / "bad", big=12, binary=0, edit=spoil)
    one = embed(bad, "big", tower, tmp_path / "one.parquet")
    ray = embed(bad, "big", tower, tmp_path / "ray.parquet", engine="ray")
    assert (ray["n"], ray["n_null"], ray["n_rejected"]) == (10, 1, 1)
    assert one["rejects"].read_bytes() == ray["rejects"].read_bytes()
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "ray.parquet").read_bytes()


@dataclass(frozen=True)
class Deadly(FilesPiece):
    """Kills the process that reads it, unless a note says that one died of it already."""

    note: Path

    def rows(self):
        try:
            self.note.touch(exist_ok=False)
        except FileExistsError:
            return super().rows()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_dead_ray_worker_costs_no_row_and_doubles_none(
    cluster, tower, folder, undisturbed, tmp_path, monkeypatch
):
    """SIGKILL in the middle of the second of three pieces: an actor takes it up again."""
    note = tmp_path / "note"
    source = folder_source(folder)
    first, second, third = source.pieces
    pieces = [first, Deadly(second.files, note), third]
    monkeypatch.setattr(
        embedding, "folder_source", lambda *arguments: replace(source, pieces=pieces)
    )
    put = Counter()
    real = embedding_parts.Parts.put
    monkeypatch.setattr(
        embedding_parts.Parts,
        "put",
        lambda self, number, data: (put.update([number]), real(self, number, data)),
    )
    out = tmp_path / "e.parquet"
    embed(None, None, tower, out, images=folder, engine="ray", actors=2)
    assert note.exists(), "a worker died"
    assert put == {0: 1, 1: 1, 2: 1}
    assert out.read_bytes() == undisturbed


@pytest.mark.slow
def test_errors_of_a_ray_worker_are_those_of_the_local_engine(cluster, folder, tmp_path):
    place = broken_tower(tmp_path / "t")
    with pytest.raises(EmoNetFaceError, match=r"image 'face-\d+' is not finite or zero"):
        embed(None, None, place, tmp_path / "x.parquet", images=folder, engine="ray")


def test_without_ray_the_pip_line_is_said(tower, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EmoNetFaceError, match=r"pip install 'emonet-face\[distributed\]'"):
        embed(None, None, tower, tmp_path / "x.parquet", images=folder, engine="ray")
