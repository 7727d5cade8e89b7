"""Who may be asked what next: the answers so far, folded image by image.

It knows nothing of clocks, files or pages: answers go in one by one, in the order in which they
were stored, and the same answers make the same board in every process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from generation.people.questions import KINDS, Item, Kind, Task, Value, may_become, room

BLOCK = 50
"""Images that all people work through, each in an order of their own, before the next ones: when a
project stops early, few images are left half-done."""

_CONTRAST_FIRST = 64
"""Of 256: how often a person who could be asked either question of an image gets the contrast. The
target is asked about twice as often in all, and who cannot tell which it is cannot lean."""


@dataclass(frozen=True)
class Answer:
    """One stored answer.

    Attributes:
        id: growing in the order of storing.
        item: number of the image.
        kind: of the question.
        annotator: who gave it.
        value: the ratings or the vote.
        revises: id of the answer of the same person that it replaces; None for a first one.
        seconds: from handing out the question to the arrival of the answer; None where the server
            ended in between.
        received: when it arrived, ISO 8601, UTC.
    """

    id: int
    item: int
    kind: Kind
    annotator: str
    value: Value
    revises: int | None = None
    seconds: float | None = None
    received: str = ""


@dataclass(frozen=True)
class Question:
    """What one person is asked, or holds as claimed while they look at it."""

    annotator: str
    item: int
    kind: Kind


@dataclass(frozen=True)
class Progress:
    """How far a person is, and all of them together.

    Attributes:
        answered: questions this person has answered.
        left: unfinished images that they have not said all about that they may; some of them may
            wait for others first.
        finished, images: images of which nothing more is to be asked of anybody, and all.
    """

    answered: int
    left: int
    finished: int
    images: int


class Board:
    """The state of a task.

    Args:
        items: the images, numbered from 0.
        task: sliders or votes.
        raters: people who rate each image with sliders.
        both: whether one person may answer both questions of an image (votes).
        seed: of the orders in which people see the images.
    """

    def __init__(
        self, items: Sequence[Item], task: Task, *, raters: int = 4, both: bool = False, seed: int
    ) -> None:
        self.items, self.kinds = items, KINDS[task]
        self.raters, self.both, self.seed = raters, both, seed
        self.last = 0
        """Id of the last answer put in."""
        self._latest: dict[tuple[int, Kind], dict[str, Answer]] = {}
        self._given: dict[str, dict[tuple[int, Kind], Answer]] = {}
        self._done: dict[str, set[int]] = {}
        """Annotator -> images that they are never asked about again."""
        self._blocks = _blocks(items, seed)
        self._orders: dict[str, list[tuple[int, bool]]] = {}
        self._unfinished = {item.number for item in items}

    def add(self, answer: Answer) -> None:
        """Put in the next stored answer; a correction takes the place of what it corrects."""
        self.last = answer.id
        self._latest.setdefault((answer.item, answer.kind), {})[answer.annotator] = answer
        given = self._given.setdefault(answer.annotator, {})
        given[answer.item, answer.kind] = answer
        done = self._done.setdefault(answer.annotator, set())
        if not self.both or all((answer.item, kind) in given for kind in self.kinds):
            done.add(answer.item)
        if any(self._room(answer.item, kind) for kind in self.kinds):
            self._unfinished.add(answer.item)
        else:
            self._unfinished.discard(answer.item)

    def answers(self, item: int, kind: Kind) -> list[Answer]:
        """The latest answers to a question, one a person, in the order they were first given."""
        return [*self._latest.get((item, kind), {}).values()]

    def history(self, annotator: str) -> list[Answer]:
        """A person's latest answers, in the order they were first given."""
        return [*self._given.get(annotator, {}).values()]

    def is_finished(self, item: int) -> bool:
        """Whether nothing more is to be asked of anybody about an image."""
        return item not in self._unfinished

    def is_open(self, question: Question, claims: Collection[Question]) -> bool:
        """Whether a person may be asked, given what others are being asked at this moment."""
        given = self._given.get(question.annotator, {})
        if any((question.item, kind) in given for kind in self._excluding(question.kind)):
            return False
        others = self._asked(question.item, question.kind, claims, but=question.annotator)
        return self._room(question.item, question.kind) > others

    def next_question(self, annotator: str, claims: Collection[Question]) -> Question | None:
        """The first open question in this person's order; None where there is none now."""
        possible = self._possible(annotator)
        for number, contrast_first in self._order(annotator):
            if number in possible:
                for kind in self.kinds[::-1] if contrast_first else self.kinds:
                    question = Question(annotator, number, kind)
                    if self.is_open(question, claims):
                        return question
        return None

    def may_correct(self, before: Answer, new: Value, claims: Collection[Question]) -> bool:
        """Whether a person's latest answer may be replaced (`questions.may_become`)."""
        answers = self._latest[before.item, before.kind]
        values = [answer.value for answer in answers.values()]
        asked = self._asked(before.item, before.kind, claims, but=before.annotator)
        place = [*answers].index(before.annotator)
        return may_become(before.kind, values, place, new, asked)

    def progress(self, annotator: str) -> Progress:
        """Counts for a person."""
        answered = len(self._given.get(annotator, {}))
        n_images = len(self.items)
        finished = n_images - len(self._unfinished)
        return Progress(answered, len(self._possible(annotator)), finished, n_images)

    def _possible(self, annotator: str) -> set[int]:
        return self._unfinished - self._done.get(annotator, set())

    def _room(self, item: int, kind: Kind) -> int:
        answers = self._latest.get((item, kind), {})
        return room(kind, [answer.value for answer in answers.values()], self.raters)

    def _excluding(self, kind: Kind) -> tuple[Kind, ...]:
        """Questions whose answer rules out that the same person is asked this one."""
        return (kind,) if self.both else self.kinds

    @staticmethod
    def _asked(item: int, kind: Kind, claims: Collection[Question], *, but: str) -> int:
        return sum(c.item == item and c.kind == kind and c.annotator != but for c in claims)

    def _order(self, annotator: str) -> list[tuple[int, bool]]:
        """(number, whether the contrast comes first) of all images, as this person meets them."""
        if annotator not in self._orders:
            keyed = []
            for item in self.items:
                digest = _digest(self.seed, annotator, item.image_id)
                keyed.append((self._blocks[item.number], digest, item.number))
            self._orders[annotator] = [
                (number, digest[-1] < _CONTRAST_FIRST) for _, digest, number in sorted(keyed)
            ]
        return self._orders[annotator]


def _blocks(items: Sequence[Item], seed: int) -> dict[int, int]:
    """Image -> its block, drawn by the seed."""
    ranked = sorted(items, key=lambda item: _digest(seed, "", item.image_id))
    return {item.number: rank // BLOCK for rank, item in enumerate(ranked)}


def _digest(seed: int, annotator: str, image_id: str) -> bytes:
    text = f"{seed}\n{annotator}\n{image_id}"  # none of the names holds a line break
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
