"""Where the images of a Big source and their records lie: a folder, archives, or both.

Names are listed once, in a table on disk; images are then read one at a time and archives in
place. So neither memory nor the disk grows with the images.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from dataset_scripts.archives import BadMember, Member, iter_members
from dataset_scripts.rejects import Reject
from dataset_scripts.scratch import decode, encode
from dataset_scripts.strict_json import MAX_RECORD_BYTES
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import IMAGE_SUFFIXES, MAX_FILE_BYTES, image_stem
from emonet_face.outputs import made_by

RUN_MANIFEST, RUN_PLAN = "run.json", ".plan.json"
"""What a run of `generate` holds when it is complete, and while images are missing."""

_PACKED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar")
"""Suffixes of archives that somebody may take for readable ones."""

_FOLDER = 0
"""The place of files in folders; archives have the places 1, 2, ..."""

_TABLES = (
    "TABLE images (place INTEGER, key BLOB, base BLOB, stem BLOB, offset INTEGER, size INTEGER)",
    "TABLE records (place INTEGER, key BLOB, base BLOB, offset INTEGER, size INTEGER)",
    "TABLE bad (place INTEGER, name BLOB, reason TEXT)",
)
_INDEXES = (
    "INDEX image_order ON images (place, key)",
    "INDEX image_base ON images (place, base)",
    "INDEX image_stem ON images (stem)",
    "INDEX record_order ON records (place, key)",
    "INDEX record_base ON records (place, base)",
)
_PAIRS = """
SELECT i.stem, i.key, i.offset, i.size, r.key, r.offset, r.size
FROM images AS i LEFT JOIN records AS r ON r.place = i.place AND r.base = i.base
WHERE i.place = ? ORDER BY i.key
"""
_ORPHANS = """
SELECT key FROM records AS r WHERE place = ? AND NOT EXISTS
    (SELECT 1 FROM images AS i WHERE i.place = r.place AND i.base = r.base)
