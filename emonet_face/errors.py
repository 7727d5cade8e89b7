"""The one error class that people who use EmoNet-Face see, and how it shows them their values."""

from __future__ import annotations

import reprlib

SHOWN = 80
"""Characters of a value from outside that an error shows."""


class EmoNetFaceError(ValueError):
    """Bad input: the message says what was wrong, where (file, row, key) and what is allowed.

    The command prints it as one or two plain lines and exits with code 2. Mistakes of the program
    itself are never of this class: they keep their traceback.
    """


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = SHOWN
        self.maxlevel = 3
        self.fillvalue = "…"

    def repr_int(self, value: int, level: int) -> str:
        try:
            return super().repr_int(value, level)
        except ValueError:  # Python prints no number of more than 4,300 digits
            return f"<a number of {value.bit_length()} bits>"


_SHORT = _Short()


def shown(value: object) -> str:
    """A value from outside, as an error shows it: its repr, cut in the middle where it is long.

    It takes no longer for a long value than for a short one, and never fails on plain data.

    >>> shown("Angr"), shown(10**5000), len(shown("x" * 10**6))
    ("'Angr'", '<a number of 16610 bits>', 78)
    """
    text = _SHORT.repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]}…{text[-19:]}"
