"""Uploading a dataset to a Hub beside a plain HTTP copy of the same bytes.

    python benchmarks/bench_publish.py [--gigabytes 2] [--rounds 3] [--folder DIR]   # 5 minutes

The Hub is the small one of the tests, in a process of its own on this machine; it hashes and stores
what it is sent, over either way. Parquet shards of pictures (stored PNGs of noise, 512 x 512) are
sent in turns:

- plain copy: `http.client`, one PUT of a shard after the other, read in blocks of 1 MiB;
- upload: the upload phase of `publish`: create the repo, send the shards, one commit.

Then the whole command once, with verification, plan and reading back; its time includes decoding
every picture and loading through the public loaders in a fresh process.

Aimed at: the upload at least at 70 % of the plain copy's rate (median over the rounds).
"""

from __future__ import annotations

import argparse
import http.client
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIDE = 512
TOKEN = "hf_benchmark"
USER = "me"
GROUP_ROWS = 100


def rows(n: int) -> Iterator[dict[str, Any]]:
    """Rows of config `big`; every picture is another."""
    import numpy as np
    from PIL import Image

    from dataset_scripts.columns import face_columns, rating_columns
    from emonet_face.imaging import inspect_image
    from emonet_face.taxonomy import DIMENSIONS

    generator = np.random.default_rng(0)
    dimensions = {dimension.slug: float(dimension.low) for dimension in DIMENSIONS}
    labels = rating_columns([("machine", [1.0] * 40)])
    for index in range(n):
        pixels = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG", compress_level=0)
        name = f"noise-{index:06d}"
        image = inspect_image(stream.getvalue(), name)
        yield face_columns(name, {}, image, f"{name}.png") | labels | {"dimensions": dimensions}


def make_products(folder: Path, gigabytes: float) -> Path:
    """A folder with one dataset repo of about that size and its card."""
    from cards.render import render_card
    from dataset_scripts.repository import write_configs

    repo = folder / "hub" / "emonet-face"
    n = round(gigabytes * 1e9 / (SIDE * SIDE * 3))
    write_configs(repo, {"big": rows(n)}, group_rows=GROUP_ROWS)
    render_card(repo)
    return repo.parent


def plain_copy(host: str, files: list[Any]) -> float:
    """Seconds to PUT the files one after the other."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection(host, blocksize=1 << 20)
    for file in files:
        with file.path.open("rb") as stream:
            headers = {"Content-Length": str(file.size)}
            connection.request("PUT", f"/plain/{file.sha256}", body=stream, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the server answers {answer.status}")
    return time.perf_counter() - start


def upload(repo: Any, org: str) -> float:
    """Seconds of the upload phase."""
    from cards.publishing.hub_access import connect
    from cards.publishing.plan import make_plan
    from cards.publishing.upload import upload_repo

    api = connect()
    (plan,) = make_plan(api, [repo], org, private=False, version="v0")
    start = time.perf_counter()
    upload_repo(api, plan)
    return time.perf_counter() - start


def main(argv: list[str] | None = None) -> int:
    """See the head of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="made and kept; default: a temporary one")
    arguments = parser.parse_args(argv)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="bench-publish-"))
    hub = folder / "hub"
    orgs = [f"round-{number}" for number in range(arguments.rounds + 1)]
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "hub_server.py"), "--root", str(folder / "server"),
         "--token", f"{TOKEN}={','.join([USER, *orgs])}"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url = server.stdout.readline().strip()
        os.environ |= {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
        os.environ |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        if not hub.is_dir():  # only now: the libraries read these settings when imported
            make_products(folder, arguments.gigabytes)
        measure(hub, url, orgs)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder / "server", ignore_errors=True)
        if arguments.folder is None:
            shutil.rmtree(folder)
    return 0


def measure(hub: Path, url: str, orgs: list[str]) -> None:
    """Both ways in turns, then the whole command."""
    from cards.publishing.staging import staged

    copies, uploads = [], []
    start = time.perf_counter()
    with staged(hub, USER) as (repo,):
        size = repo.size
        print(f"{size / 1e9:.2f} GB in {len(repo.files)} files, staged and hashed in"
              f" {time.perf_counter() - start:.1f} s")  # fmt: skip
        for org in orgs[:-1]:
            copies.append(plain_copy(url.removeprefix("http://"), list(repo.files)))
            uploads.append(upload(repo, org))
            print(f"plain copy {copies[-1]:6.1f} s   upload {uploads[-1]:6.1f} s")
    shares = [copy / sent for copy, sent in zip(copies, uploads, strict=True)]
    rates = [size / 1e6 / statistics.median(seconds) for seconds in (copies, uploads)]
    print(
        f"plain copy {rates[0]:.0f} MB/s, upload phase {rates[1]:.0f} MB/s:"
        f" {statistics.median(shares):.0%} (median of {len(shares)})"
    )
    start = time.perf_counter()
    command = [sys.executable, "-m", "emonet_face.cli", "publish", str(hub), "--org", orgs[-1]]
    done = subprocess.run(
        [*command, "--upload"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    print(f"whole command: {time.perf_counter() - start:.1f} s")
    print(next(line for line in done.stdout.splitlines() if "read back in" in line))


if __name__ == "__main__":
    sys.exit(main())
