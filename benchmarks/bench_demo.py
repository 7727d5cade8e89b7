"""How long the demo takes, how much memory it needs, how fast `--help` answers.

    python benchmarks/bench_demo.py [--faces 2000]     # about 4 minutes on 2 cores

Expected on 2 cores: the demo under 240 s and 4 GB (largest resident process), `--help` under 0.5 s
(median of 9). Other people's interpreters stand beside it as the yardstick: `python -c pass` and
`python -c 'import torch'`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


def seconds(command: list[str], runs: int) -> float:
    """Median wall time of a command that must succeed."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _tree_kilobytes(pid: int) -> int:
    """Resident memory of a process and its descendants now, in kB (Linux)."""
    total, waiting = 0, [pid]
    while waiting:
        current = waiting.pop()
        try:
            status = Path(f"/proc/{current}/status").read_text()
            children = Path(f"/proc/{current}/task/{current}/children").read_text()
        except OSError:
            continue
        waiting += [int(child) for child in children.split()]
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def run_measured(command: list[str]) -> tuple[float, float]:
    """(wall seconds, peak resident GB of all its processes together) of a command."""
    peak, start = 0, time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.2):
            peak = max(peak, _tree_kilobytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    stop.set()
    watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} failed with {code}")
    return time.perf_counter() - start, peak / 1e6


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=2000)
    options = parser.parse_args(argv)
    command = [sys.executable, "-m", "emonet_face.cli"]
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    rows = [
        ("python -c pass", seconds([sys.executable, "-c", "pass"], 9)),
        ("python -c 'import torch'", seconds([sys.executable, "-c", "import torch"], 3)),
        ("emonet-face --help", seconds([*command, "--help"], 9)),
    ]
    for name, value in rows:
        print(f"{name:32} {value:8.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        wall, memory = run_measured(
            [*command, "demo", "--out", f"{folder}/demo", "--faces", str(options.faces)]
        )
    print(f"{f'demo, {options.faces:,} faces':32} {wall:8.1f} s   peak {memory:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
