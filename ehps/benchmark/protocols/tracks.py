"""People followed through their videos: how far their tracks in the world are off, and how much they jitter.

Facts: the public evaluation code of WHAM, which that of GVHMR repeats (all metrics of the world), and EMDB's own
(jitter of bodies before the camera). Both go through the tested frames of a video as if none were missing between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.measures import OF_TRACKS, Measure
from ehps.benchmark.protocols.metrics import Errors
from ehps.benchmark.protocols.placement import EXTRINSICS, Placement
from ehps.benchmark.protocols.point_errors import distances, fit, mean_of_present
from ehps.benchmark.protocols.points import Plan
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.tables import Tables
from ehps.errors import DataError
from ehps.humandata.core import HumanData
from ehps.progress import counting

CHUNK = 100  # frames that are laid on each other together
ON_GROUND = 0.01  # metres a frame: a foot of the truth that moves less stands
JOINTS = 24  # of SMPL, over which EMDB averages the jitter of 15: the others count as 0
FRAME, PERSON = "meta/frame_id", "meta/track_id"


def needed_columns(protocol: Protocol, wanted: Sequence[Measure]) -> tuple[str, ...]:
    """Columns of the truth by which people are followed."""
    if not any(measure.form in OF_TRACKS for measure in wanted):
        return ()
    return (FRAME, EXTRINSICS) if protocol.frame == "world" else (FRAME,)


def tracks_of(hd: HumanData, rows: Array) -> list[Array]:
    """Places in ``rows`` (N,) of each person of each video, in the order of frames.

    Raises
    ------
    DataError : frames have no numbers, or a person is in one twice.
    """
    frame = np.asarray(hd[FRAME][rows]) if FRAME in hd else np.zeros(0)
    if frame.shape != (len(rows),) or frame.dtype.kind not in "iuf" or not np.isfinite(frame).all():
        fix = "convert the dataset again, or choose metrics for which the order of frames does not matter"
        raise DataError(f"has no numbers of frames ({FRAME})", path=hd.source, fix=fix)
    person = np.unique(true_bodies.sequence_names(hd, rows), return_inverse=True)[1]
    if PERSON in hd:
        code = np.unique([str(name) for name in hd[PERSON][rows].tolist()], return_inverse=True)[1]
        person = person * (code.max() + 1) + code
    order = np.lexsort((frame, person))
    other = np.diff(person[order]) != 0
    if (twice := np.flatnonzero(~other & (np.diff(frame[order]) == 0))).size:
        one, same = (hd["image_path"][int(rows[order[twice[0] + k]])] for k in (0, 1))
        raise DataError(f"has a person twice in one frame: {one} and {same}", path=hd.source)
    return np.split(order, np.flatnonzero(other) + 1)


def track_errors(
    wanted: Sequence[Measure],
    placement: Placement,
    tables: Tables,
    *,
    batch_size: int = 64,
    device: str = "cpu",
) -> tuple[Errors, dict[tuple[str, str], float]]:
    """Errors of people over time, a track after the other.

    Parameters
    ----------
    placement : of the bodies of both files, N rows.

    Returns
    -------
    (part, metric) -> (N,) metres, m/s^3 or shares, NaN for frames without a value; and (part, metric) -> the value of
    all rows, where that is no mean of these.

    Raises
    ------
    DataError : it is not known which frames follow each other, or how fast.
    """
    protocol, count = placement.protocol, len(placement.rows)
    tracks, rate = tracks_of(placement.truth, placement.rows), _frame_rate(protocol, placement.truth)
    keys = [list(dict.fromkeys(one.points for one in some)) for some in (wanted, _compared(wanted))]
    plans = [Plan(keys[0], protocol, placement.model_type, tables), Plan(keys[1], protocol, protocol.body, tables)]
    errors = {measure.key: np.full(count, np.nan) for measure in wanted}
    slid: list[Array] = []

    def points(which: int, track: Array) -> dict[str, Array]:
        """Of the people of a track, key -> (T, P, 3)."""
        parts: dict[str, list[Array]] = {key: [] for key in keys[which]}
        for start in range(0, len(track) if parts else 0, batch_size):
            some = track[start : start + batch_size]
            params = (placement.made, placement.true)[which](some, tables.models)
            bodies = plans[which].bodies(params, device=device)
            for key, found in parts.items():
                found.append(bodies.points(key))
        return {key: np.concatenate(found) for key, found in parts.items()}

    with counting("following people", count) as advance:
        for track in tracks:
            made, true = points(0, track), points(1, track)
            for measure in wanted:
                p = made[measure.points]
                if measure.form == "jitter":
                    values = jitter(p, rate, JOINTS if measure.points == "joints/moving" else p.shape[1])
                    errors[measure.key][track] = values
                    continue
                t = true[measure.points]
                if measure.form == "sliding":
                    values = sliding(p, t)
                    slid.append(values[~np.isnan(values)])
                    errors[measure.key][track] = mean_of_present(*values.T)
                elif measure.form == "path":
                    errors[measure.key][track] = path_errors(p[:, 0], t[:, 0], measure.fit)
                else:
                    errors[measure.key][track] = chunk_errors(p, t, measure.fit, first=measure.form == "first")
            advance(len(track))
    return errors, _of_the_set(wanted, errors, tracks, slid)


def _frame_rate(protocol: Protocol, truth: HumanData) -> float:
    """Tested frames a second.

    Raises
    ------
    DataError : the file leaves out frames that the protocol follows, or does not say whether it does.
    """
    sampling = truth.passport.sampling
    if sampling not in (1, protocol.step):
        what = f"has every {sampling}th frame" if sampling else "does not say how many frames were left out of it"
        other = f", or take {protocol.name}[step={sampling}]" if sampling else ""
        raise DataError(
            f"{what}; {protocol.id} follows people frame by frame",
            path=truth.source,
            fix=f"convert the dataset again with every frame{other}",
        )
    return protocol.fps / protocol.step


def _compared(wanted: Sequence[Measure]) -> list[Measure]:
    """Those that compare with the truth, which jitter does not."""
    return [measure for measure in wanted if measure.form != "jitter"]


def _of_the_set(
    wanted: Sequence[Measure], errors: Errors, tracks: Sequence[Array], slid: Sequence[Array]
) -> dict[tuple[str, str], float]:
    """Sliding is the mean over all feet on the ground, EMDB's jitter that of the means of videos."""
    out: dict[tuple[str, str], float] = {}
    for measure in wanted:
        if measure.form == "sliding":
            values = np.concatenate(slid)
        elif measure.points == "joints/moving":
            values = np.array([errors[measure.key][track][3:].mean() for track in tracks if len(track) > 3])
        else:
            continue
        out[measure.key] = float(values.mean()) if len(values) else float("nan")
    return out


