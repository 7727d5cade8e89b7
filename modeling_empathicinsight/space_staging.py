"""The model's page: written as a Space folder, or started here.

emonet-face page --model DIR          # in the browser, until Ctrl-C
emonet-face page --model ORG/NAME --out SPACE
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import made_by, new_folder, write_json
from emonet_face.simulated import beside, model_is_simulated
from emonet_face.taxonomy import as_json

MADE_BY = "emonet-face page"
RECORD = "space.json"
HERE = Path(__file__).parent
SHARED = ("predict_onnx.py", "face_crops.py")
"""Files that the page shares with the model repo and with `predict`; they lie beside app.py."""

DEMONSTRATION = "demonstration.md"
"""What page and card say of a model that was trained on simulated raters."""
FILES = (
    "app.py", "bars.py", "page.css", "page.png", "notice.md", DEMONSTRATION, "requirements.txt",
    "README.md",
)  # fmt: skip

_ENDING = [
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""What asks a program to end; Windows has no SIGHUP."""


def stage_space(out: Path, model_id: str) -> None:
    """Write a complete Space: the page, what it imports, the taxonomy, front matter.

    Args:
        out: folder; an earlier one of this function is replaced.
        model_id: Hub id of the model the Space shows, ORG/NAME. Where its folder NAME lies beside
            `out`, as products do, and its record names simulated raters, the Space says so; the
            page itself asks the model that it loads.

    Raises:
        EmoNetFaceError: the id is none, `out` exists and is something else, or the record of the
            model beside it cannot be used.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model_id, re.ASCII) or Path(model_id).is_dir():
        raise EmoNetFaceError(
            f"{model_id}: a Space loads its model from the Hub; give an id ORG/NAME"
        )
    with new_folder(out, lambda folder: made_by(folder, RECORD) == MADE_BY) as folder:
        _fill(folder, model_id, model_is_simulated(beside(out, model_id)))


def _fill(folder: Path, model_id: str, simulated: bool | None) -> None:
    for name in FILES:
        shutil.copyfile(HERE / "space" / name, folder / name)
    for name in SHARED:
        shutil.copyfile(HERE / name, folder / name)
    readme = folder / "README.md"
    notice, demonstration = (
        (folder / name).read_text(encoding="utf-8").strip() for name in ("notice.md", DEMONSTRATION)
    )
    text = readme.read_text(encoding="utf-8").replace("MODEL_ID", model_id)
    text = text.replace("NOTICE", f"{demonstration}\n\n{notice}" if simulated else notice)
    readme.write_text(text, encoding="utf-8")
    record = {"made_by": MADE_BY, "model": model_id, "simulated": simulated}
    write_json(folder / RECORD, {**record, "taxonomy": as_json()})


def serve(model: str, port: int) -> int:
    """Stage the page for a model in a temporary folder and run it there until it is stopped.

    Ctrl-C stops it, and so do SIGTERM and SIGHUP; the folder and all uploaded pictures go then.

    Args:
        model: folder or Hub id.
        port: on this machine only (127.0.0.1); the first free one from it on is taken.

    Returns:
        The exit code of the page: 0 when stopped, 2 where the model cannot be used.

    Raises:
        EmoNetFaceError: gradio is not installed, or a folder without a model.
    """
    if find_spec("gradio") is None:
        raise EmoNetFaceError("the page needs gradio: pip install 'emonet-face[space,faces]'")
    if Path(model).is_dir() and not (Path(model) / "config.json").is_file():
        raise EmoNetFaceError(f"{model}: no model folder (it has no config.json)")
    name = str(Path(model).resolve()) if Path(model).is_dir() else model
    settings = {
        "EMPATHICINSIGHT_MODEL": name,
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
    }
    try:
        with _temporary_folder() as folder, chdir(folder):
            _fill(folder, model, simulated=None)  # the page asks the model; nobody reads this
            # Read by gradio when it is imported: uploaded pictures go with the folder, too.
            os.environ |= settings | {"GRADIO_TEMP_DIR": str(folder / "uploads")}
            # In this process: no other one is left behind, however this one ends.
            sys.path.insert(0, str(folder))
            return import_module("app").main()
    except KeyboardInterrupt:
        return 0


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that goes at the end, also when a signal asks for it: KeyboardInterrupt inside."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number in _ENDING:
        if number == signal.SIGINT or before[number] != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, signal.default_int_handler)
    folder = mkdtemp(prefix="emonet-face-page-")
    try:
        yield Path(folder)
    finally:
        for number in _ENDING:  # who is impatient must not stop this
            signal.signal(number, signal.SIG_IGN)
        shutil.rmtree(folder, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)
