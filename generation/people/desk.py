"""What the page asks of the server: hand out a question, take an answer, look back.

Every call is one transaction on the store. What a call returns is plain data for the page.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.taxonomy import category
from generation.people.board import Answer, Question
from generation.people.questions import Value, checked_annotator, checked_value
from generation.people.store import Store

LEASE_SECONDS = 600.0
"""How long a question that was handed out is kept for that person. A later answer still counts if
nobody else was asked in the meantime."""

_TOKEN = re.compile(r"[0-9a-f-]{16,64}")


class Desk:
    """Hands out questions and takes answers.

    Args:
        store: of the task.
        notice: the text people agree to before they begin.
        allowed: names that may join; none given: any good name.
        lease: seconds, see LEASE_SECONDS.
        clock: seconds since the epoch; leases must mean the same in every process.
        timer: seconds that only grow; of one process, for durations.
    """

    def __init__(
        self,
        store: Store,
        notice: str,
        *,
        allowed: Collection[str] = (),
        lease: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._lease = store, lease
        self._notice = hashlib.sha256(notice.encode()).hexdigest()
        self._allowed = {checked_annotator(name) for name in allowed}
        self._clock, self._timer = clock, timer
        self._handed: dict[Question, float] = {}
        self._board = store.board()

    def begin(self, name: object, agreed: object) -> dict[str, Any]:
        """A person joins, or comes back: their next question.

        Raises:
            EmoNetFaceError: a bad name, a name that is not on the list, or they did not agree.
        """
        name = checked_annotator(name)
        if self._allowed and name not in self._allowed:
            raise EmoNetFaceError(f"{shown(name)} is not on the list of this project's annotators")
        if agreed is not True:
            raise EmoNetFaceError("please read the notice and agree to it first")
        with self._transaction():
            self._store.join(name, self._notice, self._now())
            return self._view(name)

    def current(self, name: object) -> dict[str, Any]:
        """A person's open question, once more.

        Raises:
            EmoNetFaceError: nobody of this name has joined.
        """
        with self._transaction():
            return self._view(self._joined(name))

    def answer(
        self,
        name: object,
        token: object,
        item: object,
        kind: object,
        value: object,
        revises: object,
    ) -> dict[str, Any]:
        """Keep an answer; it is on the disk when this returns.

        Args:
            name: who gives it.
            token: drawn by the page for this answer: sent twice, it counts once.
            item, kind: the question as it was handed out.
            value: 40 ratings, or true or false.
            revises: id of the answer that it corrects; None for a first answer.

        Returns:
            The next question, as `current`; "notice" says if and why the answer was not kept.

        Raises:
            EmoNetFaceError: nobody of this name has joined, or a request that no page sends.
        """
        received = self._timer()
        question, value = self._checked(name, token, item, kind, value)
        name = question.annotator
        with self._transaction():
            self._joined(name)
            notice = None
            if self._store.answer_of(str(token)) is None:
                notice = self._keep(question, str(token), value, revises, received)
            view = self._view(name)
        return view | {"notice": notice}

    def back(self, name: object, before: object = None) -> dict[str, Any]:
        """An earlier answer of a person, to be looked at again and corrected.

        Args:
            name: who.
            before: id of the answer on the screen; None: the last one they gave.

        Returns:
            As `current`, with "value" and "revises" filled in; the open question where there is no
            earlier answer.
        """
        with self._transaction():
            name = self._joined(name)
            given = self._board.history(name)
            place = next((i for i, a in enumerate(given) if a.id == before), len(given))
            if place == 0:
                return self._view(name)
            answer = given[place - 1]
            question = Question(name, answer.item, answer.kind)
            said = list(answer.value) if isinstance(answer.value, tuple) else answer.value
            shown_again = self._shown(question, number=place) | {"value": said}
            return self._around(name) | {"question": shown_again | {"revises": answer.id}}

    def _keep(
        self, question: Question, token: str, value: Value, revises: object, received: float
    ) -> str | None:
        """Store an answer, or say in one line why it is not stored."""
        claims = self._store.claims(self._clock())
        mine = {(a.item, a.kind): a for a in self._board.history(question.annotator)}
        before = mine.get((question.item, question.kind))
        if (before.id if before else None) != revises:
            return "This picture was answered in another window; that answer stands."
        seconds = None
        if before is None:
            if not self._board.is_open(question, claims):
                return "Meanwhile somebody else answered this one: it was not needed any more."
            handed = self._handed.pop(question, None)
            seconds = None if handed is None else round(received - handed, 3)
        elif before.value == value:
            return None
        elif not self._board.may_correct(before, value, claims):
            return "This Yes stands: because of it the next person is already being asked."
        self._store.append(
            token,
            Answer(
                0, question.item, question.kind, question.annotator, value,
                None if before is None else before.id, seconds, self._now(),
            ),
        )  # fmt: skip
        return None

    def _checked(
        self, name: object, token: object, item: object, kind: object, value: object
    ) -> tuple[Question, Value]:
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise EmoNetFaceError(f"{shown(token)} is no token of an answer")
        kinds = [k for k in self._board.kinds if k == kind]
        if not kinds:
            raise EmoNetFaceError(f"{shown(kind)} is no question of this task")
        if type(item) is not int or not 0 <= item < len(self._board.items):
            raise EmoNetFaceError(f"{shown(item)} is no image of this task")
        return Question(checked_annotator(name), item, kinds[0]), checked_value(kinds[0], value)

    def _joined(self, name: object) -> str:
        name = checked_annotator(name)
        if name not in self._store.annotators():
            raise EmoNetFaceError(f"{shown(name)} has not joined yet")
        return name

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction with the board up to date; where it fails, so does what the board knows."""
        with self._store.turn:
            try:
                with self._store.transaction():
                    self._catch_up()
                    yield
            except EmoNetFaceError:
                raise  # said before anything was stored
            except BaseException:
                self._board = self._store.board()
                raise

    def _catch_up(self) -> None:
        for answer in self._store.answers(self._board.last):
            self._board.add(answer)

    def _view(self, name: str) -> dict[str, Any]:
        """The question in hand, or the next one, handed out now."""
        self._catch_up()  # what was stored a moment ago
        now = self._clock()
        claims = self._store.claims(now)
        held = [c for c in claims if c.annotator == name and self._board.is_open(c, claims)]
        question = held[0] if held else self._board.next_question(name, claims)
        if question is None:
            self._store.release(name)
            return self._around(name) | {"question": None}
        self._store.claim(question, now + self._lease)
        self._handed[question] = self._timer()
        return self._around(name) | {"question": self._shown(question)}

    def _around(self, name: str) -> dict[str, Any]:
        progress = self._board.progress(name)
        return {"name": name, "progress": vars(progress), "notice": None}

    def _shown(self, question: Question, number: int | None = None) -> dict[str, Any]:
        """A question as the page shows it: neither file name nor prompt, which would give it away.

        Args:
            question: whichever.
            number: its place among the person's answers; None: it is the next one.
        """
        item = self._board.items[question.item]
        if number is None:
            number = len(self._board.history(question.annotator)) + 1
        asked: dict[str, Any] = {
            "item": item.number,
            "kind": question.kind.value,
            "picture": f"picture/{item.sha256}",
            "number": number,
            "value": None,
            "revises": None,
        }
        emotion = item.emotion(question.kind)
        if emotion is not None:
            asked |= {"emotion": emotion, "words": ", ".join(category(emotion).words)}
        return asked

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
