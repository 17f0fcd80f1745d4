"""The stand-in's trunk, arms, legs and feet: lofts along the bones, melted into one smooth surface.

Each part is a field, negative inside; the surface is where their smooth minimum is zero. Vertices start on rings
around the bones and slide onto it (:func:`settle`). Lengths in metres, floor frame. The numbers are round
figures of an average adult, see :mod:`ehps.body.standin.anatomy`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.anatomy import Anatomy

Field = Callable[[Array], Array]

# Height in the trunk (0 hip joints, 1 neck joint), half width, front, back (z).
TRUNK = np.array(
    [
        (-0.16, 0.150, 0.080, -0.090),
        (-0.10, 0.162, 0.086, -0.108),
        (-0.04, 0.169, 0.090, -0.120),
        (0.02, 0.171, 0.093, -0.124),
        (0.10, 0.165, 0.096, -0.114),
        (0.19, 0.151, 0.098, -0.098),
        (0.28, 0.139, 0.099, -0.086),
        (0.37, 0.134, 0.099, -0.083),
        (0.46, 0.137, 0.102, -0.089),
        (0.56, 0.146, 0.108, -0.101),
        (0.67, 0.157, 0.111, -0.113),
        (0.76, 0.163, 0.107, -0.119),
        (0.84, 0.160, 0.092, -0.117),
        (0.91, 0.142, 0.070, -0.108),
        (0.955, 0.112, 0.051, -0.099),
        (0.99, 0.079, 0.037, -0.089),
        (1.03, 0.061, 0.033, -0.079),
        (1.08, 0.0565, 0.036, -0.073),
        (1.13, 0.0560, 0.043, -0.070),
        (1.20, 0.0540, 0.048, -0.066),
    ]
)
# Place along the limb (0 upper joint, 1 middle joint, 2 end), half height and half depth, offset up and front.
ARM = np.array(
    [
        (-0.45, 0.040, 0.040, -0.010, 0.000),
        (-0.20, 0.054, 0.052, -0.006, 0.002),
        (0.05, 0.058, 0.055, -0.006, 0.002),
        (0.25, 0.0525, 0.051, -0.004, 0.002),
        (0.50, 0.0455, 0.0465, -0.001, 0.004),
        (0.75, 0.0420, 0.0425, 0.000, 0.003),
        (1.00, 0.0390, 0.0385, 0.000, 0.000),
        (1.22, 0.0410, 0.0430, 0.001, 0.003),
        (1.45, 0.0375, 0.0400, 0.001, 0.003),
        (1.70, 0.0300, 0.0340, 0.000, 0.001),
        (1.90, 0.0240, 0.0300, 0.000, 0.000),
        (2.00, 0.0215, 0.0290, 0.000, 0.000),
        (2.20, 0.0200, 0.0290, 0.000, 0.000),
    ]
)
# The same down the leg: half width and half depth, offset outwards and front.
LEG = np.array(
    [
        (-0.20, 0.080, 0.080, 0.018, -0.008),
        (0.00, 0.086, 0.093, 0.017, -0.008),
        (0.16, 0.085, 0.093, 0.015, -0.005),
        (0.35, 0.0785, 0.086, 0.012, 0.000),
        (0.60, 0.0675, 0.0735, 0.008, 0.002),
        (0.85, 0.0575, 0.0605, 0.003, 0.000),
        (1.00, 0.0530, 0.0565, 0.000, -0.001),
        (1.10, 0.0500, 0.0530, 0.000, -0.006),
        (1.30, 0.0540, 0.0575, 0.001, -0.012),
        (1.50, 0.0490, 0.0525, 0.000, -0.010),
        (1.75, 0.0365, 0.0415, -0.001, -0.002),
        (1.92, 0.0325, 0.0400, 0.000, 0.002),
        (2.10, 0.0330, 0.0420, 0.000, 0.004),
        (2.25, 0.0300, 0.0400, 0.000, 0.006),
    ]
)
# Along the foot (0 heel, 1 toes): half width, height of the top, offset outwards.
FOOT = np.array(
    [
        (0.00, 0.012, 0.042, 0.000),
        (0.05, 0.0235, 0.058, 0.000),
        (0.12, 0.0300, 0.075, 0.000),
        (0.25, 0.0320, 0.090, 0.001),
        (0.40, 0.0345, 0.080, 0.003),
        (0.55, 0.0400, 0.061, 0.007),
        (0.70, 0.0455, 0.044, 0.010),
        (0.82, 0.0455, 0.034, 0.009),
        (0.92, 0.0390, 0.028, 0.005),
        (0.98, 0.0260, 0.022, 0.001),
        (1.00, 0.0120, 0.017, 0.000),
    ]
)


@lru_cache(maxsize=8)
def _dense(key: str) -> tuple[Array, Array]:
    """A profile as 200 smoothly interpolated rows: places, values."""
    from scipy.interpolate import PchipInterpolator

    table = {"trunk": TRUNK, "arm": ARM, "leg": LEG, "foot": FOOT}[key]
    places = np.linspace(table[0, 0], table[-1, 0], 200)
    return places, np.asarray(PchipInterpolator(table[:, 0], table[:, 1:], axis=0)(places))


def profile(key: str, place: Array) -> list[Array]:
    """The columns of a profile at ``place``, constant beyond its ends."""
    places, values = _dense(key)
    return [np.interp(place, places, column) for column in values.T]


def bump(*scaled: Array) -> Array:
    """A bell of height 1 where all arguments are 0."""
    total = scaled[0] * scaled[0]
    for s in scaled[1:]:
        total = total + s * s
    return np.asarray(np.exp(-0.5 * total))


def ramp(x: Array, low: Array | float, high: Array | float) -> Array:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.minimum(np.maximum((x - low) / (high - low), 0), 1)  # half the time of clip
    return np.asarray(t * t * (3 - 2 * t))


def melt(a: Array, b: Array, width: float) -> Array:
    """Smooth minimum of two fields; they round each other off where they differ by less than ``width``."""
    h = np.maximum(width - np.abs(a - b), 0) / width
    return np.asarray(np.minimum(a, b) - 0.25 * width * h * h)


class Trunk:
    """The field of everything but head and hands for one build."""

    def __init__(self, a: Anatomy) -> None:
        self.a, self.joints = a, a.joints()
        self.hip, self.neck = a.hip_height(), a.neck_height()

    def trunk_section(self, y: Array) -> tuple[Array, Array, Array]:
        """Half width, front and back of the trunk and neck at heights ``y``."""
        a, s = self.a, self.a.stature
        place = (y - self.hip) / (self.neck - self.hip)
        # Beyond the neck joint, lengths go with the size of the head.
        place = np.where(place > 1, 1 + (y - self.neck) / (0.57 * a.head_scale()), place)
        width, front, back = (s * v for v in profile("trunk", place))
        low, high = ramp(place, 0.98, 0.70), ramp(place, 0.94, 1.06)
        girth = 1 + (a.girth - 1) * (0.25 + 0.75 * low)
        neck = 1 + (a.neck * np.sqrt(a.muscle * a.head_scale() / s) - 1) * high
        chest = 1 + 0.5 * (a.muscle - 1) * bump((place - 0.8) / 0.2)
        width = width * girth * neck * chest
        width = width + a.hips * bump((place - 0.02) / 0.17) + a.waist * bump((place - 0.38) / 0.13)
        width = width + a.shoulders * 0.85 * bump((place - 0.84) / 0.11)
        middle = -0.018 * s
        return width, middle + (front - middle) * girth * neck * chest, middle + (back - middle) * girth * neck * chest

    def trunk(self, p: Array) -> Array:
        a, s = self.a, self.a.stature
        x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
        width, front, back = self.trunk_section(y)
        middle = 0.5 * (front + back)
        depth = 0.5 * (front - back)
        power = 2.0 + 0.5 * bump((y - self.hip - 0.45 * (self.neck - self.hip)) / (0.3 * s))
        radius = ((x / width) ** power + (np.abs(z - middle) / depth) ** power) ** (1 / power)
        field = (radius - 1) * 0.8 * np.minimum(width, depth)
        u = (y - self.hip) / (self.neck - self.hip)
        ahead, behind = ramp(z - middle, -0.01, 0.06), ramp(z - middle, 0.01, -0.06)
        top = (u - 0.69) / np.where(u > 0.69, 0.095, 0.055)
        field = field - ahead * (max(a.bust, 0) + 0.003) * 1.15 * bump((x - 0.076 * s) / (0.045 * s), top)
        pecs = 0.010 + 0.07 * (a.muscle - 1)
        field = field - ahead * max(pecs, 0) * bump((x - 0.072 * s) / (0.050 * s), (u - 0.76) / 0.07)
        field = field - ahead * (a.belly + 0.004) * bump(x / (0.10 * s), (u - 0.24) / 0.15)
        field = field - behind * (a.glutes + 0.016) * bump((x - 0.072 * s) / (0.050 * s), (u - 0.00) / 0.095)
        field = field + behind * 0.007 * bump(x / (0.016 * s), (u - 0.50) / 0.22)
        field = field + behind * 0.012 * bump(x / (0.012 * s), (u + 0.02) / 0.09)
        field = field - behind * 0.006 * bump((x - 0.085 * s) / (0.04 * s), (u - 0.80) / 0.08)
        bone = u - 0.945 - 0.25 * (x - 0.06 * s)
        field = field - ahead * 0.0045 * bump((x - 0.07 * s) / (0.05 * s), bone / 0.016)
        return np.asarray(field + 0.9 * np.maximum(-0.10 - u, 0) * (self.neck - self.hip))

    def arm(self, p: Array) -> Array:
        place, centre, (high, deep) = self.arm_section(p[:, 0])
        y, z = (p[:, 1] - centre[:, 1]) / high, (p[:, 2] - centre[:, 2]) / deep
        beyond = np.maximum(-0.45 - place, 0) + np.maximum(place - 2.1, 0)
        return (np.hypot(y, z) - 1) * np.minimum(high, deep) + beyond * 0.3

    def arm_section(self, x: Array) -> tuple[Array, Array, tuple[Array, Array]]:
        """Place along the left arm, axis and half sizes (up, front) at ``x``."""
        shoulder, elbow, wrist = self.joints[[16, 18, 20]]
        place = np.where(
            x < elbow[0],
            (x - shoulder[0]) / (elbow[0] - shoulder[0]),
            1 + (x - elbow[0]) / (wrist[0] - elbow[0]),
        )
        high, deep, up, ahead = (self.a.stature * v for v in profile("arm", place))
        fat = self.limb(place, 1.75)
        along = np.clip(np.stack([1 - place, np.minimum(place, 2 - place), place - 1], 1), 0, 1)
        axis = along @ np.stack([shoulder, elbow, wrist])
        axis[:, 0] = x
        axis[:, 1] += up
        axis[:, 2] += ahead
        return place, axis, (high * fat, deep * fat)

    def leg(self, p: Array) -> Array:
        place, centre, (wide, deep) = self.leg_section(p[:, 1])
        x, z = (p[:, 0] - centre[:, 0]) / wide, (p[:, 2] - centre[:, 2]) / deep
        beyond = np.maximum(-0.20 - place, 0) + np.maximum(place - 2.1, 0)
        field = (np.hypot(x, z) - 1) * np.minimum(wide, deep) + beyond * 0.3
        cap = 0.006 * bump((place - 0.99) / 0.07, x / 0.5) * ramp(z, 0, 0.7)
        return np.asarray(field - cap)

    def leg_section(self, y: Array) -> tuple[Array, Array, tuple[Array, Array]]:
        """Place down the left leg, axis and half sizes (outwards, front) at heights ``y``."""
        hip, knee, ankle = self.joints[[1, 4, 7]]
        place = np.where(y > knee[1], (hip[1] - y) / (hip[1] - knee[1]), 1 + (knee[1] - y) / (knee[1] - ankle[1]))
        wide, deep, out, ahead = (self.a.stature * v for v in profile("leg", place))
        fat = self.limb(place, 1.8) * (1 + 4.0 * self.a.hips * ramp(place, 1.1, 0.2))
        along = np.clip(np.stack([1 - place, np.minimum(place, 2 - place), place - 1], 1), 0, 1)
        axis = along @ np.stack([hip, knee, ankle])
        axis[:, 0] += out * fat
        axis[:, 1] = y
        axis[:, 2] += ahead
        return place, axis, (wide * fat, deep * fat)

    def limb(self, place: Array, thin: float) -> Array:
        """Thickness factor along a limb: hands and feet hardly grow fat."""
        thick = 1 + (self.a.girth * self.a.muscle - 1) * (1 - 0.75 * ramp(place, 0.9, thin + 0.2))
        return np.asarray(thick)

    def foot_line(self) -> tuple[float, float, float]:
        """Heel and toe z, and x of the foot's middle."""
        ankle, ball = self.joints[[7, 10]]
        length = 0.252 * self.a.stature * self.a.feet
        heel = ankle[2] - 0.052 * self.a.stature * self.a.feet
        return float(heel), float(heel + length), float(ankle[0] + 0 * ball[0])

    def foot_section(self, z: Array) -> tuple[Array, Array, Array, Array]:
        """Place along the left foot, its middle x, half width and height of the top at ``z``."""
        heel, toe, x = self.foot_line()
        place = (z - heel) / (toe - heel)
        wide, top, out = (self.a.stature * v for v in profile("foot", place))
        return place, x + out, wide * np.sqrt(self.a.feet), top

    def foot(self, p: Array) -> Array:
        # The big toe, on the inner side, reaches farther than the small one.
        heel, toe, middle = self.foot_line()
        along = np.clip((p[:, 2] - heel) / (toe - heel), 0, 1)
        slant = p[:, 2] + 0.55 * np.maximum(p[:, 0] - middle + 0.012, 0) * ramp(along, 0.45, 0.9)
        place, x, wide, top = self.foot_section(slant)
        side, up = (p[:, 0] - x) / wide, (p[:, 1] - 0.5 * top) / (0.5 * top)
        power = 2.6
        radius = (np.abs(side) ** power + np.abs(up) ** power) ** (1 / power)
        beyond = np.maximum(-place, 0) + np.maximum(place - 1, 0)
        arch = 0.010 * bump((place - 0.45) / 0.14) * ramp(side, 0.0, -1.0) * ramp(up, 0.2, -0.8)
        gaps = (
            0.0025
            * ramp(place, 0.84, 0.95)
            * ramp(up, -0.2, 0.5)
            * (0.5 - 0.5 * np.cos(2 * np.pi * (side * 2.3 + 0.12)))
        )
        return np.asarray((radius - 1) * np.minimum(wide, 0.5 * top) + beyond * 0.25 + arch + gaps)

    def __call__(self, p: Array) -> Array:
        """(n,) field at points (n, 3) of the left half; negative inside."""
        s = self.a.stature
        body = melt(self.trunk(p), self.arm(p), 0.050 * s)
        body = melt(body, self.leg(p), 0.035 * s)
        return melt(body, self.foot(p), 0.030 * s)


def settle(field: Field, points: Array, steps: int = 6, limit: float = 0.02) -> Array:
    """Slide points (n, 3) along the field's gradient onto its zero surface; ``limit`` metres a step at most.

    The gradient, the costly part, is taken anew in every other step.
    """
    for step in range(steps):
        value = field(points)
        if step % 2 == 0:
            shifted = points + 1e-4 * np.eye(3)[:, None]  # 3 x n x 3
            slope = (field(shifted.reshape(-1, 3)).reshape(3, -1) - value).T / 1e-4
            slope /= np.maximum((slope**2).sum(1, keepdims=True), 0.05)
        move = value[:, None] * slope
        size = np.linalg.norm(move, axis=1, keepdims=True)
        points = points - move * np.minimum(1, limit / np.maximum(size, 1e-12))
    return points
