"""BVH: bones and their rotations, one file a person. Centimetres, degrees, y up; rotations in the order z, x, y.

The format knows one time between frames. Rotations of people whose times are not evenly apart, or who are away for
a while, are interpolated to even steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.body.rotations import to_axis_angle, to_matrix
from ehps.exchange.forms import Sources, Written
from ehps.exchange.skeletons import CAMERA_TO_Y_UP, DEPTHS, Animated, animated, need_models
from ehps.exchange.tracks import EvenSteps, FileNames, beginnings, even_steps, tracks_of
from ehps.humandata import frames
from ehps.humandata.core import HumanData

CENTIMETRES = 100
TIP = 0.05  # metres: length of bones that nothing follows


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write each person of ``hd`` as ``<sequence>_<person>.bvh`` in the folder ``out``.

    Raises
    ------
    UsageError : body models or the times of the images are not known.
    DataError, PassportError : there are no bodies in the camera frame.
    """
    models = need_models(sources.body_models, "BVH")
    frames.required(hd, "BVH")
    out.mkdir(parents=True, exist_ok=True)
    done, uneven, later, widest, names = Written(), 0, 0, 0.0, FileNames()
    for track in tracks_of(hd, sources.fps):
        person = animated(hd, track, models)
        steps = even_steps(track.times)
        uneven += steps.times is not track.times
        widest = max(widest, person.shape_range)
        later += track.times[0] > 0
        path = out / f"{names.of(track.sequence, track.name)}.bvh"
        with replacing(path) as temporary:
            temporary.write_text(_hierarchy(person) + _motion(person, steps), encoding="ascii")
        done.files.append(path)
    done.left_out.append("surfaces, expressions, cameras, boxes and keypoints: a BVH file has bones only")
    if widest > 0:
        done.left_out.append(f"shapes that change in time (by up to {1000 * widest:.1f} mm): bones are of the mean one")
    if later:
        done.left_out.append(beginnings(later))
    if uneven:
        done.left_out.append(f"the times of {uneven} people, which are not evenly apart: rotations were interpolated")
    if hd.passport.focal == "virtual":
        done.left_out.append(DEPTHS)
    return done


def _hierarchy(person: Animated) -> str:
    lines = ["HIERARCHY"]

    def bone(number: int, depth: int) -> None:
        tab = "\t" * depth
        parent = int(person.parents[number])
        offset = np.zeros(3) if parent < 0 else person.joints[number] - person.joints[parent]
        lines.append(f"{tab}{'ROOT' if parent < 0 else 'JOINT'} {person.bones[number]}")
        lines.append(f"{tab}{{")
        lines.append(f"{tab}\tOFFSET {_numbers(offset * CENTIMETRES)}")
        places = "6 Xposition Yposition Zposition" if parent < 0 else "3"
        lines.append(f"{tab}\tCHANNELS {places} Zrotation Xrotation Yrotation")
        children = np.flatnonzero(person.parents == number)
        for child in children:
            bone(int(child), depth + 1)
        if not len(children):
            length = np.linalg.norm(offset)
            tip = offset / length * min(TIP, float(length)) if length > 0 else np.array([0, TIP, 0])
            lines.append(f"{tab}\tEnd Site\n{tab}\t{{\n{tab}\t\tOFFSET {_numbers(tip * CENTIMETRES)}\n{tab}\t}}")
        lines.append(f"{tab}}}")

    bone(0, 0)
    return "\n".join(lines) + "\n"


def _motion(person: Animated, steps: EvenSteps) -> str:
    """Channels in the order of the hierarchy, which goes into the depth."""
    from scipy.spatial.transform import Rotation

    order: list[int] = []

    def visit(number: int) -> None:
        order.append(number)
        for child in np.flatnonzero(person.parents == number):
            visit(int(child))

    visit(0)
    turned = to_matrix(steps.rotations(to_axis_angle(person.rotations[:, order])))  # S x J x 3 x 3
    turned[:, 0] = CAMERA_TO_Y_UP @ turned[:, 0]
    angles = Rotation.from_matrix(turned.reshape(-1, 3, 3)).as_euler("ZXY", degrees=True).reshape(len(turned), -1)
    values = np.concatenate([steps.points(person.pelvis) @ CAMERA_TO_Y_UP * CENTIMETRES, angles], axis=1)
    rows = "\n".join(_numbers(row) for row in values)
    return f"MOTION\nFrames: {len(values)}\nFrame Time: {1 / steps.rate:.8f}\n{rows}\n"


def _numbers(values: Array) -> str:
    return " ".join(f"{value:.6f}" for value in values)
