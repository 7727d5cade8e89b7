"""How long the cards of a whole release take to render: wall and processor time, fresh and warm.

    python benchmarks/bench_cards.py demo-out/hub

Copies the folder, renders every product in it in a fresh process (imports included), and then five
times more in the same process. Expected on 2 quiet cores, for the hub of a demo: under 1 s fresh,
under 0.7 s warm. Processor time is printed beside it, because wall time means little on busy cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

WARM_RUNS = 5
CODE = """
import json, sys, time
start, used = time.perf_counter(), time.process_time()
from pathlib import Path
from cards.render import render_card
rows = []
for run in range(int(sys.argv[1])):
    for repo in sys.argv[2:]:
        render_card(Path(repo))
    now = time.perf_counter(), time.process_time()
    rows.append((now[0] - start, now[1] - used))
    start, used = now
print(json.dumps(rows))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code: 1 where a fresh run takes 1 s or more."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("hub", type=Path, help="folder of product folders")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        hub = Path(shutil.copytree(options.hub, Path(scratch) / "hub"))
        repos = sorted(str(path) for path in hub.iterdir() if path.is_dir())
        command = [sys.executable, "-c", CODE, str(1 + WARM_RUNS), *repos]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    fresh, *warm = json.loads(done.stdout)
    names = ", ".join(Path(repo).name for repo in repos)
    wall, used = (statistics.median(row[side] for row in warm) for side in (0, 1))
    print(f"{len(repos)} cards ({names})")
    print(f"fresh process, imports included: {fresh[0]:.2f} s, {fresh[1]:.2f} s of processor time")
    print(f"again, median of {len(warm)}: {wall:.2f} s, {used:.2f} s of processor time")
    return 0 if fresh[0] < 1 else 1


if __name__ == "__main__":
    sys.exit(main())
