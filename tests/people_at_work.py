"""People who answer at a desk without a browser: for the tests of the annotators' store.

    python tests/people_at_work.py STORE NAME...     # prints the token of each kept answer

Each name in turn takes a question and answers it, until nobody is asked anything or the process is
killed. What somebody answers depends on the picture and the question alone.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from generation.people.desk import Desk
from generation.people.store import Store


def token_of(name, question):
    return hashlib.sha256(f"{name} {question['item']} {question['kind']}".encode()).hexdigest()


def reply_to(name, question):
    """Whatever somebody says: 40 ratings, or Yes three times in four."""
    digest = hashlib.sha256(token_of(name, question).encode()).digest()
    if question["kind"] == "rating":
        return [digest[i % 32] % 8 if i % 3 == 0 else 0 for i in range(40)]
    return digest[0] % 4 > 0


def answer_one(desk, name):
    """One question taken and answered; its token, None where there is none."""
    view = desk.begin(name, True)
    question = view["question"]
    if question is None:
        return None
    token = token_of(name, question)
    done = desk.answer(name, token, question["item"], question["kind"],
                       reply_to(name, question), None)  # fmt: skip
    assert done["notice"] is None, done["notice"]
    return token


def answer_all(desk, names, told=lambda token: None):
    """Everybody in turn, until nobody is asked anything."""
    answered = True
    while answered:
        answered = False
        for name in names:
            token = answer_one(desk, name)
            if token:
                answered = True
                told(token)


def main(store, *names):
    with Store(Path(store)) as opened:
        answer_all(Desk(opened, "the notice"), names, lambda token: print(token, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
