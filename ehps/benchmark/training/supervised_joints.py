"""The 137 joints that SMPLer-X and SMPLest-X are trained on: 25 of the body, 20 a hand, 72 of the face.

Facts: the public SMPLer-X code. Its lists for the network and for the readers name the two eyeballs (67 and 68) in
opposite orders; here the joints of the prediction and of the truth are taken by one list, so the order means nothing.
"""

from __future__ import annotations

import torch

from ehps.humandata import keypoints

_OF_SMPLX = {name: i for i, name in enumerate(keypoints.CONVENTIONS["smplx"])}

SUPERVISED = torch.tensor([_OF_SMPLX[name] for name in keypoints.CONVENTIONS["smplx_137"]])
"""(137,) indices into the 144 joints of SMPL-X."""

BODY, LEFT_HAND, RIGHT_HAND, FACE = slice(0, 25), slice(25, 45), slice(45, 65), slice(65, 137)
PELVIS, NECK, LEFT_WRIST, RIGHT_WRIST = 0, 7, 12, 13

ROOT_OF = torch.full((137,), PELVIS)
"""(137,) which of them a joint is compared relative to."""
ROOT_OF[LEFT_HAND] = LEFT_WRIST
ROOT_OF[RIGHT_HAND] = RIGHT_WRIST
ROOT_OF[FACE] = NECK