ORDER BY key
"""


@dataclass(frozen=True)
class Pair:
    """An image and the record beside it, wherever they lie.

    Attributes:
        image_id: the image's stem.
        name: its file name.
        file: where it is, for people: "folder/NAME.png" or "archive.tar:folder/NAME.png".
        read_image: gives the image's bytes.
        read_record: gives the bytes of NAME.json; None where there is none.
    """

    image_id: str
    name: str
    file: str
    read_image: Callable[[], bytes]
    read_record: Callable[[], bytes] | None


class Source:
    """The images of a Big source and the records beside them, in an order that never changes.

    Attributes:
        path: the source.
        n_images: how many images it has.
        fingerprint: hex digest over the names, sizes and times of all its files. An unchanged
            source has the same one; image bytes are not read for it.
    """

    def __init__(self, path: Path, table: sqlite3.Connection) -> None:
        """
        Args:
            path: a folder, searched recursively for images and `*.tar`, or one `.tar` file. Hidden
                files and files of other kinds are passed over.
            table: of `scratch()`, for the names.

        Raises:
            EmoNetFaceError: there is no such source, it cannot be listed, it is a run of `generate`
                that lacks images, an archive is damaged, or two images have one stem.
        """
        self.path = path
        self._table = table
        self._archives: list[Path] = []
        self._states = 0
        for statement in _TABLES:
            table.execute(f"CREATE {statement}")
        if path.is_dir():
            if made_by(path, RUN_PLAN):
                raise EmoNetFaceError(
                    f"{path}: is an unfinished run; the same call of `generate` finishes it"
                )
            self._list_folder()
        elif path.is_file() and path.suffix.lower() == ".tar":
            self._archives = [path]
            self._note(path.name, path.stat())
        else:
            raise EmoNetFaceError(f"{path}: is neither a folder nor a .tar archive")
        for place, archive in enumerate(self._archives, start=1):
            self._list_archive(place, archive)
        for statement in _INDEXES:  # made at the end: sorting once is faster than keeping sorted
            table.execute(f"CREATE {statement}")
        self.n_images = table.execute("SELECT count(*) FROM images").fetchone()[0]
        self.fingerprint = f"{self._states:064x}"
        self._check_stems()

    def _note(self, name: str, state: os.stat_result) -> None:
        """Add a file to the fingerprint: a sum, as folders list their files in any order."""
        text = encode(f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {name}")
        digest = int.from_bytes(hashlib.sha256(text).digest(), "big")
        self._states = (self._states + digest) % 2**256

    def _list_folder(self) -> None:
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self.path / folder) as entries:
                    for entry in entries:
                        if not entry.name.startswith("."):
                            self._list_entry(entry, f"{folder}{entry.name}", folders)
            except OSError as error:
                raise EmoNetFaceError(
                    f"{error.filename}: cannot be listed ({error.strerror})"
                ) from None
        self._archives.sort()

    def _list_entry(self, entry: os.DirEntry[str], name: str, folders: list[str]) -> None:
        if entry.is_dir():
            if entry.is_symlink():
                self._put_bad(_FOLDER, name, "is a link to a folder, and those are not followed")
            else:
                folders.append(f"{name}/")
            return
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix in _PACKED:
            self._put_bad(_FOLDER, name, f"is a {suffix} archive; a plain .tar is read")
            return
        if suffix not in (*IMAGE_SUFFIXES, ".tar") and not name.endswith(".json"):
            return
        if not entry.is_file():
            self._put_bad(_FOLDER, name, "is no plain file, or a link to nothing")
            return
        state = entry.stat()
        self._note(name, state)
        if suffix == ".tar":
            self._archives.append(self.path / name)
        else:
            self._put(_FOLDER, Member(name, 0, state.st_size))

    def _list_archive(self, place: int, archive: Path) -> None:
        for member in iter_members(archive):
            if isinstance(member, BadMember):
                self._put_bad(place, member.name, member.reason)
            else:
                self._put(place, member)

    def _put(self, place: int, member: Member) -> None:
        base, suffix = os.path.splitext(member.name)
        # Between the parts of a path stands NUL, which sorts before all that names can hold: a
        # folder's files keep together, as in the order of Path.
        key, base = encode(member.name.replace("/", "\0")), encode(base)
        if suffix == ".json":
            values: tuple[object, ...] = (place, key, base, member.offset, member.size)
            self._table.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", values)
        else:
            values = (place, key, base, encode(image_stem(member.name)), member.offset, member.size)
            self._table.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?)", values)

    def _put_bad(self, place: int, name: str, reason: str) -> None:
        self._table.execute("INSERT INTO bad VALUES (?, ?, ?)", (place, encode(name), reason))

    def _check_stems(self) -> None:
        checks = (
            ("images", "stem", "an image id may stand only once"),
            ("records", "place, base", "one record an image is allowed"),
        )
        for table, columns, rule in checks:
            twice = self._table.execute(
                f"SELECT {columns} FROM {table} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1"
            ).fetchone()
            if twice is None:
                continue
            where = " AND ".join(f"{column} = ?" for column in columns.split(", "))
            first, second = self._table.execute(
                f"SELECT place, key FROM {table} WHERE {where} ORDER BY place, key LIMIT 2", twice
            ).fetchall()
            stem = image_stem(os.path.basename(decode(twice[-1])))
            raise EmoNetFaceError(
                f"{self._file(*second)} and {self._file(*first)} have the same stem"
                f" {stem!r}: {rule}"
            )

    def has(self, image_id: str) -> bool:
        """Whether an image has this stem."""
        query = "SELECT 1 FROM images WHERE stem = ?"
        return self._table.execute(query, (encode(image_id),)).fetchone() is not None

    def items(self, start: int = 0) -> Iterator[Pair | Reject]:
        """All images from the `start`-th item on: those in folders first, then archive by archive.

        Each place gives its unusable files, its images in path order, and the records that have no
        image, the first and the last as Rejects.
        """
        return islice(self._all_items(), start, None)

    def _all_items(self) -> Iterator[Pair | Reject]:
        yield from self._place_items(_FOLDER, self._folder_reader)
        for place, archive in enumerate(self._archives, start=1):
            yield from self._place_items(place, partial(_archive_reader, archive))

    def _place_items(
        self, place: int, reader: Callable[[Member], Callable[[], bytes]]
    ) -> Iterator[Pair | Reject]:
        query = "SELECT name, reason FROM bad WHERE place = ? ORDER BY name"
        for name, reason in self._table.execute(query, (place,)):
            yield Reject(self._file(place, name), None, reason, {})
        for stem, key, offset, size, *record in self._table.execute(_PAIRS, (place,)):
            image = Member(_name(key), offset, size)
            yield Pair(
                decode(stem),
                os.path.basename(image.name),
                self._file(place, key),
                reader(image),
                None if record[0] is None else reader(Member(_name(record[0]), *record[1:])),
            )
        for (key,) in self._table.execute(_ORPHANS, (place,)):
            if not (place == _FOLDER and self._is_manifest(_name(key))):
                yield Reject(self._file(place, key), None, "no image beside this record", {})

    def _file(self, place: int, key: bytes) -> str:
        if place == _FOLDER:
            return str(self.path / _name(key))
        return f"{self._archives[place - 1]}:{_name(key)}"

    def _folder_reader(self, file: Member) -> Callable[[], bytes]:
        return partial(_read, self.path / file.name, file, offset=0)

    def _is_manifest(self, name: str) -> bool:
        path = self.path / name
        return path.name == RUN_MANIFEST and made_by(path.parent, RUN_MANIFEST) is not None


def _name(key: bytes) -> str:
    return decode(key).replace("\0", "/")


def _archive_reader(archive: Path, member: Member) -> Callable[[], bytes]:
    return partial(_read, archive, member, offset=member.offset)


def _read(path: Path, member: Member, *, offset: int) -> bytes:
    most = MAX_RECORD_BYTES if member.name.endswith(".json") else MAX_FILE_BYTES
    if member.size > most:
        raise EmoNetFaceError(f"has {member.size:,} bytes; at most {most:,} are allowed")
    with path.open("rb") as stream:  # of its own: files are read in several threads
        stream.seek(offset)
        return stream.read(member.size)
