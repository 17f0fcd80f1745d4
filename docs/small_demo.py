"""The demo with fewer images and steps, for building the tutorials: ``python docs/small_demo.py OUT``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from ehps.demo import end_to_end
from ehps.demo.sets import TEST, TRAIN, DemoSet


def third(entry: DemoSet) -> DemoSet:
    return dataclasses.replace(entry, images=max(4, entry.images // 3))


if __name__ == "__main__":
    end_to_end.TRAIN = tuple(third(entry) for entry in TRAIN)
    end_to_end.TEST = tuple(third(entry) for entry in TEST)
    end_to_end.run(Path(sys.argv[1]), steps=end_to_end.STEPS // 10)
