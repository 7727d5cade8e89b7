"""The answers of a store as tables in the published forms, or as JSON lines with everything known.

    emonet-face annotate-export people.sqlite --out hq.csv

A person's latest answer counts; what it replaced stays in the store.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import image_stem
from emonet_face.outputs import new_file
from emonet_face.ratings import Scores
from emonet_face.released import (
    BadRow,
    Rating,
    Vote,
    iter_ratings,
    iter_votes,
    write_ratings,
    write_votes,
)
from emonet_face.taxonomy import EMOTIONS
from generation.people.board import Answer, Board
from generation.people.questions import Item, Task
from generation.people.store import Store, sqlite_faults

SUFFIXES = (".csv", ".jsonl")
_Key = tuple[str, str, str | None, object]
"""(image id, annotator, emotion or None, value): what one row says."""


def export(
    path: Path, out: Path, *, unfinished: bool = False, without: Sequence[str] = ()
) -> dict[str, object]:
    """Write the answers of a store. The page may be running meanwhile.

    Args:
        path: the store.
        out: `.csv`: sliders in the form of `hq.csv`, votes in that of `binary.csv`; `.jsonl`: one
            object a line, with how long the answer took and how often it was corrected.
        unfinished: write votes on images whose cascade has not ended, too. They may be votes that
            no finished cascade has, and `check` warns of them. Ratings are always written.
        without: people who want their answers left out. A cascade that lacks one of them is
            unfinished.

    Returns:
        "out", "task", "rows", "images", "annotators", "corrected" (answers that replace another),
        "left_out" (answers on unfinished images, not written), "unfinished" (images on which
        somebody is still to be asked, of all the images of the store).

    Raises:
        EmoNetFaceError: no store, nobody of a name in `without`, another suffix, nothing to write,
            or `out` exists and holds anything but answers of this store. Nothing is written then.
    """
    if out.suffix not in SUFFIXES:
        raise EmoNetFaceError(f"{out}: answers are written to {' or '.join(SUFFIXES)}")
    with Store(path) as store:
        with sqlite_faults(path), store.transaction(write=False):
            everything, names = store.answers(), store.annotators()
        board, task = store.board(), store.setup.task
    unknown = [name for name in without if name not in names]
    if unknown:
        raise EmoNetFaceError(f"{path}: nobody called {shown(unknown[0])} has joined")
    answers = [answer for answer in everything if answer.annotator not in without]
    for answer in answers:
        board.add(answer)
    rows = list(_rows(board, task, unfinished))
    n_latest = len(answers) - sum(answer.revises is not None for answer in answers)
    n_open = sum(not board.is_finished(item.number) for item in board.items)
    if not rows:
        raise EmoNetFaceError(
            f"{path}: nothing to write: {n_latest} answers, {n_open} of {len(board.items)} images"
            " unfinished" + (" (--unfinished writes them)" if n_latest else "")
        )
    said = {_key(board.items[answer.item], answer) for answer in everything}
    with new_file(out, lambda old: _earlier(old, out.suffix, task) <= said) as aside:
        _write(aside, rows, task, _times_corrected(answers), as_lines=out.suffix == ".jsonl")
    return {
        "out": str(out),
        "task": task.value,
        "rows": len(rows),
        "images": len({item.number for item, _ in rows}),
        "annotators": len({answer.annotator for _, answer in rows}),
        "corrected": len(answers) - n_latest,
        "left_out": n_latest - len(rows),
        "unfinished": n_open,
    }


def told(summary: dict[str, object]) -> str:
    """What `export` did, in one line or two."""
    what = "ratings" if summary["task"] == Task.SLIDERS else "votes"
    text = (
        f"{summary['out']}: {summary['rows']} {what} by {summary['annotators']} people on"
        f" {summary['images']} images ({summary['corrected']} corrections)"
    )
    if summary["left_out"]:
        text += f"\n{summary['left_out']} votes on unfinished images are left out: --unfinished"
    if summary["unfinished"]:
        text += f"\n{summary['unfinished']} images still wait for answers"
    return text


def _rows(board: Board, task: Task, unfinished: bool) -> Iterator[tuple[Item, Answer]]:
    """Image by image; votes on the target in the order asked, then the one on the contrast."""
    for item in board.items:
        if task == Task.SLIDERS or unfinished or board.is_finished(item.number):
            for kind in board.kinds:
                for answer in board.answers(item.number, kind):
                    yield item, answer


def _write(
    path: Path,
    rows: list[tuple[Item, Answer]],
    task: Task,
    corrected: Counter[tuple],
    *,
    as_lines: bool,
) -> None:
    if as_lines:
        with path.open("w", encoding="utf-8") as stream:
            for item, answer in rows:
                line = _line(item, answer, task, corrected[_cell(answer)])
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    elif task == Task.SLIDERS:
        write_ratings(path, (_rating(item, answer) for item, answer in rows))
    else:
        write_votes(path, (_vote(item, answer) for item, answer in rows))


def _rating(item: Item, answer: Answer) -> Rating:
    scores = Scores([float(value) for value in answer.value])
    return Rating(item.image, item.image_id, answer.annotator, True, scores)


def _vote(item: Item, answer: Answer) -> Vote:
    emotion = item.emotion(answer.kind)
    return Vote(item.image_id, answer.annotator, str(emotion), bool(answer.value))


def _line(item: Item, answer: Answer, task: Task, corrected: int) -> dict[str, object]:
    line: dict[str, object] = {
        "image": item.image,
        "annotator": answer.annotator,
        "protocol": task.value,
        "simulated": False,
    }
    if task == Task.SLIDERS:
        line["scores"] = dict(zip(EMOTIONS, answer.value, strict=True))
    else:
        line |= {
            "emotion": item.emotion(answer.kind),
            "role": answer.kind.value,
            "present": answer.value,
        }
    if answer.seconds is not None:
        line["seconds"] = answer.seconds
    return line | {"received": answer.received, "corrected": corrected}


def _cell(answer: Answer) -> tuple:
    return answer.item, answer.kind, answer.annotator


def _times_corrected(answers: list[Answer]) -> Counter[tuple]:
    return Counter(_cell(answer) for answer in answers if answer.revises is not None)


def _key(item: Item, answer: Answer) -> _Key:
    return item.image_id, answer.annotator, item.emotion(answer.kind), answer.value


def _earlier(old: Path, suffix: str, task: Task) -> set[_Key | None]:
    """What a file says already; None stands for anything that is no answer of such a task."""
    read: Callable[[Path], Iterator[_Key | None]] = (
        _said_in_lines
        if suffix == ".jsonl"
        else _said_in_ratings
        if task == Task.SLIDERS
        else _said_in_votes
    )
    try:
        return set(read(old))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {None}


def _said_in_ratings(path: Path) -> Iterator[_Key | None]:
    for row in iter_ratings(path):
        if isinstance(row, BadRow) or None in row.scores.scores or not row.human:
            yield None
        else:
            yield row.image_id, row.annotator, None, tuple(row.scores.scores)


def _said_in_votes(path: Path) -> Iterator[_Key | None]:
    for row in iter_votes(path):
        if isinstance(row, BadRow):
            yield None
        else:
            yield row.image_id, row.annotator, row.emotion, row.present


def _said_in_lines(path: Path) -> Iterator[_Key | None]:
    with path.open(encoding="utf-8", newline="\n") as stream:
        for text in stream:
            line = json.loads(text)
            value = line["present"] if "present" in line else tuple(line["scores"].values())
            yield image_stem(line["image"]), line["annotator"], line.get("emotion"), value
