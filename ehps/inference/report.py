"""What a run came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ehps.humandata.core import HumanData
from ehps.inference.parts import PREDICTIONS, Part
from ehps.inference.people import Finder
from ehps.inference.sources import Source


@dataclass
class Outcome:
    """What a run came to.

    Attributes
    ----------
    predictions : the file.
    frames, people, empty, tracks : how many there are; ``empty`` of frames without anybody, ``tracks`` None of images.
    unreadable : image path of each frame that cannot be read -> why.
    dropped : reason -> boxes that were left out.
    notes : sentences on the input.
    seconds : stage -> seconds that the result took, in all calls: of work that was lost with a call that was ended
        nothing is counted. Stages overlap.
    done_before : frames that were done when this call began.
    device : that the network ran on.
    """

    predictions: Path
    frames: int = 0
    people: int = 0
    empty: int = 0
    tracks: int | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    done_before: int = 0
    device: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, with frames a second and the share of the time in which the network did not run."""
        total = self.seconds.get("all", 0.0)
        return {
            "predictions": str(self.predictions),
            **{name: getattr(self, name) for name in ("frames", "people", "empty", "tracks", "unreadable", "dropped")},
            "notes": self.notes,
            "frames_of_this_call": self.frames - self.done_before,
            "frames_per_second": round(self.frames / total, 3) if total else None,
            "network_idle_share": round(1 - self.seconds.get("network", 0.0) / total, 4) if total else None,
            "device": self.device,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }


def outcome_of(
    out: Path,
    done: Sequence[Part],
    source: Source,
    finder: Finder,
    seconds: Mapping[str, float],
    before: int,
    *,
    tracked: bool,
    device: str,
) -> Outcome:
    """The outcome of the finished parts of a run; ``seconds`` are those that belong to no part."""
    hd = HumanData.open(out / PREDICTIONS)
    records = [record for part in done for record in part.frames]
    dropped: Counter[str] = Counter()
    whole: dict[str, float] = dict(seconds)
    for part in done:
        dropped.update(part.dropped)
        whole |= {stage: whole.get(stage, 0.0) + value for stage, value in part.seconds.items()}
    notes = list(source.notes)
    boxes = finder.boxes
    if boxes is not None and (unused := boxes.unused((record.image_path, record.number) for record in records)):
        notes.append(
            f"{boxes.path.name} has boxes of {len(unused):,} images or frames that the input lacks, {unused[0]} for one"
        )
    seen = set(hd["image_path"].tolist())
    return Outcome(
        out / PREDICTIONS,
        frames=len(records),
        people=len(hd),
        empty=sum(not record.fault and record.image_path not in seen for record in records),
        tracks=_tracks(hd) if tracked else None,
        unreadable={record.image_path: record.fault for record in records if record.fault},
        dropped=dict(dropped),
        notes=notes,
        seconds=whole,
        done_before=before,
        device=device,
    )


def _tracks(hd: HumanData) -> int:
    """How many people are followed; rows without a track count for none."""
    tracks = np.unique(np.asarray(hd["meta/track_id"]))
    return int((tracks >= 0).sum())
