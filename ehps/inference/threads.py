"""What a run does at once: frames are decoded ahead of the network, and drawn behind it, several at a time.

Surfaces of many frames are drawn in processes: threads would wait for each other at every step of numpy.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from joblib import cpu_count

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.inference import parts
from ehps.inference.drawing_process import drawn
from ehps.inference.frames import Frame, People
from ehps.inference.overlay_video import write_segment
from ehps.inference.overlays import Bodies, View, write_image
from ehps.inference.sources import Source
from ehps.worker_processes import DEATHS, Submit, worker_processes

WAITING = 2  # groups of frames that are decoded, or to be drawn, ahead
APART = 64  # frames from which on starting processes pays
MOST = 6  # processes: the encoder takes no more frames than they draw
IDLE = 60  # seconds after which processes that have nothing to do end

T = TypeVar("T")
Seconds = dict[str, float]
"""Stage -> seconds that it took; stages overlap, and drawing counts those of every frame."""


class Stage:
    """Adds the seconds of a block to a stage."""

    def __init__(self, seconds: Seconds, stage: str) -> None:
        self.seconds, self.stage = seconds, stage

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + time.perf_counter() - self._began


class Ahead:
    """Groups of frames that a thread decodes ahead."""

    def __init__(self, groups: Iterator[list[Frame]], seconds: Seconds) -> None:
        self._seconds = seconds
        self._ready: queue.Queue[Any] = queue.Queue(WAITING)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(groups,), daemon=True)
        self._thread.start()

    def _fill(self, groups: Iterator[list[Frame]]) -> None:
        ended: Any = None
        try:
            while not self._stop.is_set():
                with Stage(self._seconds, "decoding"):
                    group = next(groups, None)
                if group is None:
                    break
                self._put(group)
        except BaseException as error:
            ended = error
        self._put(ended)

    def _put(self, item: Any) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[list[Frame]]:
        while True:
            with Stage(self._seconds, "waiting"):
                item = self._ready.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            yield item

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class Drawer:
    """Draws the frames of a part behind the network: images each to its file, those of a video to a piece of it."""

    def __init__(self, out: Path, number: int, view: View | None, side: bool, source: Source, seconds: Seconds) -> None:
        self.out, self.number, self.view, self.side = out, number, view, side
        self.source, self.seconds = source, seconds
        self._error: BaseException | None = None
        self._todo: queue.Queue[Any] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, daemon=True)
        if view is not None:
            self._thread.start()

    def draw(self, frames: list[Frame], people: list[People], bodies: Bodies | None) -> None:
        while self.view is not None and self._error is None:
            try:
                self._todo.put((frames, people, bodies), timeout=0.2)
                return
            except queue.Full:
                continue

    def close(self) -> None:
        while self._thread.is_alive():
            try:
                self._todo.put(None, timeout=0.2)
                break
            except queue.Full:
                continue
        if self.view is not None:
            self._thread.join()

    def check(self) -> None:
        """Raise what drawing met."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            if self.source.kind != "video":
                for frame, image in self._shots():
                    write_image(self.out / parts.OVERLAY_IMAGES, frame.image_path, image)
                return
            shots = self._shots()
            first = next(shots, None)
            path = parts.segment_of(self.out, self.number)
            if first is None:  # no frame of the part can be read
                path.unlink(missing_ok=True)
                return
            times = ((float(frame.time or 0), image) for frame, image in _first_and(first, shots))
            write_segment(path, times, fps=float(self.source.rate or 25))
        except BaseException as error:
            self._error = error

    def _shots(self) -> Iterator[tuple[Frame, Array]]:
        """Frames and what is drawn on them, in their order; as many are drawn at a time as there are cores."""
        assert self.view is not None
        cores = cpu_count()
        apart = self.view == "mesh" and cores > 1 and (self.source.count or APART) >= APART
        workers = min(cores, MOST)
        with worker_processes(workers, IDLE) if apart else _threads(workers) as submit:
            running: deque[tuple[Frame, Future[tuple[Array, float]]]] = deque()
            for frame, found, bodies in self._frames():
                running.append((frame, submit(drawn, frame, found, bodies, self.view, self.side)))
                if len(running) > workers:
                    yield self._finished(*running.popleft())
            while running:
                yield self._finished(*running.popleft())

    def _frames(self) -> Iterator[tuple[Frame, People, Bodies | None]]:
        while (item := self._todo.get()) is not None:
            frames, people, bodies = item
            start = 0
            for frame, found in zip(frames, people, strict=True):
                rows = slice(start, start + len(found))
                start += len(found)
                if not frame.fault:
                    yield frame, found, None if bodies is None else bodies[rows]

    def _finished(self, frame: Frame, drawing: Future[tuple[Array, float]]) -> tuple[Frame, Array]:
        try:
            image, seconds = drawing.result()
        except Exception as error:
            if type(error).__name__ in DEATHS:
                what, fix = "a process that drew on frames was ended, as is done where memory is short", "run it again"
                raise DataError(what, path=self.out, fix=fix) from None
            raise
        self.seconds["drawing"] = self.seconds.get("drawing", 0.0) + seconds
        return frame, image


@contextmanager
def _threads(count: int) -> Iterator[Submit]:
    with ThreadPoolExecutor(count) as pool:
        yield pool.submit


def _first_and(first: T, rest: Iterator[T]) -> Iterator[T]:
    yield first
    yield from rest
