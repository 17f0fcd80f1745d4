"""Sizes and joints of the stand-in body: one person described by some twenty lengths and factors.

All numbers are invented (round figures of an average adult); nothing is measured on a licensed model. Only the
names and order of the joints and their parents follow SMPL-X, see :mod:`ehps.humandata.keypoints`.
Everything is built in the *floor frame*: metres, y up from the floor, facing +z, T-pose, the subject's left at
+x; :meth:`Anatomy.origin` says where the model file's origin lies in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from ehps.arrays import Array

PARENTS = (
    *(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15),
    *(20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38),
    *(21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53),
)
FINGERS = ("index", "middle", "pinky", "ring", "thumb")

# Per finger: offset of its three joints and its tip from the wrist of a left hand of size 1.
FINGER_JOINTS = {
    "index": ((0.096, 0.001, 0.027), (0.135, 0.000, 0.031), (0.159, -0.001, 0.033), (0.181, -0.003, 0.034)),
    "middle": ((0.098, 0.003, 0.005), (0.141, 0.002, 0.006), (0.168, 0.001, 0.007), (0.191, -0.001, 0.007)),
    "pinky": ((0.083, -0.003, -0.037), (0.113, -0.005, -0.044), (0.132, -0.006, -0.048), (0.151, -0.008, -0.051)),
    "ring": ((0.092, 0.001, -0.017), (0.132, 0.000, -0.020), (0.158, -0.001, -0.022), (0.180, -0.003, -0.023)),
    "thumb": ((0.022, -0.010, 0.027), (0.056, -0.016, 0.052), (0.083, -0.018, 0.065), (0.108, -0.021, 0.075)),
}


@dataclass(frozen=True)
class Anatomy:
    """A person's build. Factors are relative to an average adult of 1.70 m, lengths are metres.

    Attributes
    ----------
    stature : factor on everything.
    legs, torso, arms, shins : factors on lengths (``shins``: of knee-to-ankle and elbow-to-wrist only).
    shoulders, hips, waist : added to the half widths there.
    girth, muscle : factors on the thickness of everything / of limbs, shoulders and chest.
    belly, bust, glutes : added depth there.
    neck, head, face, hands, feet : factors; ``face`` is the width of jaw and cheeks, ``nose`` its length.
    hair, knot : thickness of the hair all over, and of a knot at the back.
    """

    stature: float = 1.0
    legs: float = 1.0
    torso: float = 1.0
    arms: float = 1.0
    shins: float = 1.0
    shoulders: float = 0.0
    hips: float = 0.0
    waist: float = 0.0
    girth: float = 1.0
    muscle: float = 1.0
    belly: float = 0.0
    bust: float = 0.0
    glutes: float = 0.0
    neck: float = 1.0
    head: float = 1.0
    face: float = 1.0
    nose: float = 1.0
    hair: float = 0.007
    knot: float = 0.0
    hands: float = 1.0
    feet: float = 1.0

    def plus(self, change: Mapping[str, float], amount: float = 1.0) -> Anatomy:
        """This build with ``amount`` times ``change`` added."""
        return replace(self, **{name: getattr(self, name) + amount * step for name, step in change.items()})

    def values(self) -> Array:
        """All sizes as one vector, in the order of the fields."""
        return np.array([getattr(self, f.name) for f in fields(self)])

    def hip_height(self) -> float:
        """Height of the hip joints above the floor."""
        return self.stature * (0.085 + self.legs * (0.40 + 0.375 * self.shins))

    def neck_height(self) -> float:
        """Height of the neck joint above the floor."""
        return self.hip_height() + self.stature * self.torso * 0.57

    def head_scale(self) -> float:
        """Size of head and neck: grows less than stature does."""
        return float(self.head * (0.5 + 0.5 * self.stature))

    def hand_scale(self) -> float:
        return float(self.hands * self.stature)

    def origin(self) -> Array:
        """(3,) where the model file's origin lies in the floor frame: in the upper chest."""
        hip, neck = self.hip_height(), self.neck_height()
        return np.array([-0.0015 * self.girth, hip + 0.80 * (neck - hip), -0.018 * self.girth])

    def joints(self) -> Array:
        """(55, 3) joint positions of the T-pose in the floor frame, SMPL-X order."""
        s, hip, neck = self.stature, self.hip_height(), self.neck_height()
        trunk = neck - hip
        knee, ankle = 0.085 * s + 0.375 * s * self.legs * self.shins, 0.085 * s
        shoulder_x = 0.168 * s + self.shoulders
        hip_x = 0.070 * s + 0.35 * self.hips
        foot_x = 0.098 * s + 0.2 * self.hips
        out = np.zeros((55, 3))
        out[0] = 0, hip + 0.150 * trunk, -0.012 * s
        out[3] = 0, hip + 0.330 * trunk, -0.022 * s
        out[6] = 0, hip + 0.560 * trunk, -0.020 * s
        out[9] = 0, hip + 0.660 * trunk, -0.008 * s
        out[12] = 0, neck, -0.028 * s
        head = neck + 0.090 * self.head_scale() * (0.5 + 0.5 * self.neck)
        out[15] = 0, head, -0.004 * s
        upper, lower = 0.255 * s * self.arms, 0.250 * s * self.arms * self.shins
        y = neck - 0.045 * s
        left = {
            1: (hip_x, hip, -0.006 * s),
            4: (0.5 * (hip_x + foot_x) + 0.008, knee, 0.000),
            7: (foot_x, ankle, -0.026 * s),
            10: (foot_x + 0.020 * s, 0.022 * s, 0.082 * s * self.feet),
            13: (0.060 * s + 0.2 * self.shoulders, y - 0.008 * s, -0.014 * s),
            16: (shoulder_x, y, -0.024 * s),
            18: (shoulder_x + upper, y - 0.004 * s, -0.034 * s),
            20: (shoulder_x + upper + lower, y, -0.022 * s),
        }
        for j, place in left.items():
            out[j] = place
            out[j + 1] = place[0] * -1, *place[1:]
        h = self.head_scale()
        out[22] = 0, head + 0.008 * h, 0.022 * h
        out[23] = eye_centre(self, head)
        out[24] = out[23] * (-1, 1, 1)
        for f, finger in enumerate(FINGERS):
            for k in range(3):
                offset = np.array(FINGER_JOINTS[finger][k]) * self.hand_scale()
                out[25 + 3 * f + k] = out[20] + offset
                out[40 + 3 * f + k] = out[21] + offset * (-1, 1, 1)
        return out

    def finger_tip(self, finger: str) -> Array:
        """(3,) tip of a finger of the left hand in the floor frame."""
        return self.joints()[20] + np.array(FINGER_JOINTS[finger][3]) * self.hand_scale()


