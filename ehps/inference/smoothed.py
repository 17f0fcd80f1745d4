"""Predictions smoothed over time, row after row."""

from __future__ import annotations

import numpy as np

from ehps.body.topology import POSE_PARTS
from ehps.errors import UsageError
from ehps.humandata.core import HumanData
from ehps.inference.smoothing import Smoother


def smoothed(hd: HumanData, smoother: Smoother) -> HumanData:
    """The rows of a file with rotations, translation, shape and expression of each track smoothed.

    Translations lie in each box's own camera: what is smoothed is the translation as the box has it, so that the body
    stays where the box is.

    Parameters
    ----------
    smoother : knows the rows before; rows are in order of time.

    Raises
    ------
    UsageError : the file has no tracks and times.
    """
    if "meta/track_id" not in hd or "meta/time" not in hd:
        raise UsageError("only people in videos can be smoothed over time", path=hd.source, fix="leave out --smooth")
    body = hd.body_model
    assert body is not None
    turning = [f"{body}/{name}" for name in POSE_PARTS[body] if f"{body}/{name}" in hd]
    others = [f"{body}/{name}" for name in ("transl", "betas", "expression") if f"{body}/{name}" in hd]
    columns = {name: np.array(hd[name]) for name in (*turning, *others)}
    tracks, times = np.asarray(hd["meta/track_id"]), np.asarray(hd["meta/time"], float)
    for row, (track, time) in enumerate(zip(tracks.tolist(), times.tolist(), strict=True)):
        rotations = np.concatenate([columns[name][row].reshape(-1, 3) for name in turning])
        values = np.concatenate([columns[name][row].reshape(-1) for name in others])
        rotations, values = smoother.smooth(track, time, rotations, values)
        at = 0
        for name in turning:
            own = columns[name][row]
            own[...] = rotations[at : at + own.size // 3].reshape(own.shape)
            at += own.size // 3
        at = 0
        for name in others:
            own = columns[name][row]
            own[...] = values[at : at + own.size].reshape(own.shape)
            at += own.size
    out = hd.with_columns(columns)
    out.passport = hd.passport.with_(changes="smoothed over time by a one-euro filter")
    return out
