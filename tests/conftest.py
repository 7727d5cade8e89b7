"""Shared set-up of the tests: the Hugging Face libraries stay offline and out of the home folder.

The settings are read when those libraries are imported, so they are made here, first of all.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_home = tempfile.mkdtemp(prefix="emonet-face-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ.update(
    HF_HOME=_home,
    HF_HUB_OFFLINE="1",
    HF_EVALUATE_OFFLINE="1",
    HF_UPDATE_DOWNLOAD_COUNTS="0",
    HF_HUB_DISABLE_TELEMETRY="1",
    MPLBACKEND="Agg",
    TOKENIZERS_PARALLELISM="false",
)

import pytest  # noqa: E402 - after the settings above

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch with one thread, for a module of tests whose layers are tiny.

    A second thread mostly waits then. The bits of a product can hang on the number of threads, so
    processes that such a test starts for comparison must set it too.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of real published data: $EMONET_FACE_DATA, else ../shared/data by the clone."""
    folder = Path(os.environ.get("EMONET_FACE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no published data at {folder}; set EMONET_FACE_DATA to its folder")
    return folder
