"""What is compared with joints and labels of datasets, computed a second time: pixel by pixel, person by person.

Written from the published descriptions, as :mod:`tests.benchmark.protocols.reference`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from ehps.humandata.core import HumanData
from tests.benchmark.protocols.reference import LSP14, Bodies, Body, Numbers, distances, fitted, mean_of

PART_OF = {
    15: 1,
    17: 3,
    19: 3,
    21: 3,
    23: 3,
    16: 4,
    18: 4,
    20: 4,
    22: 4,
    2: 5,
    5: 5,
    8: 5,
    11: 5,
    1: 6,
    4: 6,
    7: 6,
    10: 6,
}
"""Part of each joint of SMPL; the others are of the torso, 2."""
COCO_FACE = {0: 332, 1: 2800, 2: 6260, 3: 583, 4: 4071}  # nose, left eye, right eye, left ear, right ear: vertices
COCO_JOINTS = {5: 16, 6: 17, 7: 18, 8: 19, 9: 20, 10: 21, 13: 4, 14: 5, 15: 7, 16: 8}
SIGMA = [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062]
SIGMA += [0.107, 0.107, 0.087, 0.087, 0.089, 0.089]


def given_joints(joints: np.ndarray, mesh: np.ndarray, regressor: np.ndarray) -> Numbers:
    """Of one person: joints in the order of Human3.6M's regressor, and the predicted mesh."""
    made = regressor @ mesh
    made, true = (made - made[0])[LSP14], (joints - joints[0])[LSP14]
    return {
        ("body", "MPJPE"): mean_of(distances(made, true).tolist()),
        ("body", "PA-MPJPE"): mean_of(distances(fitted(made, true), true).tolist()),
    }


def shape_error(bodies: Bodies, made: HumanData, i: int, truth: HumanData, row: int) -> float:
    """PVE-T-SC in mm."""
    gender = truth["meta/gender"].tolist()[row]
    meshes = []
    for hd, at in ((made, i), (truth, row)):
        still = hd.with_columns(
            {f"smpl/{name}": np.zeros_like(hd[f"smpl/{name}"]) for name in ("global_orient", "body_pose")}
        )
        mesh = bodies.of(still, at, "smpl", gender=gender, betas=hd["smpl/betas"][at]).mesh
        meshes.append(mesh - mesh.mean(axis=0))
    mine, true = meshes
    size = [float(np.sqrt(sum((point**2).sum() for point in mesh) / len(mesh))) for mesh in meshes]
    return mean_of(distances(mine * size[1] / size[0], true).tolist())


def drawn(
    mesh: np.ndarray, faces: np.ndarray, labels: Sequence[int], size: tuple[int, int], f: float, c: np.ndarray
) -> np.ndarray:
    """(H, W) label of the nearest triangle of each pixel, 0 where there is none: all triangles, one after the other."""
    out, nearest = np.zeros(size, int), np.full(size, np.inf)
    xy = mesh[:, :2] / mesh[:, 2:] * f + c
    for face, label in zip(faces, labels, strict=True):
        (ax, ay), (bx, by), (cx, cy) = xy[face]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        xs = np.arange(max(0, int(np.ceil(min(ax, bx, cx)))), min(size[1] - 1, int(max(ax, bx, cx))) + 1)
        ys = np.arange(max(0, int(np.ceil(min(ay, by, cy)))), min(size[0] - 1, int(max(ay, by, cy))) + 1)
        for y, x in product(ys.tolist(), xs.tolist()):
            v = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
            w = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
            if v < 0 or w < 0 or v + w > 1:
                continue
            z = 1 / ((1 - v - w) / mesh[face[0], 2] + v / mesh[face[1], 2] + w / mesh[face[2], 2])
            if z < nearest[y, x]:
                nearest[y, x], out[y, x] = z, label
    return out


