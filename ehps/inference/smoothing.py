"""Smoothing over time: the one-euro filter (Casiez and others, CHI 2012) on rotations, translations and shapes.

The faster something moves, the less it is smoothed. Rotations are smoothed on their group: the step from the smoothed
rotation to the new one is shortened, not the numbers of an axis-angle vector. Each frame follows from those before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.body.rotations import to_axis_angle, to_matrix


@dataclass(frozen=True)
class OneEuro:
    """Parameters of the filter.

    Attributes
    ----------
    least : cutoff of what stands still, hertz.
    slope : by how much the cutoff grows with speed (radians or metres a second).
    speed : cutoff of the speed itself, hertz.
    """

    least: float = 1.5
    slope: float = 2.0
    speed: float = 1.0


@dataclass
class _State:
    time: float
    rotations: Array  # (J, 3, 3)
    values: Array  # (D,)
    turning: Array  # (J,) radians a second
    moving: Array  # (D,)


class Smoother:
    """Smooths the parameters of tracks, frame after frame."""

    def __init__(self, filter: OneEuro | None = None) -> None:
        self.filter = filter or OneEuro()
        self._states: dict[int, _State] = {}

    def smooth(self, track: int, time: float, rotations: Array, values: Array) -> tuple[Array, Array]:
        """The next ones of a track.

        Parameters
        ----------
        time : seconds, growing.
        rotations : (J, 3) axis-angle, radians.
        values : (D,) what is no rotation.

        Returns
        -------
        Both, smoothed.
        """
        turns, values = to_matrix(rotations), np.asarray(values, float)
        state = self._states.get(track)
        if state is None or time <= state.time:
            self._states[track] = _State(time, turns, values, np.zeros(len(turns)), np.zeros(len(values)))
            return np.asarray(rotations, float), values
        step = time - state.time
        away = to_axis_angle(state.rotations.transpose(0, 2, 1) @ turns)  # (J, 3) from the smoothed to the new
        turning = self._eased(state.turning, np.linalg.norm(away, axis=1) / step, self.filter.speed, step)
        moving = self._eased(state.moving, np.abs(values - state.values) / step, self.filter.speed, step)
        share = _share(self.filter.least + self.filter.slope * turning, step)
        turned = state.rotations @ to_matrix(away * share[:, None])
        share = _share(self.filter.least + self.filter.slope * moving, step)
        moved = state.values + share * (values - state.values)
        self._states[track] = _State(time, turned, moved, turning, moving)
        return to_axis_angle(turned), moved

    @staticmethod
    def _eased(before: Array, now: Array, cutoff: float, step: float) -> Array:
        return np.asarray(before + _share(cutoff, step) * (now - before))


def _share(cutoff: Array | float, step: float) -> Array:
    """How much of what is new a low-pass filter of a cutoff (hertz) takes in a step (seconds)."""
    turn = 2 * np.pi * np.asarray(cutoff) * step
    return np.asarray(turn / (turn + 1))
