"""The demo's datasets: how the people and images of each look, and how its small raw tree is written.

The five test sets show standing and gesturing people about facing the camera, each in surroundings of its own.
Training sets differ in how near they are to that: in poses, in how far people turn away, in framing and background.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.demo.raw import agora, bedlam, egobody, ehf, mscoco, pw3d, ubody
from ehps.demo.raw.stage import Look

Write = Callable[..., Any]


@dataclass(frozen=True)
class DemoSet:
    """One split of one dataset: its writer's calls and the look they share.

    Attributes
    ----------
    dataset : what to convert.
    split : of the dataset.
    role : whether it is trained on or tested on.
    write : writer of its raw tree.
    look : of all its images.
    images : in each call.
    calls : further arguments of the writer, one call each.
    protocol : how a test set is scored.
    """

    dataset: str
    split: str
    role: str
    write: Write
    look: Look
    images: int
    calls: tuple[dict[str, Any], ...]
    protocol: str = ""

    @property
    def name(self) -> str:
        return f"{self.dataset}_{self.split}"


TRAIN = (
    DemoSet(
        "bedlam",
        "train",
        "train",
        bedlam.write,
        Look("mixed", "outdoor", 0, 45, 8, (0.5, 0.9), (1, 2)),
        45,
        ({"scene": "20221010_3_1000_batch01hand_6fps"}, {"scene": "20221011_1_250_batch01hand_suburb_6fps"}),
    ),
    DemoSet(
        "agora",
        "train",
        "train",
        agora.write,
        Look("standing", "street", 0, 55, 15, (0.45, 0.7), (2, 3)),
        22,
        ({"table": 0, "camera": "hdri"}, {"table": 1, "camera": ""}),
    ),
    DemoSet(
        "egobody_ego",
        "train",
        "train",
        egobody.write,
        Look("gesturing", "indoor", 0, 25, 12, (0.7, 0.95)),
        60,
        (
            {"recording": "recording_20210907_S02_S01_01", "gender": "female"},
            {"recording": "recording_20210911_S05_S06_02", "gender": "male", "interactee": 1},
        ),
    ),
    DemoSet(
        "mscoco", "train", "train", mscoco.write, Look("sports", "clutter", 60, 90, 0, (0.4, 0.8), (1, 3)), 60, ({},)
    ),
    DemoSet(
        "pw3d",
        "train",
        "train",
        pw3d.write,
        Look("walking", "outdoor", 150, 40, 5, (0.45, 0.7)),
        60,
        ({"sequence": "courtyard_walk_00"},),
    ),
    DemoSet(
        "ubody",
        "train",
        "train",
        ubody.write,
        Look("gesturing", "studio", 0, 20, 0, (1.1, 1.5), (1, 2)),
        40,
        ({"scene": "Speech", "clip": "Speech_S1_Trim1"}, {"scene": "Interview", "clip": "Interview_S2_Trim1"}),
    ),
)
TEST = (
    DemoSet(
        "agora",
        "validation",
        "test",
        agora.write,
        Look("standing", "street", 0, 55, 10, (0.45, 0.7), (2, 3)),
        10,
        ({"split": "validation", "camera": "hdri"},),
        "agora-val",
    ),
    DemoSet(
        "ubody",
        "test",
        "test",
        ubody.write,
        Look("gesturing", "studio", 0, 30, 0, (0.9, 1.3)),
        20,
        ({"scene": "Speech", "clip": "Speech_S9_Trim1", "held_out": True},),
        "ubody-intra[step=1]",
    ),
    DemoSet(
        "egobody_ego",
        "test",
        "test",
        egobody.write,
        Look("gesturing", "indoor", 0, 35, 12, (0.6, 0.9)),
        24,
        ({"split": "test", "recording": "recording_20220315_S21_S30_03", "gender": "male"},),
        "egobody-ego",
    ),
    DemoSet(
        "pw3d",
        "test",
        "test",
        pw3d.write,
        Look("walking", "outdoor", 20, 40, 5, (0.5, 0.75)),
        12,
        ({"split": "test", "sequence": "downtown_walk_00"},),
        "pw3d-smplerx",
    ),
    DemoSet("ehf", "val", "test", ehf.write, Look("gesturing", "plain", 0, 25, 3, (0.7, 0.9)), 16, ({},), "ehf"),
)


def write_raw(entry: DemoSet, root: Path, models: Path, seed: int) -> int:
    """Write the raw tree of one set below ``root / dataset``; returns the number of people in it."""
    rng = np.random.default_rng([seed, *entry.name.encode()])
    folder = root / entry.dataset
    return sum(
        len(entry.write(folder, models, rng, look=entry.look, images=entry.images, **call)) for call in entry.calls
    )
