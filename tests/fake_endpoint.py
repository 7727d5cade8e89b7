"""A fake OpenAI-compatible endpoint over real HTTP, for tests and for the benchmark.

    python tests/fake_endpoint.py --latency 0.2     # prints its base URL, answers until killed

The name of the model that is asked for says how it behaves: see BEHAVIOURS. A good model's ratings
are drawn from the bytes of the picture it was sent, so they are the same for the same picture.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import threading
from collections import Counter
from contextlib import contextmanager

from emonet_face.taxonomy import DIMENSIONS, EMOTIONS
from generation.annotators.protocols import PUBLISHED_25

BEHAVIOURS = """
multi-shot, zero-shot, zero-shot-25   a good reply by that protocol
blind                                 a good multi-shot reply that does not depend on the picture
no-schema                             HTTP 400 while response_format is sent, then a good reply
new-names                             HTTP 400 while max_tokens is sent, then a good reply
flaky-N                               HTTP N for the first two requests of a picture, then good
always-N                              HTTP N for ever
bad-key                               HTTP 401 that quotes the key
garbage, html, empty, refusal, other-language, half-reply, half-body, nothing, endless-list,
endless-body, endless-error, echo-key, error-in-200, no-usage
sometimes                             for one picture in four a reply that does not fit
"""


def good_reply(protocol, seed):
    """A reply that fits, drawn from a seed."""
    rng = random.Random(seed)
    if protocol == "zero-shot":
        names = rng.sample(EMOTIONS, rng.randint(1, 12))
        entries = [{"category": name, "score": rng.randint(0, 7)} for name in names]
        return json.dumps({"emotions": entries})
    if protocol == "zero-shot-25":
        return json.dumps({name: rng.randint(1, 7) for name in PUBLISHED_25})
    marked = {name: rng.randint(1, 7) for name in rng.sample(EMOTIONS, rng.randint(1, 5))}
    emotions = {n: {"rating": marked.get(n, 0), "reasoning": f"as drawn for {n}"} for n in EMOTIONS}
    extra = {
        d.name: {"rating": rng.randint(d.low, d.high), "reasoning": "as drawn"} for d in DIMENSIONS
    }
    return json.dumps({"emotions": emotions, "extra_dimensions": extra})


class FakeEndpoint:
    """The endpoint's state: requests by model, most of them under way at once, pictures seen."""

    def __init__(self, latency=0.0):
        self.latency = latency
        self.requests = Counter()
        self.pictures = Counter()
        self.bodies = []
        self.most_under_way = 0
        self.url = None
        self._under_way = 0

    async def handle(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                headers = dict(
                    line.lower().split(b": ", 1)
                    for line in head.split(b"\r\n")[1:]
                    if b": " in line
                )
                data = await reader.readexactly(int(headers.get(b"content-length", 0)))
                self._under_way += 1
                self.most_under_way = max(self.most_under_way, self._under_way)
                try:
                    due = asyncio.get_running_loop().time() + self.latency
                    key = headers.get(b"authorization", b"").decode().removeprefix("bearer ")
                    if not await self.answer(json.loads(data), key, due, writer):
                        return
                finally:
                    self._under_way -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, body, key, due, writer):
        """Answer one request when it is due; False where the connection must be broken."""
        model = body["model"]
        self.requests[model] += 1
        if len(self.bodies) < 100:
            self.bodies.append(body)
        content = body["messages"][0]["content"]
        url = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
        picture = hashlib.sha256(url.encode()).hexdigest()
        self.pictures[model, picture] += 1
        status, reply, headers = self.reply(model, picture, body, key)
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        if reply is None:
            return False
        if str(status).startswith("endless"):
            writer.write(f"HTTP/1.1 {status[8:]} X\r\nContent-Type: x/json\r\n\r\n[".encode())
            while True:
                writer.write(b"1, " * 10_000)
                await writer.drain()
        if status == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + reply[:20])
            await writer.drain()
            return False
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(reply)}", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply)
        await writer.drain()
        return True

    def reply(self, model, picture, body, key):
        """(status, body or None to break off, more headers)."""
        good = good_reply("multi-shot", picture)
        if model in ("multi-shot", "zero-shot", "zero-shot-25"):
            return _completion(good_reply(model, picture))
        if model == "blind":
            return _completion(good_reply("multi-shot", random.random()))
        if model == "no-schema":
            if "response_format" in body:
                return _error(400, "json_schema is not supported here")
            return _completion(good)
        if model == "new-names":
            if "max_tokens" in body:
                return _error(400, "use max_completion_tokens instead of max_tokens")
            return _completion(good)
        if model.startswith("flaky-") and self.pictures[model, picture] <= 2:
            return _error(int(model[6:]), "try later", ["Retry-After: 0"])
        if model.startswith("always-"):
            return _error(int(model[7:]), "no", ["Retry-After: 0"])
        if model == "bad-key":
            return _error(401, f"Incorrect API key provided: {key}")
        if model == "sometimes" and int(picture[0], 16) % 4 == 0:
            return _completion("I would rather not say.")
        return self.faulty(model, good, key)

    def faulty(self, model, good, key):
        return {
            "garbage": lambda: (200, b"\x00\xff\x80 %&/", []),
            "html": lambda: (200, b"<html><body>Gateway</body></html>", []),
            "nothing": lambda: (200, None, []),
            "endless-body": lambda: ("endless-200", b"", []),
            "endless-error": lambda: ("endless-400", b"", []),
            "half-body": lambda: ("cut", _completion(good)[1], []),
            "empty": lambda: _completion(""),
            "half-reply": lambda: _completion(good[: len(good) // 2], finish_reason="length"),
            "refusal": lambda: _completion(None, refusal="I cannot judge faces."),
            "other-language": lambda: _completion('{"Gefühle": {"Freude": 3, "Wut": 0}}'),
            "endless-list": lambda: _completion('{"emotions": [' + '{"category": "Anger"},' * 5000),
            "echo-key": lambda: _completion(f"Your key is {key}. {good}"),
            "error-in-200": lambda: (200, b'{"error": {"message": "overloaded"}}', []),
            "no-usage": lambda: _completion(good, usage=None),
        }.get(model, lambda: _completion(good))()


USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}


def _completion(text, finish_reason="stop", refusal=None, usage=USAGE):
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "finish_reason": finish_reason, "message": message}
    record = {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}
    return 200, json.dumps(record | ({"usage": usage} if usage else {})).encode(), []


def _error(status, message, headers=()):
    return status, json.dumps({"error": {"message": message}}).encode(), list(headers)


@contextmanager
def fake_endpoint(latency=0.0):
    """The endpoint in a thread of this process; its `url` is the base URL."""
    endpoint, ready, stop = FakeEndpoint(latency), threading.Event(), None

    async def serve():
        nonlocal stop
        stop = asyncio.Event()
        server = await asyncio.start_server(endpoint.handle, "127.0.0.1", 0, limit=1 << 24)
        endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        ready.set()
        await stop.wait()
        server.close()
        open_connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in open_connections:
            task.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield endpoint
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def main(argv=None):
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args(argv)
    with fake_endpoint(options.latency) as endpoint:
        print(endpoint.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
