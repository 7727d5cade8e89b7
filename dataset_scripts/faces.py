"""The images and prompt records that go with a table of labels, matched by image id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dataset_scripts.columns import face_columns
from dataset_scripts.prompt_records import read_prompts
from dataset_scripts.rejects import Reject
from dataset_scripts.schema import Row
from dataset_scripts.strict_json import MAX_RECORD_BYTES, Line, parse_object
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile, index_images, read_bytes, read_image
from emonet_face.look_ahead import look_ahead

_JPEG = (".jpg", ".jpeg")
_Image = tuple[str, tuple[ImageFile, str] | None, EmoNetFaceError | None]
"""(image id, image and file name, what is wrong)."""


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
        self._told: Counter[str] = Counter()
        self._prompts_file = prompts
        self._prompts: dict[str, Line] = {}
        if prompts is not None:
            self._prompts, self.rejects = read_prompts(prompts)

    def columns(self, image_ids: Iterable[str]) -> Iterator[tuple[str, Row | EmoNetFaceError]]:
        """Image id and the 11 columns of its face, or what is wrong: the image is missing or
        unreadable, or its prompt record is bad. In the given order.
        """
        images: Iterable[_Image] = ((image_id, None, None) for image_id in image_ids)
        if self._images is not None:
            # Checking a JPEG takes less time than handing it from thread to thread.
            jpegs = all(path.suffix.lower() in _JPEG for path in self._images.values())
            images = (map if jpegs else look_ahead)(self._read, image_ids)
        for image_id, image, fault in images:
            if fault is None:
                try:
                    yield image_id, self.columns_of(image_id, image)
                    continue
                except EmoNetFaceError as error:
                    fault = error
            yield image_id, fault

    def _read(self, image_id: str) -> _Image:
        path = self._images.get(image_id)
        if path is None:
            return image_id, None, EmoNetFaceError(f"no image {image_id!r} in {self._folder}")
        try:
            return image_id, (read_image(path), path.name), None
        except EmoNetFaceError as error:
            return image_id, None, error

    def columns_of(self, image_id: str, image: tuple[ImageFile, str | None] | None) -> Row:
        """The 11 columns of one face.

        Args:
            image_id: names its prompt record.
            image: the image and its file name; None leaves the image columns null.

        Raises:
            EmoNetFaceError: the prompt record is bad or describes another image.
        """
        record, where = self._record(image_id)
        file, name = image or (None, None)
        try:
            return face_columns(image_id, record, file, name, self._told)
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{where}: {error}") from None

    def _record(self, image_id: str) -> tuple[dict[str, Any], str]:
        line = self._prompts.get(image_id)
        if line is not None:
            return line.record, f"{self._prompts_file}, line {line.number}"
        path = None if self._images is None else self._images.get(image_id)
        if path is None:
            return {}, f"image {image_id!r}"
        sidecar = path.with_suffix(".json")
        if not sidecar.exists():
            return {}, str(path)
        data = read_bytes(sidecar, MAX_RECORD_BYTES)
        try:
            return parse_object(data), str(sidecar)
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{sidecar}: {error}") from None

    def count_unused(self, labelled: set[str], counts: Counter[str]) -> None:
        """Count what prompts told, and the images and prompt lines that nothing labelled needs."""
        counts.update(self._told)
        counts["images without labels"] = len(set(self._images or ()) - labelled)
        counts["prompt lines without labels"] = len(set(self._prompts) - labelled)