def parts_of(bodies: Bodies) -> list[int]:
    """Part of each face of SMPL: that of two of its corners, or of the first."""
    model = bodies.models.get("smpl", "neutral")
    own = [PART_OF.get(int(joint), 2) for joint in np.asarray(model.weights).argmax(axis=1)]
    out = []
    for face in np.asarray(model.faces).tolist():
        a, b, c = (own[corner] for corner in face)
        out.append(b if b == c else a)
    return out


def segmentation(true: Sequence[np.ndarray], made: Sequence[np.ndarray], classes: int) -> tuple[float, float]:
    """Accuracy and F1 over all images; 255 in the truth is ignored, or background for the accuracy."""
    equal = pixels = 0
    tp, fp, fn = np.zeros(classes), np.zeros(classes), np.zeros(classes)
    for t, m in zip(true, made, strict=True):
        equal += int((np.where(t == 255, 0, t) == m).sum())
        pixels += t.size
        for label in range(classes):
            is_true, is_made = t == label, (m == label) & (t != 255)
            tp[label] += (is_true & is_made).sum()
            fp[label] += (~is_true & is_made).sum()
            fn[label] += (is_true & ~(m == label)).sum()
    return 100 * equal / pixels, mean_of([2 * p / (2 * p + q + r) for p, q, r in zip(tp, fp, fn, strict=True)])


def coco_points(bodies: Bodies, body: Body) -> np.ndarray:
    """(17, 3) of a SMPL body."""
    extra = np.load(bodies.models.folder / "J_regressor_extra.npy")
    points = np.zeros((17, 3))
    for number, vertex in COCO_FACE.items():
        points[number] = body.mesh[vertex]
    for number, joint in COCO_JOINTS.items():
        points[number] = body.joints[joint]
    points[11], points[12] = extra[1] @ body.mesh, extra[0] @ body.mesh
    return points


def oks(made: np.ndarray, true: np.ndarray, area: float) -> float:
    """Object keypoint similarity of one prediction and one labelled person."""
    shares = []
    for (x, y), (tx, ty, labelled), sigma in zip(made, true, SIGMA, strict=True):
        if labelled > 0:
            shares.append(float(np.exp(-((x - tx) ** 2 + (y - ty) ** 2) / (2 * area * (2 * sigma) ** 2))))
    return mean_of(shares)


def average_precision(
    images: Sequence[str], made: np.ndarray, true: np.ndarray, area: np.ndarray, low: float = 0, high: float = np.inf
) -> dict[float, tuple[float, float]]:
    """Threshold -> average precision and recall, where every person has a prediction of the same score.

    People whose area is not between ``low`` and ``high``, and predictions matched to them, are not counted; nor are
    predictions matched to nobody whose own box is of another size.
    """
    out = {}
    for threshold in np.arange(50, 100, 5) / 100:
        flags: list[bool] = []
        people = 0
        for image in sorted(set(images)):
            here = [i for i, name in enumerate(images) if name == image]
            inside = [i for i in here if low <= area[i] <= high]
            people += len(inside)
            taken: set[int] = set()
            for i in here:
                for of in (inside, [j for j in here if j not in inside]):
                    best = [(oks(made[i], true[j], area[j]), -of.index(j), j) for j in of if j not in taken]
                    best = [one for one in best if one[0] >= threshold]
                    if best:
                        break
                if best:
                    taken.add(max(best)[2])
                    if max(best)[2] in inside:
                        flags.append(True)
                else:
                    (x, y), (right, bottom) = made[i].min(axis=0), made[i].max(axis=0)
                    if low <= (right - x) * (bottom - y) <= high:
                        flags.append(False)
        hits = np.cumsum(flags)
        precision = hits / (np.arange(len(flags)) + 1)
        recall = hits / people
        best_after = [max(precision[k:]) for k in range(len(flags))]
        at = [
            next((p for p, r in zip(best_after, recall, strict=True) if r >= wanted), 0.0)
            for wanted in np.linspace(0, 1, 101)
        ]
        out[float(threshold)] = mean_of(at), float(recall[-1]) if len(flags) else 0.0
    return out
