"""Any OpenAI-compatible endpoint: one picture with one prompt in, one raw reply out.

The picture goes as a data URL in the standard message format. Only named transient errors are
retried; a reply is never asked for again because of what it says. The key comes from the
environment and is taken out of everything that is kept or printed.
"""

from __future__ import annotations

import base64
import os
import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile
from generation.annotators.asking import NoAnswerError, Reply
from generation.annotators.bounded_client import PerThread, bounded_clients, http_library
from generation.annotators.chat_bodies import read_completion
from generation.annotators.spending import Pace, Spending
from generation.annotators.waiting import MAX_WAIT_S, retry_after, waits

if TYPE_CHECKING:
    import openai

KEY_VARIABLE = "OPENAI_API_KEY"
MAX_TIMEOUT_S = 86_400
TRANSIENT = (429, 500, 502, 503, 504)
"""HTTP states that are retried; timeouts and broken connections are too."""
REFUSED_KEY = (401, 403)
HOPELESS = (402, 404)
"""No money left, no such model: nothing that another picture would change."""
UNKNOWN_OPTION = (400, 422)
"""HTTP states by which an endpoint says that it does not know an option."""
_OPTIONAL = ("response_format", "temperature", "seed")
_MIME = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"RIFF", "image/webp"))


class _TransientError(Exception):
    """Worth another try.

    Attributes:
        wait: seconds that the endpoint asked for, None where it did not.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _RejectedError(Exception):
    """The endpoint does not take the request as it is.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}: {said}")
        self.status = status


