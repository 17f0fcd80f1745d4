"""The folder of a run: what was asked for, and parts that are finished, so that a run that was killed goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ehps.atomic import replacing
from ehps.errors import DataError, UsageError
from ehps.file_locks import held
from ehps.humandata.core import HumanData

REQUEST, REPORT, PREDICTIONS = "request.json", "report.json", "predictions.h5"
OVERLAY_IMAGES, OVERLAY_VIDEO = "overlay", "overlay.mp4"
PARTS, LOCK, END = "parts", "infer.lock", "end.json"
DIGEST = re.compile("[0-9a-f]{64}")  # which says nothing to a reader
WRITTEN = (PARTS, REPORT, PREDICTIONS, OVERLAY_IMAGES, OVERLAY_VIDEO)


@dataclass(frozen=True)
class FrameRecord:
    """What a part keeps of a frame beside the rows of its people.

    Attributes
    ----------
    index, number, image_path, time, fault : of the frame.
    boxes : x, y, w, h of each person, as found.
    tracks : their numbers.
    """

    index: int
    number: int
    image_path: str
    time: float | None
    fault: str
    boxes: list[list[float]] = field(default_factory=list)
    tracks: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """A finished part: some frames, and the rows of their people.

    Attributes
    ----------
    folder, number : where it is.
    frames : of all its frames.
    dropped : reason -> how many boxes were left out.
    shown : whether a piece of the video of overlays belongs to it.
    seconds : stage -> seconds that it took.
    """

    folder: Path
    number: int
    frames: list[FrameRecord]
    dropped: dict[str, int]
    shown: bool
    seconds: dict[str, float]

    @property
    def data(self) -> Path:
        return data_of(self.folder, self.number)

    @property
    def segment(self) -> Path:
        return segment_of(self.folder, self.number)


def data_of(out: Path, number: int) -> Path:
    return out / PARTS / f"{number:06d}.h5"


def segment_of(out: Path, number: int) -> Path:
    return out / PARTS / f"{number:06d}.mp4"


def locked(out: Path) -> AbstractContextManager[None]:
    """Hold the folder of a run.

    Raises
    ------
    DataError : another process writes there, or nothing can be written.
    """
    return held(out / LOCK, "is writing to this folder")


def begin(out: Path, request: dict[str, Any], *, overwrite: bool) -> None:
    """Make sure that what is in the folder is of this request, or nothing.

    Raises
    ------
    UsageError : it is of another, and is not to be overwritten; the settings that differ are named. Or files of these
        names are there that no run has written.
    """
    path = out / REQUEST
    before = _read(path)
    if before is None:
        strange = [name for name in WRITTEN if (out / name).exists()]
        if strange:
            raise UsageError(f"holds {', '.join(strange)} of something else", path=out, fix="name another folder")
    elif overwrite:
        clear(out)
        before = None
    if before is None:
        write_json(path, request)
    elif before != json.loads(json.dumps(request)):
        differing = ", ".join(_differing(before, json.loads(json.dumps(request))))
        raise UsageError(
            f"was made with other settings: {differing}", path=out, fix="name another folder, or pass --overwrite"
        )


def check_inputs(out: Path, inputs: Iterable[str | Path | None]) -> None:
    """
    Raises
    ------
    UsageError : an input is among what a run writes in the folder, and would be replaced.
    """
    folder = os.path.realpath(out)
    for given in inputs:
        if given is not None and os.path.relpath(os.path.realpath(given), folder).split(os.sep)[0] in WRITTEN:
            raise UsageError(f"is among the results in {out}", path=Path(given), fix="give another --out")


def clear(out: Path) -> None:
    """Remove what a run wrote, last what it was asked for, by which it is known as one."""
    for name in WRITTEN:
        if (out / name).is_dir():
            shutil.rmtree(out / name, ignore_errors=True)
        else:
            (out / name).unlink(missing_ok=True)
    (out / REQUEST).unlink(missing_ok=True)


def finished(out: Path) -> list[Part]:
    """The parts that are done, in order, up to the first that is not."""
    found: list[Part] = []
    while (content := _read(out / PARTS / f"{len(found):06d}.json")) is not None:
        frames = [FrameRecord(**frame) for frame in content["frames"]]
        part = Part(out, len(found), frames, content["dropped"], content["shown"], content.get("seconds", {}))
        try:
            HumanData.open(part.data)
        except DataError:
            break
        if part.shown and not part.segment.is_file():
            break
        found.append(part)
    return found


def save(
    out: Path,
    number: int,
    data: HumanData,
    frames: list[FrameRecord],
    dropped: dict[str, int],
    seconds: dict[str, float],
) -> Part:
    """Save a part; it counts from the moment that its note is there."""
    data.save(data_of(out, number))
    part = Part(out, number, frames, dropped, segment_of(out, number).is_file(), seconds)
    names = ("dropped", "shown", "seconds")
    content = {"frames": [asdict(frame) for frame in frames], **{name: getattr(part, name) for name in names}}
    write_json(out / PARTS / f"{number:06d}.json", content)
    return part


def end(out: Path, count: int) -> None:
    """Note that the input has no more than ``count`` parts."""
    write_json(out / PARTS / END, {"parts": count})


def is_whole(out: Path, done: list[Part]) -> bool:
    """Whether ``done`` are all parts of the input."""
    content = _read(out / PARTS / END)
    return isinstance(content, dict) and content.get("parts") == len(done)


def write_json(path: Path, content: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _differing(before: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _differing(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
    elif before != now:
        digests = all(isinstance(value, str) and DIGEST.fullmatch(value) for value in (before, now))
        yield f"{name} is another" if digests else f"{name} was {before} and is {now}"
