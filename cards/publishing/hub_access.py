"""Talking to the Hub: whose token it is, and every refusal as one plain line without secrets in it.

The token is read where the Hub's client reads it ($HF_TOKEN, or `hf auth login`); it is handed on
to nobody, printed nowhere and stored nowhere.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import TYPE_CHECKING

from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_WRITING = ("admin", "write", "contributor")


def connect() -> HfApi:
    """The client of the Hub that HF_ENDPOINT names, its warnings and, off a terminal, bars off."""
    import sys

    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi(library_name="emonet-face")


def known_token(api: HfApi) -> str | None:
    """The token that the client will use, None where there is none."""
    from huggingface_hub import get_token

    return api.token if isinstance(api.token, str) else get_token()


def check_rights(api: HfApi, org: str) -> None:
    """Raise EmoNetFaceError where the token, as the Hub describes it, cannot write to `org`.

    A fine-grained token does not say all that it may do: there the Hub's answer to the first
    request that writes decides.
    """
    if known_token(api) is None:
        raise EmoNetFaceError(
            "no token: --upload needs one that may write; set HF_TOKEN or run `hf auth login`"
        )
    with one_line(api, f"asking {api.endpoint} whose token this is"):
        me = api.whoami()
    role = me.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise EmoNetFaceError(
            f"the token of {me['name']} may only read; make one with the role `write`"
        )
    orgs = {found["name"]: found.get("roleInOrg") for found in me.get("orgs", [])}
    if org != me["name"] and org not in orgs:
        mine = ", ".join([me["name"], *sorted(orgs)])
        raise EmoNetFaceError(f"{org} is not yours: this token belongs to {mine}")
    if org in orgs and orgs[org] is not None and orgs[org] not in _WRITING:
        raise EmoNetFaceError(f"{me['name']} may not write to {org} (role there: {orgs[org]})")


@contextmanager
def one_line(api: HfApi, doing: str) -> Iterator[None]:
    """Turn what the Hub's client raises into EmoNetFaceError: what was done, what came back."""
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import httpx

    try:
        yield
    except EmoNetFaceError:
        raise
    except OfflineModeIsEnabled:
        raise EmoNetFaceError(f"{doing}: HF_HUB_OFFLINE is set") from None
    except (httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        text = f"{doing}: {said(error)}"
        raise EmoNetFaceError(without_token(text, known_token(api))) from error


def said(error: BaseException) -> str:
    """What a client's error says, in one line: the server's words, or how the connection ended."""
    from huggingface_hub.errors import HfHubHTTPError

    if type(error) is RuntimeError and error.__cause__ is not None:
        return f"{str(error).rstrip('.')} ({said(error.__cause__)})"
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        words = error.server_message or error.response.reason_phrase
        if "xet-write-token" in str(error.response.url):
            words += "; this server has no Xet storage: set HF_HUB_DISABLE_XET=1"
        return f"the Hub answers {error.response.status_code} {' '.join(words.split())}"
    if isinstance(error, JSONDecodeError):
        return "what answers there is no Hub: its answer is no JSON"
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def is_passing(error: BaseException) -> bool:
    """Whether another try may succeed: the server failed, or the connection did."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return error.response.status_code in (408, 425, 429) or error.response.status_code >= 500
    return isinstance(error, (httpx.TransportError, ConnectionError))


def without_token(text: str, token: str | None) -> str:
    """The text with the token, should it stand there, made unreadable."""
    return text.replace(token, "***") if token else text