def eye_centre(a: Anatomy, head_height: float) -> Array:
    """(3,) centre of the left eyeball, given the height of the head joint."""
    h = a.head_scale()
    return np.array([0.0315 * h, head_height + 0.0725 * h, 0.0625 * h])


NEUTRAL = Anatomy()
GENDERS: dict[str, Anatomy] = {
    "neutral": NEUTRAL,
    "male": NEUTRAL.plus(
        {
            **{"stature": 0.035, "shoulders": 0.020, "hips": -0.008, "waist": 0.006, "muscle": 0.09, "bust": -0.004},
            **{"neck": 0.10, "face": 0.03, "hands": 0.03, "feet": 0.03, "legs": 0.005, "nose": 0.08, "hair": -0.002},
        }
    ),
    "female": NEUTRAL.plus(
        {
            **{"stature": -0.042, "shoulders": -0.014, "hips": 0.014, "waist": -0.014, "muscle": -0.09},
            **{
                "bust": 0.034,
                "glutes": 0.014,
                "neck": -0.12,
                "face": -0.03,
                "hands": -0.03,
                "feet": -0.03,
                "hair": 0.003,
                "knot": 0.034,
            },
        }
    ),
}

# What one unit of each beta changes; sized so that betas ~ N(0, 1) give plausible people.
SHAPES: tuple[dict[str, float], ...] = (
    {"stature": 0.036, "girth": -0.015},
    {"girth": 0.085, "belly": 0.012, "hips": 0.004, "waist": 0.006, "face": 0.015},
    {"legs": 0.030, "torso": -0.020},
    {"shoulders": 0.009, "hips": -0.007, "muscle": 0.02},
    {"hips": 0.009, "glutes": 0.007, "waist": -0.004},
    {"belly": 0.016, "waist": 0.006},
    {"arms": 0.028},
    {"muscle": 0.065},
    {"bust": 0.009, "waist": -0.003},
    {"head": 0.026},
    {"neck": 0.06, "face": 0.01},
    {"hands": 0.030},
    {"feet": 0.032},
    {"face": 0.035},
    {"nose": 0.10, "face": -0.01},
    {"shins": 0.022, "legs": -0.006},
)
