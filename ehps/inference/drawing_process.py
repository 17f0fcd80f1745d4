"""What a process that draws runs; it imports no more than that takes, so that it is soon there."""

from __future__ import annotations

import time

from ehps.arrays import Array
from ehps.inference.frames import Frame, People
from ehps.inference.overlays import Bodies, View, draw
from ehps.worker_processes import end_with_parent


def drawn(frame: Frame, people: People, bodies: Bodies | None, view: View, side: bool) -> tuple[Array, float]:
    """What is drawn on a frame, and how many seconds that took."""
    end_with_parent()
    began = time.perf_counter()
    return draw(frame, people, bodies, view, side=side), time.perf_counter() - began
