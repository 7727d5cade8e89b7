"""The file that keeps what people answered: SQLite, append-only, safe against a kill at any moment.

An answer is one transaction, on the disk (`synchronous=FULL`) before it is acknowledged. Answers
are only ever added: a correction is a new row that names the row it replaces. Several processes may
work on one file.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.outputs import check_parents
from generation.people.board import Answer, Board, Question
from generation.people.questions import Item, Kind, Task

APPLICATION_ID = 0x454D4F46
"""In the header of our files ("EMOF"); FORMAT beside it grows when the tables change."""

FORMAT = 1
_WAIT_MS = 30_000
"""How long a transaction waits for one of another process."""

_SCHEMA = """
CREATE TABLE setup (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    number INTEGER PRIMARY KEY, image TEXT NOT NULL, image_id TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL, target TEXT
);
CREATE TABLE annotators (
    name TEXT PRIMARY KEY COLLATE NOCASE, agreed_to TEXT NOT NULL, joined TEXT NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL UNIQUE,
    item INTEGER NOT NULL REFERENCES items, kind TEXT NOT NULL,
    annotator TEXT NOT NULL REFERENCES annotators, value TEXT NOT NULL,
    revises INTEGER UNIQUE REFERENCES answers, seconds REAL, received TEXT NOT NULL
);
CREATE UNIQUE INDEX one_first_answer ON answers (item, kind, annotator) WHERE revises IS NULL;
CREATE TABLE claims (
    annotator TEXT PRIMARY KEY REFERENCES annotators, item INTEGER NOT NULL REFERENCES items,
    kind TEXT NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers
    BEGIN SELECT RAISE(ABORT, 'answers are never changed'); END;
CREATE TRIGGER answers_remain BEFORE DELETE ON answers
    BEGIN SELECT RAISE(ABORT, 'answers are never deleted'); END;
"""


@dataclass(frozen=True)
class Setup:
    """What a store is for; it is fixed when the file is made.

    Attributes:
        task: sliders or votes.
        seed: of the orders in which people see the images.
        raters: people who rate each image with sliders.
        both: whether one person may answer both questions of an image (votes).
    """

    task: Task
    seed: int
    raters: int = 4
    both: bool = False


class Store:
    """An open store; use it as a context, or `close` it.

    Attributes:
        setup, items: what it is for.
        turn: the lock by which threads take turns; `transaction` takes it.

    Args:
        path: the file. Its neighbours `-wal` and `-shm` belong to it: copy or move all three.

    Raises:
        EmoNetFaceError: there is no such file, it is not a store, or another version's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.turn = threading.RLock()
        self._sql = _connected(path)
        try:
            with sqlite_faults(path):
                self.setup = self._read_setup()
                self.items = self._read_items()
        except BaseException:
            self._sql.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was acknowledged is in it."""
        with self.turn:
            self._sql.close()

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[None]:
        """One transaction: all that happens in the block, or nothing of it.

        Args:
            write: False for a steady view of the file that keeps nobody from writing.
        """
        with self.turn:
            self._sql.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    def board(self) -> Board:
        """An empty board of this task."""
        setup = self.setup
        return Board(self.items, setup.task, raters=setup.raters, both=setup.both, seed=setup.seed)

    def answers(self, after: int = 0) -> list[Answer]:
        """The stored answers in the order of storing, those with a larger id than `after`."""
        rows = self._sql.execute(
            "SELECT id, item, kind, annotator, value, revises, seconds, received FROM answers"
            " WHERE id > ? ORDER BY id",
            (after,),
        )
        return [_answer(row) for row in rows]

    def answer_of(self, token: str) -> int | None:
        """Id of the answer that came with a token; None where none did."""
        row = self._sql.execute("SELECT id FROM answers WHERE token = ?", (token,)).fetchone()
        return None if row is None else row[0]

    def append(self, token: str, answer: Answer) -> int:
        """Add an answer and give back its id; `answer.id` is not looked at."""
        value = answer.value
        cursor = self._sql.execute(
            "INSERT INTO answers (token, item, kind, annotator, value, revises, seconds, received)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                token,
                answer.item,
                answer.kind.value,
                answer.annotator,
                json.dumps(value, separators=(",", ":")),
                answer.revises,
                answer.seconds,
                answer.received,
            ),
        )
        return int(cursor.lastrowid or 0)

    def annotators(self) -> dict[str, str]:
        """Name -> when they joined, in that order."""
        return dict(self._sql.execute("SELECT name, joined FROM annotators ORDER BY joined, name"))

    def join(self, name: str, agreed_to: str, joined: str) -> None:
        """Keep that a person agreed to the notice; who has joined before stays as they are.

        Args:
            name: a checked name.
            agreed_to: sha256 of the text they agreed to.
            joined: ISO 8601.

        Raises:
            EmoNetFaceError: somebody has the name in other letter case.
        """
        self._sql.execute(
            "INSERT OR IGNORE INTO annotators VALUES (?, ?, ?)", (name, agreed_to, joined)
        )
        there = self._sql.execute("SELECT name FROM annotators WHERE name = ?", (name,)).fetchone()
        if there[0] != name:
            raise EmoNetFaceError(f"{shown(name)}: somebody is called {shown(there[0])} already")

    def claims(self, now: float) -> list[Question]:
        """What people are being asked at this moment; claims that ran out are not among it.

        Args:
            now: seconds since the epoch, as `expires` of `claim`.
        """
        rows = self._sql.execute(
            "SELECT annotator, item, kind FROM claims WHERE expires > ?", (now,)
        )
        return [Question(annotator, item, Kind(kind)) for annotator, item, kind in rows]

    def claim(self, question: Question, expires: float) -> None:
        """Note that a person is being asked; it replaces what they were asked before."""
        self._sql.execute(
            "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)",
            (question.annotator, question.item, question.kind.value, expires),
        )

    def release(self, annotator: str) -> None:
        """Note that a person is not being asked anything."""
        self._sql.execute("DELETE FROM claims WHERE annotator = ?", (annotator,))

    def _read_setup(self) -> Setup:
        values = {key: json.loads(text) for key, text in self._sql.execute("SELECT * FROM setup")}
        return Setup(**values | {"task": Task(values["task"])})

    def _read_items(self) -> list[Item]:
        rows = self._sql.execute(
            "SELECT number, image, image_id, sha256, target FROM items ORDER BY number"
        )
        return [Item(*row) for row in rows]


def open_store(path: Path, setup: Setup, items: Sequence[Item]) -> Store:
    """The store of a task: made where there is none, the same one where there is.

    Raises:
        EmoNetFaceError: `path` is another kind of file, or a store of another task, setting, set of
            images or prompts; the first difference is named. It is not touched then.
    """
    check_parents(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        _make(path, setup, items)
    store = Store(path)
    try:
        _check_same(store, setup, items)
    except BaseException:
        store.close()
        raise
    return store


def _make(path: Path, setup: Setup, items: Sequence[Item]) -> None:
    with sqlite_faults(path):
        sql = sqlite3.connect(path, isolation_level=None)
        try:
            sql.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
            sql.execute("PRAGMA synchronous = FULL")
            sql.execute("BEGIN EXCLUSIVE")
            # Whoever waited for another process that made the file finds it made.
            if not sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in _statements(_SCHEMA):
                    sql.execute(statement)
                rows = [(key, json.dumps(value)) for key, value in asdict(setup).items()]
                sql.executemany("INSERT INTO setup VALUES (?, ?)", rows)
                rows = [(i.number, i.image, i.image_id, i.sha256, i.target) for i in items]
                sql.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?)", rows)
                sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                sql.execute(f"PRAGMA user_version = {FORMAT}")
            sql.execute("COMMIT")
        finally:
            sql.close()


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit the transaction it runs in."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _connected(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise EmoNetFaceError(f"{path}: no such store of answers")
    with sqlite_faults(path):
        sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            sql.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
            (found,) = sql.execute("PRAGMA application_id").fetchone()
            (version,) = sql.execute("PRAGMA user_version").fetchone()
            if found != APPLICATION_ID:
                raise EmoNetFaceError(f"{path}: is not a store of answers; give another name")
            if version != FORMAT:
                raise EmoNetFaceError(f"{path}: has format {version}; this version knows {FORMAT}")
            sql.execute("PRAGMA journal_mode = WAL")
            sql.execute("PRAGMA synchronous = FULL")
            sql.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            sql.close()
            raise
    return sql


@contextmanager
def sqlite_faults(path: Path) -> Iterator[None]:
    """What SQLite says of a file, as an error of its user."""
    try:
        yield
    except sqlite3.Error as error:
        raise EmoNetFaceError(f"{path}: cannot be used as a store ({error})") from None


def _check_same(store: Store, setup: Setup, items: Sequence[Item]) -> None:
    def differs(what: str, here: object, there: object) -> EmoNetFaceError:
        return EmoNetFaceError(
            f"{store.path}: is a store of another project: {what} {shown(there)} there,"
            f" {shown(here)} here; give another --store"
        )

    for key, here in asdict(setup).items():
        there = getattr(store.setup, key)
        if here != there:
            raise differs(key, here, there)
    if len(items) != len(store.items):
        raise differs("number of images", len(items), len(store.items))
    for here, there in zip(items, store.items, strict=True):
        for what, key in (("image", "image"), ("bytes", "sha256"), ("prompted emotion", "target")):
            if getattr(here, key) != getattr(there, key):
                where = what if key == "image" else f"{what} of {shown(here.image)}:"
                raise differs(where, getattr(here, key), getattr(there, key))


def _answer(row: tuple) -> Answer:
    number, item, kind, annotator, value, revises, seconds, received = row
    said = json.loads(value)
    if isinstance(said, list):
        said = tuple(said)
    return Answer(number, item, Kind(kind), annotator, said, revises, seconds, received)
