"""The images and prompt records that go with a table of labels, matched by image id."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from dataset_scripts.columns import face_columns
from dataset_scripts.prompt_records import read_prompts
from dataset_scripts.rejects import Reject
from dataset_scripts.schema import Row
from dataset_scripts.strict_json import Line, parse_object
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import index_images, read_image


class Faces:
    """Where the faces of a table are and what they were prompted for.

    A prompt record is the image's line in the prompts file, else the sidecar NAME.json beside the
    image, else there is none.

    Attributes:
        rejects: lines of the prompts file that name no image of their own.
    """

    def __init__(self, images: Path | None = None, prompts: Path | None = None) -> None:
        """
        Args:
            images: folder searched recursively; None leaves the image columns null.
            prompts: JSON lines with `image_id`; None for none.

        Raises:
            EmoNetFaceError: a file or folder cannot be read, or two images have one stem.
        """
        self.rejects: list[Reject] = []
        self._folder = images
        self._images = None if images is None else index_images(images)
        self._prompts_file = prompts
        self._prompts: dict[str, Line] = {}
        if prompts is not None:
            self._prompts, self.rejects = read_prompts(prompts)

    def columns(self, image_id: str) -> Row:
        """The 11 columns of a face.

        Raises:
            EmoNetFaceError: the image is missing or unreadable, or its prompt record is bad.
        """
        path = None
        if self._images is not None:
            path = self._images.get(image_id)
            if path is None:
                raise EmoNetFaceError(f"no image {image_id!r} in {self._folder}")
        record, where = self._record(image_id, path)
        image = None if path is None else read_image(path)
        try:
            return face_columns(image_id, record, image, None if path is None else path.name)
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{where}: {error}") from None

    def _record(self, image_id: str, path: Path | None) -> tuple[dict[str, Any], str]:
        line = self._prompts.get(image_id)
        if line is not None:
            return line.record, f"{self._prompts_file}, line {line.number}"
        if path is None:
            return {}, f"image {image_id!r}"
        sidecar = path.with_suffix(".json")
        try:
            return parse_object(sidecar.read_bytes()), str(sidecar)
        except FileNotFoundError:
            return {}, str(path)
        except OSError as error:
            raise EmoNetFaceError(f"{sidecar}: cannot be read ({error.strerror})") from None
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{sidecar}: {error}") from None

    def count_unused(self, labelled: set[str], counts: Counter[str]) -> None:
        """Count the images and prompt lines that no labelled image asked for."""
        counts["images without labels"] = len(set(self._images or ()) - labelled)
        counts["prompt lines without labels"] = len(set(self._prompts) - labelled)
