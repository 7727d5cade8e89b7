"""The published dataset repos -> configs `hq`, `hq_baselines` and `binary`, joinable again.

    emonet-face build hq --from-hub --ratings hq.csv --out emonet-face
    emonet-face build binary --from-hub --out emonet-face

The published HQ has lost its file names, and its order is not that of `hq.csv`. But who gave an
image which 40 ratings stands in both: with `--ratings` pictures get their published names back, and
the models' ratings come along as `hq_baselines`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from dataset_scripts.binary import count_vote, vote_columns
from dataset_scripts.columns import face_columns
from dataset_scripts.faces import Faces
from dataset_scripts.fingerprints import match
from dataset_scripts.hq import baseline_row, people_columns
from dataset_scripts.published_labels import binary_votes, hq_ratings
from dataset_scripts.published_repos import PublishedRepo, PublishedRow, own_id
from dataset_scripts.rating_table import RatingTable, read_rating_table
from dataset_scripts.rejects import Reject
from dataset_scripts.repository import BuildReport, build_configs, check_repo
from dataset_scripts.schema import Row
from dataset_scripts.shards import IMAGE_GROUP_ROWS
from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import ImageFile
from emonet_face.ratings import Scores

_Picture = tuple[str, ImageFile, str | None, Sequence[tuple[str, Scores]]]
"""(image id, image, its file name, who gave what)."""

_PROMPT_COLUMNS = ("ethnicity", "age", "gender")


def build_hq_from_hub(
    hub: str,
    out: Path,
    *,
    ratings: Path | None = None,
    prompts: Path | None = None,
    strict: bool = False,
) -> BuildReport:
    """Write or replace the config `hq` from the published repo, and `hq_baselines` with `ratings`.

    Args:
        hub: id or folder of a repo in the published form; empty for the published id.
        out: the dataset repo.
        ratings: the published `hq.csv`, by which pictures get their file names back. Without it
            images are named as `own_id` says.
        prompts: JSON lines of prompt records by `image_id`.
        strict: the first rejected row is an error.

    Raises:
        EmoNetFaceError: a source cannot be used or has another form, `out` is not ours, no image
            is left, or `strict`. Nothing was written then.
    """
    check_repo(out)
    counts: Counter[str] = Counter()
    table = None if ratings is None else read_rating_table(ratings, counts)
    repo = PublishedRepo("hq", hub)
    rows = hq_rows(repo, table, Faces(prompts=prompts), counts)
    return build_configs(
        out,
        {"hq": rows, "hq_baselines": map(baseline_row, table.models if table else ())},
        source=Path(repo.name),
        strict=strict,
        counts=counts,
        group_rows=IMAGE_GROUP_ROWS,
    )


def build_binary_from_hub(hub: str, out: Path, *, strict: bool = False) -> BuildReport:
    """Write or replace the config `binary` from the published repo.

    Args:
        hub, out, strict: as in `build_hq_from_hub`.

    Raises:
        EmoNetFaceError: as `build_hq_from_hub`.
    """
    check_repo(out)
    counts: Counter[str] = Counter()
    repo = PublishedRepo("binary", hub)
    return build_configs(
        out,
        {"binary": binary_rows(repo, counts)},
        source=Path(repo.name),
        strict=strict,
        counts=counts,
        group_rows=IMAGE_GROUP_ROWS,
    )


def hq_rows(
    repo: PublishedRepo, table: RatingTable | None, faces: Faces, counts: Counter[str]
) -> Iterator[Row | Reject]:
    """The rows of config `hq` in the order of the published repo.

    A picture whose ratings are those of no image of the table, or of several, is a reject; so is an
    image of the table that has no picture.

    Args:
        repo: of the form "hq".
        table: the ratings file; None to take the ratings in the repo.
        faces: the prompt records.
        counts: filled with what the report says beside rows and rejects.
    """
    yield from faces.rejects
    yield from table.rejects if table else ()
    make = _HqRow(repo, table, faces, counts)
    yield from _each(repo, make)
    for image_id in table.people if table else ():
        if image_id not in make.taken:
            yield table.reject(image_id, f"no picture in {repo.name} is told by these ratings")
    faces.count_unused(set(make.taken), counts)


def binary_rows(repo: PublishedRepo, counts: Counter[str]) -> Iterator[Row | Reject]:
    """The rows of config `binary` in the order of the published repo.

    Args:
        repo: of the form "binary".
        counts: filled with what the report says beside rows and rejects.
    """
    yield from _each(repo, partial(_binary_row, repo, {}, counts))


def _each(repo: PublishedRepo, make: Callable[[PublishedRow], Row]) -> Iterator[Row | Reject]:
    for row in repo.rows():
        try:
            made: Row | Reject = make(row)
        except EmoNetFaceError as error:
            made = Reject(repo.name, row.number, str(error), dict(row.values))
        yield made


class _HqRow:
    """Makes rows of config `hq` from rows of the published repo.

    Attributes:
        taken: image id -> the row of the repo that is that image.
    """

    def __init__(
        self,
        repo: PublishedRepo,
        table: RatingTable | None,
        faces: Faces,
        counts: Counter[str],
    ) -> None:
        self.taken: dict[str, int] = {}
        self._repo = repo
        self._table = table
        self._named = [] if table is None else match(repo.column("label"), table)
        self._faces = faces
        self._counts = counts

    def __call__(self, row: PublishedRow) -> Row:
        make = self._by_itself if self._table is None else self._of_table
        image_id, image, name, rated = make(row)
        face = self._faces.columns_of(image_id, (image, name))
        how = "ratings" if self._table else "file name" if name else "sha256"
        self._counts[f"pictures named by their {how}"] += 1
        return face | people_columns(rated, self._counts)

    def _of_table(self, row: PublishedRow) -> _Picture:
        image_id = self._named[row.number - 1]
        if isinstance(image_id, EmoNetFaceError):
            raise image_id
        _take(image_id, row, self.taken)
        ratings = [rating for _, rating in self._table.people[image_id]]
        image, _ = self._repo.image(row)
        name = PurePosixPath(ratings[0].image).name
        return image_id, image, name, [(rating.annotator, rating.scores) for rating in ratings]

    def _by_itself(self, row: PublishedRow) -> _Picture:
        image, name = self._repo.image(row)
        image_id = own_id(image, name)
        _take(image_id, row, self.taken)
        return image_id, image, name, hq_ratings(row.values["label"])


def _binary_row(
    repo: PublishedRepo, taken: dict[str, int], counts: Counter[str], row: PublishedRow
) -> Row:
    image, name = repo.image(row)
    image_id = own_id(image, name)
    _take(image_id, row, taken)
    votes = binary_votes(row.values["annotations"], image_id)
    record = {f"prompted_{column}": row.values.get(column) for column in _PROMPT_COLUMNS}
    record["prompt"] = row.values.get("prompt")
    face = face_columns(image_id, record, image, name, counts)
    columns = vote_columns(votes, face["prompted_emotion"], counts)
    for vote in votes:
        count_vote(vote, counts)
    counts[f"pictures named by their {'file name' if name else 'sha256'}"] += 1
    return face | columns


def _take(image_id: str, row: PublishedRow, taken: dict[str, int]) -> None:
    first = taken.setdefault(image_id, row.number)
    if first != row.number:
        raise EmoNetFaceError(f"image {shown(image_id)} already stands in row {first}")
