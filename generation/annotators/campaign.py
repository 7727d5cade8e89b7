"""Goes through pictures with many hands, asks about each once, and keeps what was said."""

from __future__ import annotations

import queue
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile
from emonet_face.progress import track
from generation.annotators.asking import Label, NoAnswerError, StoppedError
from generation.annotators.pictures import Picture
from generation.annotators.results_file import ResultsFile, payload_key
from generation.annotators.spending import CapReachedError

NO_ANSWERS_IN_A_ROW = 10
"""After so many pictures without an answer, the endpoint is taken to be down."""

_INTERRUPTED = "Stopping: answers that are on their way are kept. Interrupt again to leave them."


@dataclass
class Tally:
    """What a call did.

    Attributes:
        images: of the source.
        kept: done by earlier calls, or by another process meanwhile.
        labelled: answered, and the answer fits.
        failures: reason -> how many answers do not fit, or pictures cannot be read.
        unanswered: pictures that nobody answered about, after all retries.
        busy: pictures that another process was working on.
        stopped: why the rest was not asked, None where it was.
    """

    images: int
    kept: int = 0
    labelled: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    busy: int = 0
    stopped: str | None = None


@dataclass(frozen=True)
class _Event:
    kind: str
    reason: str = ""


class Campaign:
    """One call of the annotator over a source."""

    def __init__(
        self,
        shown: Sequence[tuple[Picture, str]],
        label: Label,
        results: ResultsFile,
        plan: dict[str, object],
        *,
        workers: int,
        stop: threading.Event,
        control: str | None = None,
    ) -> None:
        """
        Args:
            shown: of `controls.controlled`.
            label: asks about one picture; called from `workers` threads.
            results: where lines go.
            plan: hashed into each key.
            workers: how many pictures are under way at once.
            stop: set here when no more is to be asked; `label` may look at it.
            control: named in each line.
        """
        self._shown, self._label, self._results, self._plan = shown, label, results, plan
        self._workers, self._control = min(workers, len(shown)), control
        self._next = iter(shown)
        self._feed = threading.Lock()
        self._stop = stop
        self._events: queue.Queue[_Event | Exception | None] = queue.Queue()
        self._in_a_row = 0

    def run(self, description: str) -> Tally:
        """Ask about every picture that has no result yet.

        Raises:
            EmoNetFaceError: something that no other picture would change (a refused key). What had
                been said before is kept.
        """
        tally = Tally(len(self._shown))
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._workers)]
        for thread in threads:
            thread.start()
        fault: Exception | None = None
        try:
            for event in track(self._finished(), description, total=len(self._shown)):
                if isinstance(event, Exception):
                    fault = fault or event
                    self._stop.set()
                else:
                    self._count(event, tally)
        except KeyboardInterrupt:
            print(_INTERRUPTED, file=sys.stderr)
            raise
        finally:
            self._stop.set()  # answers that are on their way are paid for: they are waited for
            for thread in threads:
                thread.join()
        if fault is not None:
            raise fault
        return tally

    def _finished(self) -> Iterator[_Event | Exception]:
        left = self._workers
        while left:
            event = self._events.get()
            if event is None:
                left -= 1
            else:
                yield event

    def _count(self, event: _Event, tally: Tally) -> None:
        if event.kind == "failure":
            tally.failures[event.reason] += 1
        elif event.kind == "stopped":
            tally.stopped = tally.stopped or event.reason
        else:
            setattr(tally, event.kind, getattr(tally, event.kind) + 1)
        if event.kind == "unanswered":
            self._in_a_row += 1
            if self._in_a_row >= NO_ANSWERS_IN_A_ROW and tally.stopped is None:
                tally.stopped = f"{self._in_a_row} pictures in a row: {event.reason}"
                self._stop.set()
        elif event.kind in ("labelled", "failure"):
            self._in_a_row = 0

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                with self._feed:
                    item = next(self._next, None)
                if item is None:
                    break
                self._events.put(self._one(*item))
        except StoppedError:
            pass
        except CapReachedError as cap:
            self._stop.set()
            self._events.put(_Event("stopped", str(cap)))
        except Exception as error:  # handed to the caller's thread
            self._stop.set()
            self._events.put(error)
        finally:
            self._events.put(None)

    def _one(self, picture: Picture, shown: str) -> _Event:
        try:
            file: ImageFile | EmoNetFaceError = picture.read()
        except EmoNetFaceError as error:
            file = error
        sha256 = "" if isinstance(file, EmoNetFaceError) else file.sha256
        key = payload_key(self._plan, picture.image, sha256)
        if self._results.done(key, picture.image):
            return _Event("kept")
        if not self._results.claim(key, picture.image):
            done = self._results.done(key, picture.image)
            return _Event("kept" if done else "busy")
        try:
            line: dict[str, object] = {"image": picture.image}
            if self._control is not None:
                line["shown"] = shown
            line["image_sha256"] = sha256
            if isinstance(file, EmoNetFaceError):
                said: dict[str, object] = {"error": str(file), "final": False}
            else:
                said = self._label(file)
            self._results.append(key, line | said)
        except NoAnswerError as error:
            self._results.append(key, line | {"error": str(error), "final": False})
            return _Event("unanswered", str(error))
        finally:
            self._results.release(key)
        return _Event("failure", str(said["error"])) if "error" in said else _Event("labelled")
