"""The stand-in's head: a loft from the neck to the crown with a face in relief, patches for eyes, mouth and ears.

Lengths in metres for a head of size 1: y from the head joint up, z from the spine's axis forward; left is +x. The
numbers are invented round figures, drawn by hand until the thing looked like a face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.anatomy import Anatomy
from ehps.body.standin.trunk import Trunk, bump, ramp

EYE = np.array([0.0315, 0.0725, 0.0625])
EYEBALL = 0.0132
MOUTH_HEIGHT = 0.0055
EAR = np.array([0.062, -0.014])

# Along the profile (0 neck, 1 crown): front y, z; side y, x; back y, z.
FRONT = np.array(
    [
        (0.00, -0.066, 0.040),
        (0.04, -0.053, 0.041),
        (0.08, -0.045, 0.050),
        (0.12, -0.0415, 0.064),
        (0.16, -0.039, 0.076),
        (0.20, -0.033, 0.0845),
        (0.25, -0.022, 0.0875),
        (0.30, -0.010, 0.0865),
        (0.35, 0.001, 0.0885),
        (0.40, 0.012, 0.0905),
        (0.45, 0.024, 0.0900),
        (0.50, 0.036, 0.0890),
        (0.55, 0.050, 0.0880),
        (0.60, 0.064, 0.0875),
        (0.65, 0.078, 0.0890),
        (0.70, 0.092, 0.0935),
        (0.75, 0.108, 0.0960),
        (0.80, 0.128, 0.0925),
        (0.85, 0.147, 0.0810),
        (0.90, 0.164, 0.0600),
        (0.95, 0.175, 0.0320),
        (1.00, 0.179, -0.005),
    ]
)
SIDE = np.array(
    [
        (0.00, -0.060, 0.0555),
        (0.06, -0.046, 0.0530),
        (0.12, -0.035, 0.0525),
        (0.20, -0.020, 0.0555),
        (0.30, 0.000, 0.0605),
        (0.40, 0.018, 0.0655),
        (0.50, 0.036, 0.0695),
        (0.60, 0.058, 0.0725),
        (0.70, 0.085, 0.0755),
        (0.80, 0.118, 0.0730),
        (0.87, 0.145, 0.0625),
        (0.93, 0.165, 0.0440),
        (0.97, 0.175, 0.0240),
        (1.00, 0.179, 0.0000),
    ]
)
BACK = np.array(
    [
        (0.00, -0.044, -0.071),
        (0.10, -0.025, -0.074),
        (0.20, -0.006, -0.080),
        (0.30, 0.013, -0.088),
        (0.40, 0.031, -0.0970),
        (0.50, 0.048, -0.1030),
        (0.60, 0.066, -0.1065),
        (0.70, 0.090, -0.1065),
        (0.80, 0.121, -0.0975),
        (0.87, 0.146, -0.0810),
        (0.93, 0.165, -0.0570),
        (0.97, 0.175, -0.0330),
        (1.00, 0.179, -0.005),
    ]
)
# Height, how far the ridge of the nose stands out, its half width.
NOSE = np.array(
    [
        (0.012, 0.0000, 0.0110),
        (0.0195, 0.0000, 0.0115),
        (0.0235, 0.0040, 0.0120),
        (0.0270, 0.0125, 0.0115),
        (0.0310, 0.0195, 0.0105),
        (0.0360, 0.0230, 0.0095),
        (0.0410, 0.0225, 0.0085),
        (0.0480, 0.0185, 0.0073),
        (0.0560, 0.0140, 0.0066),
        (0.0650, 0.0090, 0.0062),
        (0.0740, 0.0045, 0.0062),
        (0.0850, 0.0010, 0.0070),
        (0.0950, 0.0000, 0.0080),
    ]
)


@lru_cache(maxsize=1)
def _profiles() -> tuple[Array, Array]:
    from scipy.interpolate import PchipInterpolator
    from scipy.ndimage import gaussian_filter1d

    s = np.linspace(0, 1, 400)
    columns = [PchipInterpolator(t[:, 0], t[:, 1:], axis=0)(s) for t in (FRONT, SIDE, BACK)]
    table = np.concatenate(columns, axis=1)
    smooth = gaussian_filter1d(table, 7.0, axis=0, mode="nearest")
    inner = ramp(s, 0.0, 0.04) * ramp(s, 1.0, 0.94)
    return s, table + inner[:, None] * (smooth - table)


@lru_cache(maxsize=1)
def _nose() -> tuple[Array, Array]:
    from scipy.interpolate import PchipInterpolator

    y = np.linspace(NOSE[0, 0], NOSE[-1, 0], 200)
    return y, np.asarray(PchipInterpolator(NOSE[:, 0], NOSE[:, 1:], axis=0)(y))


@dataclass(frozen=True, eq=False)
class Skull:
    """The surface of the head of one build, without eyes, mouth and ears."""

    a: Anatomy
    neck: Trunk

    @property
    def base(self) -> Array:
        """(3,) the head joint."""
        return np.asarray(self.neck.joints[15])

    def world(self, p: Array) -> Array:
        """Places in the floor frame of points in head coordinates."""
        return np.asarray(self.base * (0, 1, 0) + p * self.a.head_scale() + (0, 0, self.base[2] + 0.004))

    def loft(self, azimuth: Array, s: Array) -> Array:
        """(..., 3) head coordinates at azimuth (0 front, pi / 2 left) and profile place s, with the face's relief."""
        places, table = _profiles()
        yf, zf, ys, xs, yb, zb = (np.interp(s, places, c) for c in table.T)
        near = ramp(s, 0.14, 0.0)
        h = self.a.head_scale()
        cosine, sine = np.cos(azimuth), np.sin(azimuth)
        y = ys + 0.5 * (yf - yb) * cosine + (0.5 * (yf + yb) - ys) * cosine**2
        width, front, back = self.neck.trunk_section(self.base[1] + y * h)
        shift = self.base[2] + 0.004
        xs = xs * (1 + (self.a.face - 1) * ramp(s, 0.9, 0.5))
        xs, zf, zb = (
            (1 - near) * v + near * w for v, w in ((xs, width / h), (zf, (front - shift) / h), (zb, (back - shift) / h))
        )
        middle = (1 - near) * -0.012 * ramp(s, 0.0, 0.2) + near * 0.5 * (zf + zb)
        power = np.where(cosine > 0, 1.98 + 0.34 * bump((s - 0.74) / 0.15) - 0.36 * bump((s - 0.20) / 0.12), 2.1)
        radius = (np.abs(sine) ** power + np.abs(cosine) ** power) ** (-1 / power)
        x = xs * sine * radius
        z = middle + np.where(cosine > 0, zf - middle, middle - zb) * cosine * radius
        ahead = ramp(cosine, 0.15, 0.6) * (1 - near)
        p = np.stack([x, y, z], -1)
        p[..., 2] += ahead * self.relief(x, y)
        return self.hair(p, azimuth, s)

    def relief(self, x: Array, y: Array) -> Array:
        """How far the face stands out at (x, y), metres of a head of size 1."""
        x = np.abs(x)
        places, table = _nose()
        ridge, half = (np.interp(y, places, c) for c in table.T)
        out = self.a.nose * ridge * np.exp(-0.5 * (x / half) ** 2.4)
        out = out + 0.0075 * bump((x - 0.0125) / 0.0042, (y - 0.0315) / 0.0052)
        out = out - 0.0050 * bump((x - 0.0062) / 0.0030, (y - 0.0262) / 0.0024)
        out = out - 0.0095 * bump((x - EYE[0]) / 0.0150, (y - EYE[1]) / 0.0105)
        out = out - 0.0030 * bump((x - 0.0150) / 0.0050, (y - 0.0745) / 0.0080)
        out = out + 0.0045 * bump((x - 0.0300) / 0.0170, (y - self.brow(x)) / 0.0065)
        out = out + 0.0050 * bump((x - 0.0430) / 0.0150, (y - 0.0440) / 0.0150)
        out = out - 0.0030 * bump((x - 0.0470) / 0.0140, (y - 0.0080) / 0.0180)
        fold = x - (0.0190 + 0.55 * (0.030 - y))
        out = out - 0.0014 * bump(fold / 0.0032, (y - 0.016) / 0.011)
        out = out - 0.0010 * bump(x / 0.0028, (y - 0.0185) / 0.0050)
        out = out + 0.0048 * bump(x / 0.0140, (y + 0.0260) / 0.0095)
        out = out - 0.0026 * bump(x / 0.0170, (y + 0.0100) / 0.0045)
        return np.asarray(out + 0.0022 * bump((x - 0.0) / 0.030, (y - MOUTH_HEIGHT) / 0.014))

    @staticmethod
    def brow(x: Array) -> Array:
        """Height of the eyebrow's middle line at distance ``x`` from the middle."""
        t = (np.abs(x) - 0.030) / 0.018
        return np.asarray(0.0935 + 0.0008 * t - 0.0028 * t**2)

    def hair(self, p: Array, azimuth: Array, s: Array) -> Array:
        """The head with hair of the build's thickness."""
        cover = hairline(p)
        centre = np.array([0, 0.075, -0.01])
        out = p - centre
        length = np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-6)
        thick = self.a.hair * ramp(cover, 0.0, 0.022) * (1 + 0.12 * np.sin(9 * azimuth) * np.sin(azimuth) ** 2)
        away = (p[..., 0] ** 2 + (p[..., 1] - 0.112) ** 2) / 0.030**2
        knot = self.a.knot * np.exp(-(away**2)) * ramp(p[..., 2], -0.03, -0.07)
        return np.asarray(p + out / length * (thick + knot)[..., None])

    def meet(self, first: Array, second: Array, axes: tuple[int, int]) -> Array:
        """(..., 3) points of the surface whose coordinates ``axes`` are given: x, y on the face; z, y on the side."""
        azimuth = np.where(axes == (0, 1), first / 0.07, np.pi / 2 - first / 0.1)
        s = np.interp(second, FRONT[:, 1], FRONT[:, 0]) if axes == (0, 1) else np.interp(second, SIDE[:, 1], SIDE[:, 0])
        for step in range(5):
            if step in (0, 1, 3):  # the derivatives, the costly part, need not be fresh in every step
                shift = 1e-4 * np.array([[0, 0], [1, 0], [0, 1]]).reshape(3, 2, *[1] * azimuth.ndim)
                here, right, up = self.loft(azimuth + shift[:, 0], s + shift[:, 1])
                a, b = ((moved - here)[..., list(axes)] / 1e-4 for moved in (right, up))
                scale = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
            else:
                here = self.loft(azimuth, s)
            miss = np.stack([first, second], -1) - here[..., list(axes)]
            azimuth = azimuth + np.clip((miss[..., 0] * b[..., 1] - miss[..., 1] * b[..., 0]) / scale, -0.1, 0.1)
            s = s + np.clip((a[..., 0] * miss[..., 1] - a[..., 1] * miss[..., 0]) / scale, -0.03, 0.03)
        return self.loft(azimuth, s)


# Azimuth in degrees from the front, height of the hair's edge.
HAIRLINE = np.array(
    [
        (0, 0.1290),
        (20, 0.1310),
        (36, 0.1250),
        (48, 0.1080),
        (60, 0.0860),
        (70, 0.0660),
        (80, 0.0540),
        (95, 0.0500),
        (112, 0.0300),
        (130, 0.0050),
        (155, -0.0060),
        (180, -0.0080),
    ]
)


def hairline(p: Array) -> Array:
    """How far inside the hair a point of the head lies, metres; negative on bare skin."""
    azimuth = np.degrees(np.arctan2(np.abs(p[..., 0]), p[..., 2] + 0.012))
    return np.asarray(p[..., 1] - np.interp(azimuth, *_hairline()))


@lru_cache(maxsize=1)
def _hairline() -> tuple[Array, Array]:
    from scipy.interpolate import PchipInterpolator

    azimuth = np.linspace(0, 180, 100)
    return azimuth, np.asarray(PchipInterpolator(HAIRLINE[:, 0], HAIRLINE[:, 1])(azimuth))
