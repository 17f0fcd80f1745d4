"""The one-euro filter on rotations and values of tracks."""

from __future__ import annotations

import numpy as np

from ehps.body.rotations import to_axis_angle, to_matrix
from ehps.inference.smoothing import Smoother

NOTHING = np.zeros((0, 3))


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(to_axis_angle(to_matrix(a).transpose(0, 2, 1) @ to_matrix(b))))


def test_what_stands_still_stays_as_it_is() -> None:
    smoother, turn, values = Smoother(), np.array([[0.3, -0.2, 0.9]]), np.array([1.0, 2.0])
    for k in range(5):
        rotations, moved = smoother.smooth(1, k / 30, turn, values)
        assert np.allclose(rotations, turn)
        assert np.allclose(moved, values)


def test_noise_becomes_less_and_a_quick_move_is_followed() -> None:
    rng, smoother = np.random.default_rng(0), Smoother()
    noise = rng.normal(0, 0.02, 200)
    out = np.array([smoother.smooth(1, k / 30, NOTHING, noise[k : k + 1])[1][0] for k in range(200)])
    assert out[50:].std() < 0.8 * noise[50:].std()
    line = [smoother.smooth(2, k / 30, NOTHING, np.array([k / 3]))[1][0] for k in range(60)]
    assert abs(line[-1] - 59 / 3) < 0.5


def test_half_turns_are_crossed_on_the_short_way() -> None:
    """Axis-angle vectors of a turn a little under and over half a turn point opposite ways; the rotations are close."""
    smoother = Smoother()
    before, after = np.array([[0, 3.10, 0]]), np.array([[0, -3.10, 0]])
    smoother.smooth(1, 0, before, np.zeros(0))
    turned, _ = smoother.smooth(1, 1 / 30, after, np.zeros(0))
    assert angle(before, after) < 0.1
    assert angle(turned, before) < 0.1
    assert angle(turned, after) < 0.1


def test_times_count_and_tracks_are_apart() -> None:
    slow, fast = Smoother(), Smoother()
    for smoother, step in ((slow, 0.5), (fast, 0.01)):
        smoother.smooth(1, 0, NOTHING, np.zeros(1))
        smoother.smooth(2, 0, NOTHING, np.full(1, 9.0))
        assert smoother.smooth(2, step, NOTHING, np.full(1, 9.0))[1][0] == 9
    late = slow.smooth(1, 1.0, NOTHING, np.ones(1))[1][0]
    assert late > fast.smooth(1, 0.02, NOTHING, np.full(1, 0.001))[1][0] / 0.001 * 0.5
