"""Two 3DPW sequences of two people with blank images: the smallest raw dataset that the command line converts."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ehps.demo.raw import pw3d
from ehps.demo.raw.stage import Look
from tests.raw.checks import blank

SEQUENCES = ("courtyard_00", "downtown_00")
IMAGES = 2
ROWS = len(SEQUENCES) * IMAGES * 2


def write_walks(root: Path, models: Path) -> Path:
    """``ROWS`` people, each sequence with a man and a woman in every image."""
    rng = np.random.default_rng(3)
    for name in SEQUENCES:
        truth = pw3d.write(root, models, rng, look=Look(), images=IMAGES, sequence=name, painted=False)
        blank(root, truth.image_path, 960, 540)
    return root


def sequence(root: Path, name: str = SEQUENCES[1]) -> Path:
    """The annotation file of one sequence."""
    return root / f"sequenceFiles/train/{name}.pkl"


@contextmanager
def edited_sequence(root: Path, name: str = SEQUENCES[1]) -> Iterator[Any]:
    """The content of a sequence's annotations, written back afterwards."""
    path = sequence(root, name)
    content = pickle.loads(path.read_bytes(), encoding="latin1")
    yield content
    pw3d.save(path, content)
