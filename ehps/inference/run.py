"""``ehps infer``: frames through a network, people out.

Frames are decoded in a thread of their own, overlays drawn in another, while the network sees the people of several
frames at once. Every so many frames a part is saved; a run that was killed goes on after the last one. What is in a
part depends on nothing but the request, so that the files are the same however often a run was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.suites.prediction import predicted_by, seen_columns
from ehps.body.models import BodyModels
from ehps.errors import DataError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from ehps.humandata.storage import h5
from ehps.inference import parts
from ehps.inference.cameras import as_stored, metric
from ehps.inference.frames import Frame, People
from ehps.inference.overlay_video import join_segments
from ehps.inference.overlays import Bodies, View, bodies_of
from ehps.inference.parts import FrameRecord, Part
from ehps.inference.people import Finder
from ehps.inference.predicting import Cropper, Network
from ehps.inference.report import Outcome, outcome_of
from ehps.inference.smoothed import smoothed
from ehps.inference.smoothing import Smoother
from ehps.inference.sources import Source
from ehps.inference.threads import Ahead, Drawer, Seconds, Stage
from ehps.inference.tracking import Tracker
from ehps.interrupts import caught
from ehps.progress import Advance, counting

GROUP = 16  # frames whose people go through the network together
GROUP_BYTES = 256 << 20  # of their pixels: fewer where images are large


@dataclass(frozen=True)
class Options:
    """How a run is made.

    Attributes
    ----------
    view : what overlays show; None for no overlays.
    side : whether people are shown from the side, beside the frame.
    save_every : frames of a part.
    smooth : smooth rotations, translations and shapes over time.
    metric_focal : focal length, pixels, of the real camera that translations are for; None for virtual cameras.
    """

    view: View | None = "mesh"
    side: bool = True
    save_every: int = 256
    smooth: bool = False
    metric_focal: float | None = None


def infer(
    source: Source,
    network: Network,
    finder: Finder,
    out: Path,
    body_models: BodyModels,
    options: Options | None = None,
    *,
    overwrite: bool = False,
) -> Outcome:
    """Predict the people of an input and write ``predictions.h5``, overlays and ``report.json`` in the folder ``out``.

    Raises
    ------
    UsageError : the folder has results of another request.
    DataError : another process writes there, the disk is full, or what reading the input raises.
    """
    options = options or Options()
    run = _Run(source, network, finder, out, body_models, options)
    with parts.locked(out), caught():
        parts.begin(out, run.request(), overwrite=overwrite)
        return run.finish(run.go())


class _Run:
    """One call: state that goes from group to group."""

    def __init__(
        self, source: Source, network: Network, finder: Finder, out: Path, models: BodyModels, options: Options
    ) -> None:
        self.source, self.network, self.finder, self.out = source, network, finder, out
        self.models, self.options = models, options
        self.tracked = source.kind == "video" or finder.tracked
        self.tracker = Tracker(source.rate) if source.kind == "video" else None
        self.smoother = Smoother() if options.smooth else None
        self.seconds: Seconds = {}

    def request(self) -> dict[str, Any]:
        """Everything that decides what the files hold."""
        options = self.options
        return {
            "input": self.source.facts,
            "network": self.network.facts | {"batch_size": self.network.batch_size},
            "people": self.finder.facts,
            "device": self.network.device.type,
            "body_models": {"version": self.models.get(self.network.body, "neutral").version},
            "view": options.view,
            "side": options.side,
            "save_every": options.save_every,
            "smooth": options.smooth,
            "metric_focal": options.metric_focal,
        }

    def go(self) -> list[Part]:
        """All parts, the finished ones first."""
        done = parts.finished(self.out)
        self.before = sum(len(part.frames) for part in done)
        for part in done:
            self._replay(part)
        self.finder.dropped.clear()
        self.new, self.started, self.counted = 0, time.perf_counter(), Seconds()
        if not parts.is_whole(self.out, done):
            groups = Ahead(self._groups(self.before), self.seconds)
            try:
                with counting("frames", self.source.count, done=self.before) as advance:
                    for number, group in _by_part(groups, self.options.save_every):
                        done.append(self._part(number, group, advance))
            finally:
                groups.close()
            parts.end(self.out, len(done))
        return done

    def finish(self, done: list[Part]) -> Outcome:
        """Join the parts, and say what came of it.

        Raises
        ------
        DataError : there is no frame.
        """
        if not done:
            raise DataError(
                "has no frame there", path=Path(self.source.name), fix="choose other times with --from and --to"
            )
        self._join(done)
        outcome = outcome_of(
            self.out,
            done,
            self.source,
            self.finder,
            self._taken(),
            self.before,
            tracked=self.tracked,
            device=str(self.network.device),
        )
        parts.write_json(self.out / parts.REPORT, outcome.to_dict())
        return outcome

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _part(self, number: int, groups: Iterator[list[Frame]], advance: Advance) -> Part:
        records: list[FrameRecord] = []
        rows: list[dict[str, Any]] = []
        drawer = Drawer(self.out, number, self.options.view, self.options.side, self.source, self.seconds)
        try:
            for group in groups:
                people = self._people(group)
                columns, kept = self._predict(group, people)
                bodies = self._bodies(columns)
                self._turn_back(columns, group, kept)
                records += [_record(frame, found) for frame, found in zip(group, people, strict=True)]
                rows.append(columns)
                drawer.draw(group, kept, bodies)
                self.new += len(group)
                advance(len(group), f"{self.new / (time.perf_counter() - self.started):.1f} a second")
        finally:
            drawer.close()
        drawer.check()
        with self._timed("saving"):
            dropped = dict(self.finder.dropped)
            self.finder.dropped.clear()
            return parts.save(self.out, number, self._as_data(_joined(rows)), records, dropped, self._taken())

    def _taken(self) -> Seconds:
        """Seconds of each stage since this was last asked."""
        now = {**self.seconds, "all": time.perf_counter() - self.started}
        taken = {name: round(value - self.counted.get(name, 0.0), 4) for name, value in now.items()}
        self.counted = now
        return taken

    def _people(self, group: list[Frame]) -> list[People]:
        with self._timed("people"):
            found = self.finder(group)
            if self.tracker is None:
                return found
            return [self.tracker.update(people, frame.index) for frame, people in zip(group, found, strict=True)]

    def _predict(self, group: list[Frame], people: Sequence[People]) -> tuple[dict[str, Any], list[People]]:
        """Columns of the group's rows, and the people that they are of."""
        crops: list[Array] = []
        boxes: list[Array] = []
        kept: list[People] = []
        with self._timed("cropping"):
            cropper = Cropper(self.network.view)
            for frame, found in zip(group, people, strict=True):
                widened, sound = self.network.widened(found.boxes, frame.size)
                if not sound.all():
                    self.finder.dropped["is smaller than a pixel in its image"] += int((~sound).sum())
                kept.append(found[sound])
                boxes.append(widened[sound])
                crops += [cropper.crop(frame, box) for box in widened[sound]]
        with self._timed("network"):
            parameters = self.network.run(crops) if crops else self._empty()
        count = [len(found) for found in kept]
        columns: dict[str, Any] = {
            "image_path": [frame.image_path for frame, n in zip(group, count, strict=True) for _ in range(n)],
            **seen_columns(parameters, np.concatenate(boxes), self.network.view.frame, self.network.body),
            "meta/score": np.concatenate([found.scores for found in kept]),
            "meta/frame_id": np.repeat([frame.number for frame in group], count),
            "meta/height": np.repeat([frame.size[0] for frame in group], count).astype(np.int32),
            "meta/width": np.repeat([frame.size[1] for frame in group], count).astype(np.int32),
        }
        if self.source.kind == "video":
            columns["meta/time"] = np.repeat([float(frame.time or 0) for frame in group], count)
        if self.tracked:
            columns["meta/track_id"] = np.concatenate([found.tracks for found in kept])
        if self.finder.as_they_are:
            columns["meta/truth_row"] = np.concatenate([found.rows for found in kept])
        return columns, kept

    def _bodies(self, columns: dict[str, Any]) -> Bodies | None:
        """What is drawn of a group's rows, smoothed where that is asked for."""
        data, view = self._as_data(columns), self.options.view
        if self.smoother is not None:
            data = smoothed(data, self.smoother)
        if view is None:
            return None
        with self._timed("surfaces"):
            return bodies_of(data, self.models, view, str(self.network.device))

    def _turn_back(self, columns: dict[str, Any], group: list[Frame], people: Sequence[People]) -> None:
        """Make columns of upright images those of the images as they are stored."""
        changed = np.array([(frame.turned, frame.mirrored) for frame in group])
        turned, mirrored = np.repeat(changed, [len(found) for found in people], axis=0).T
        if turned.any() or mirrored.any():
            sizes = np.stack([columns["meta/height"], columns["meta/width"]], axis=1)
            columns |= as_stored(columns, turned, mirrored > 0, sizes, self.network.body, self.models)

    def _as_data(self, columns: dict[str, Any]) -> HumanData:
        truth = self.source.data.passport if self.source.data is not None else Passport()
        body = self.network.body
        passport = Passport(
            **predicted_by("inference", {"betas": columns[f"{body}/betas"]}, self.models, body),
            dataset=truth.dataset,
            split=truth.split,
            sampling=truth.sampling,
        )
        return HumanData(columns, passport=passport)

    def _empty(self) -> dict[str, Array]:
        if not hasattr(self, "_none"):
            height, width = self.network.view.size
            one = self.network.run([np.zeros((height, width, 3), np.uint8)])
            self._none = {name: value[:0] for name, value in one.items()}
        return self._none

    def _replay(self, part: Part) -> None:
        """Bring tracks and smoothing to where they were after a finished part."""
        for record in part.frames:
            if self.tracker is not None:
                boxes, tracks = np.array(record.boxes).reshape(-1, 4), np.array(record.tracks, np.int64)
                self.tracker.update(People.of(boxes, tracks=tracks), record.index)
        if self.smoother is not None:
            smoothed(HumanData.open(part.data), self.smoother)

    # -- the whole -----------------------------------------------------------------------------------------------------

    def _join(self, done: list[Part]) -> None:
        def tables() -> Iterator[HumanData]:
            smoother = Smoother() if self.options.smooth else None
            for part in done:
                data = HumanData.open(part.data)
                if smoother is not None:
                    data = smoothed(data, smoother)
                if self.options.metric_focal is not None:
                    data = metric(data, self.options.metric_focal, self.models)
                yield data

        with self._timed("joining"):
            passport = next(tables()).passport
            misc = {
                "checkpoint_sha256": self.network.facts["checkpoint_sha256"],
                "crop": self.network.facts["crop"],
                "inference": self.request(),
            }
            h5.join(tables, self.out / parts.PREDICTIONS, passport=passport, misc=misc, quality={})
            shown = [part.segment for part in done if part.shown]
            if shown:
                join_segments(shown, self.out / parts.OVERLAY_VIDEO)

    # -- frames --------------------------------------------------------------------------------------------------------

    def _groups(self, start: int) -> Iterator[list[Frame]]:
        """Frames in groups that depend on nothing but the frames themselves, and do not reach over a part's end."""
        group: list[Frame] = []
        size = 0
        for frame in self.source.frames(start):
            full = len(group) == GROUP or size + frame.pixels.nbytes > GROUP_BYTES
            if group and (full or frame.index % self.options.save_every == 0):
                yield group
                group, size = [], 0
            group.append(frame)
            size += frame.pixels.nbytes
        if group:
            yield group

    def _timed(self, stage: str) -> Stage:
        return Stage(self.seconds, stage)


def _by_part(groups: Any, save_every: int) -> Iterator[tuple[int, Iterator[list[Frame]]]]:
    """Number of each part, and its groups, which are taken before the next part is."""
    found = iter(groups)
    ahead = next(found, None)
    while ahead is not None:
        number = ahead[0].index // save_every

        def own(number: int = number) -> Iterator[list[Frame]]:
            nonlocal ahead
            while ahead is not None and ahead[0].index // save_every == number:
                group, ahead = ahead, None
                yield group
                ahead = next(found, None)

        yield number, own()


def _record(frame: Frame, people: People) -> FrameRecord:
    return FrameRecord(
        frame.index,
        frame.number,
        frame.image_path,
        frame.time,
        frame.fault,
        people.boxes.astype(float).tolist(),
        people.tracks.tolist(),
    )


def _joined(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Columns of several groups, one after the other."""
    return {
        name: [word for part in rows for word in part[name]]
        if isinstance(rows[0][name], list)
        else np.concatenate([part[name] for part in rows])
        for name in rows[0]
    }