def chunk_errors(made: Array, true: Array, kind: str, *, first: bool) -> Array:
    """(T,) mean distances of (T, P, 3) points, laid on the truth chunk by chunk.

    Parameters
    ----------
    kind : of the fit.
    first : fit the first two frames of each chunk alone (W-MPJPE), not all of it (WA-MPJPE).
    """
    out = np.zeros(len(made))
    for start in range(0, len(made), CHUNK):
        p, t = (one[start : start + CHUNK] for one in (made, true))
        fitted = slice(0, 2 if first else CHUNK)
        move = fit(p[fitted].reshape(1, -1, 3), t[fitted].reshape(1, -1, 3), kind)
        out[start : start + CHUNK] = distances(move(p.reshape(1, -1, 3)).reshape(p.shape), t).mean(axis=1)
    return out


def path_errors(made: Array, true: Array, kind: str) -> Array:
    """(T,) distances of two paths (T, 3), laid on each other as a whole, as shares of the length of the true one.

    NaN where that does not move.
    """
    length = np.linalg.norm(np.diff(true, axis=0), axis=1).sum()
    away = distances(fit(made[None], true[None], kind)(made[None]), true[None])[0]
    return np.asarray(away / length if length > 0 else np.full(len(true), np.nan))


def jitter(joints: Array, rate: float, count: int) -> Array:
    """(T,) m/s^3: the lengths of the third differences of joints (T, P, 3) that end in each frame, added up and divided
    by ``count``; NaN for the first three frames.
    """
    change = np.diff(joints, n=3, axis=0) * rate**3
    out = np.full(len(joints), np.nan)
    out[3:] = np.linalg.norm(change, axis=2).sum(axis=1) / count
    return out


def sliding(made: Array, true: Array) -> Array:
    """(T, F) metres by which points (T, F, 3) of predicted feet moved from the frame before, NaN where those of the
    truth do not stand."""
    moved, stands = (np.linalg.norm(np.diff(one, axis=0), axis=2) for one in (made, true))
    out = np.full(made.shape[:2], np.nan)
    out[1:] = np.where(stands < ON_GROUND, moved, np.nan)
    return out