class Endpoint:
    """A model behind an OpenAI-compatible endpoint; safe for many threads.

    Attributes:
        place: host and path, without anything secret that a URL may hold.
    """

    def __init__(
        self,
        model: str,
        prompt: str,
        sampling: Mapping[str, object],
        schema: Mapping[str, object] | None,
        *,
        spending: Spending,
        pace: Pace,
        base_url: str | None = None,
        timeout_s: float = 120.0,
        retries: int = 5,
    ) -> None:
        """
        Args:
            model: as the endpoint calls it.
            prompt: text beside each picture.
            sampling: temperature, seed and max_tokens, as the protocol has them.
            schema: JSON schema of the answer, None for free text.
            spending, pace: shared by all threads.
            base_url: e.g. "http://localhost:8000/v1"; None: $OPENAI_BASE_URL, else OpenAI's.
            timeout_s: of one request.
            retries: after the first try.

        Raises:
            EmoNetFaceError: the package `openai` is missing, a bad number or URL, or there is no
                key though the endpoint needs one.
        """
        self._openai = _import_openai()
        if not 0 < timeout_s <= MAX_TIMEOUT_S or retries < 0:
            raise EmoNetFaceError(
                f"--timeout must be above 0 and at most {MAX_TIMEOUT_S:,}, --retries 0 or more"
            )
        url = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        parts = _checked_url(url)
        self.place = _shown(parts)
        self._key = os.environ.get(KEY_VARIABLE, "")
        if not self._key and parts.hostname == "api.openai.com":
            raise EmoNetFaceError(f"{self.place} needs a key: set {KEY_VARIABLE}")
        self._http = http_library(self._openai)
        http_client = bounded_clients(self._openai, timeout_s)
        self._clients = PerThread(
            lambda: self._openai.OpenAI(
                base_url=url,
                api_key=self._key or "none",
                max_retries=0,
                timeout=timeout_s,
                http_client=http_client(),
            )
        )
        self._model, self._prompt = model, prompt
        self._sampling, self._schema = dict(sampling), schema
        self._spending, self._pace = spending, pace
        self._timeout_s, self._retries = timeout_s, retries
        self._left_out: frozenset[str] = frozenset()

    def ask(self, image: ImageFile) -> Reply:
        """Send the prompt with a picture.

        Raises:
            NoAnswerError: transient errors to the last retry, or another fault of the server.
            CapReachedError: a cap on the spending stops it.
            StoppedError: the call is ending.
            EmoNetFaceError: key or model is refused, or payment is asked for: no other image would
                change that.
        """
        start = time.monotonic()
        pauses = waits(random.Random(image.sha256))
        attempts = 0
        while True:
            attempts += 1
            self._pace.wait()
            try:
                reply = self._try(image)
                break
            except _TransientError as error:
                wait = next(pauses) if error.wait is None else error.wait
                if attempts > self._retries or wait > MAX_WAIT_S:
                    tries = "1 try" if attempts == 1 else f"{attempts} tries"
                    raise NoAnswerError(f"no answer after {tries}: {error}") from None
                if error.wait is not None:
                    self._pace.pause(wait)
                self._pace.stop.wait(wait)
        reply.details["seconds"] = round(time.monotonic() - start, 3)
        if attempts > 1:
            reply.details["attempts"] = attempts
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def _try(self, image: ImageFile) -> Reply:
        """One request, and others without the options that the endpoint does not know."""
        left_out = self._left_out
        while True:
            body = self._body(image, left_out)
            try:
                reply = self._completion(body)
            except _RejectedError as error:
                known = error.status not in UNKNOWN_OPTION
                option = None if known else _unknown_option(str(error), body)
                if option is None:
                    return Reply("", failure=str(error))
                left_out |= {option}
                continue
            self._left_out |= left_out  # the picture is not at fault: it was answered without
            if left_out:
                reply.details["not_sent"] = sorted(left_out)
            return reply

    def _body(self, image: ImageFile, left_out: frozenset[str]) -> dict[str, object]:
        sampling = dict(self._sampling)
        if "max_tokens" in left_out:  # the newer name of the same limit
            sampling["max_completion_tokens"] = sampling.pop("max_tokens")
        if self._schema is not None:
            schema = {"name": "ratings", "strict": True, "schema": self._schema}
            sampling["response_format"] = {"type": "json_schema", "json_schema": schema}
        content = [
            {"type": "image_url", "image_url": {"url": data_url(image.data)}},
            {"type": "text", "text": self._prompt},
        ]
        return {
            "messages": [{"role": "user", "content": content}],
            **{key: value for key, value in sampling.items() if key not in left_out},
        }

    def _completion(self, body: dict[str, object]) -> Reply:
        max_tokens = int(str(self._sampling["max_tokens"]))
        with self._spending.request(len(self._prompt), max_tokens):
            text = self._send(body)
            completion = read_completion(text)
            self._spending.add(completion.usage)
        details: dict[str, object] = {}
        if completion.usage is not None:
            details["tokens"] = {
                "prompt": completion.usage.prompt,
                "completion": completion.usage.completion,
            }
            cost = self._spending.price_of(completion.usage)
            if cost is not None:
                details["cost"] = cost
        if completion.finish_reason not in (None, "stop"):
            details["finish_reason"] = completion.finish_reason
        failure = None if completion.failure is None else self._clean(completion.failure)
        return Reply(self._clean(completion.text), failure, details)

    def _send(self, body: dict[str, object]) -> str:
        """The body of the answer to one request."""
        try:
            # Not `chat.completions.create`, which walks through the whole message to look for
            # things to rewrite; with pictures in it that is most of the work.
            response = self._clients.get().post(
                "/chat/completions",
                body={"model": self._model, **body},
                cast_to=self._http.Response,
            )
        except self._openai.APIStatusError as error:
            raise self._of_status(error) from None
        except self._openai.APITimeoutError:
            raise _TransientError(f"{self.place}: timed out") from None
        except self._openai.APIConnectionError as error:
            cause = type(error.__cause__ or error).__name__
            raise _TransientError(f"{self.place}: connection failed ({cause})") from None
        return response.content.decode("utf-8", errors="replace")

    def _of_status(self, error: openai.APIStatusError) -> Exception:
        status = error.status_code
        if status in TRANSIENT:
            return _TransientError(
                f"{self.place}: HTTP {status}", retry_after(error.response.headers)
            )
        if status in REFUSED_KEY:  # such a body may quote the key: nothing of it is shown
            has = "is refused" if self._key else "is not set"
            return EmoNetFaceError(f"{self.place}: HTTP {status}: {KEY_VARIABLE} {has}")
        said = self._clean(" ".join(str(error.message).split()))[:200]
        if status in HOPELESS:
            return EmoNetFaceError(f"{self.place}: HTTP {status} for model {self._model!r}: {said}")
        if status >= 500 or status == 408:  # the server's own fault, and not the annotator's
            return NoAnswerError(f"{self.place}: HTTP {status}: {said}")
        return _RejectedError(status, said)

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def data_url(data: bytes) -> str:
    """Bytes of a PNG, JPEG or WebP file as a URL that holds them."""
    mime = next((mime for start, mime in _MIME if data.startswith(start)), _MIME[0][1])
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _import_openai() -> Any:
    try:
        import openai
    except ImportError:
        raise EmoNetFaceError(
            "the openai annotator needs a package: pip install 'emonet-face[annotate]'"
        ) from None
    return openai


def _checked_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
        place = _shown(parts)
    except ValueError:  # no address, or no port, is written like that
        place = url.rpartition("@")[2].partition("?")[0]
    raise EmoNetFaceError(f"--base-url {place!r}: give one like http://host:8000/v1")


def _shown(parts: SplitResult) -> str:
    """A URL without user, password and query."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _unknown_option(message: str, body: Mapping[str, object]) -> str | None:
    """The option that an endpoint may have rejected, of those that were sent and can be left out.

    The one that its message names; else the structured output, which few endpoints know.
    """
    if "max_completion_tokens" in message and "max_tokens" in body:
        return "max_tokens"
    named = next((name for name in _OPTIONAL if name in message and name in body), None)
    if named is None and "response_format" in body:
        return "response_format"
    return named
