"""The one error class that people who use EmoNet-Face see."""

from __future__ import annotations


class EmoNetFaceError(ValueError):
    """Bad input: the message says what was wrong, where (file, row, key) and what is allowed.

    The command prints it as one or two plain lines and exits with code 2. Mistakes of the program
    itself are never of this class: they keep their traceback.
    """
