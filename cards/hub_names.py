"""Names that the Hub takes, of organisations and of repos."""

from __future__ import annotations

import re

from emonet_face.errors import EmoNetFaceError

_NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?(?<!\.git)")


def check_name(name: str, where: str) -> None:
    """Raise EmoNetFaceError where the Hub would refuse a name.

    Args:
        name: of an organisation or user, or of a repo without it.
        where: what is called so, for the message.
    """
    if not _NAME.fullmatch(name):
        raise EmoNetFaceError(
            f"{where}: {name!r} is no name on the Hub; allowed: 1 to 96 letters, digits, '.', '_'"
            " and '-', the first and the last a letter or digit, no '--', '..' or '.git' at the end"
        )
