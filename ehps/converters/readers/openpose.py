"""OpenPose's points of body, hands and face under names of their own.

Those of the body are ``*_openpose``: the middle of its hips is not SMPL's pelvis, nor its shoulders SMPL's. Hands and
face have the names of ``openpose_137``. The hands' own wrists are left out: they are second detections of the body's.
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.converters.readers import raw_files
from ehps.humandata.keypoints import point_names

BODY_25 = point_names("openpose_25")
HAND_WRISTS = (25, 46)  # of the 137
POINTS = (*BODY_25, *(name for k, name in enumerate(raw_files.OPENPOSE_137) if k >= 25 and k not in HAND_WRISTS))
MID_HIP = 8
UNREADABLE = "2D points cannot be read"
SOURCE = "OpenPose: body as openpose_25, hands and face as openpose_137"


def without_hand_wrists(points: Array) -> Array:
    """The (..., 135, 3) points called :data:`POINTS` of (..., 137, 3)."""
    return np.delete(points, HAND_WRISTS, axis=-2)
