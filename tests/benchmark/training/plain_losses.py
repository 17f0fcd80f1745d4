"""The losses of SMPLer-X and SMPLest-X, one number after another, for comparison: written from their description."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

BODY = [0, 1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21, 60, 61, 62, 63, 64, 65, 59, 58, 57, 56, 55]
LEFT = [37, 38, 39, 66, 25, 26, 27, 67, 28, 29, 30, 68, 34, 35, 36, 69, 31, 32, 33, 70]
RIGHT = [52, 53, 54, 71, 40, 41, 42, 72, 43, 44, 45, 73, 49, 50, 51, 74, 46, 47, 48, 75]
FACE = [22, 15, 57, 56, *range(76, 144)]
ORDER = BODY + LEFT + RIGHT + FACE
ROOTS = [0] * 25 + [20] * 20 + [21] * 20 + [12] * 72  # in the 144


def mean(differences: list[float]) -> float:
    return float(np.mean(differences))


def projected(joint: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Patches of 16 pixels, through the pinhole of focal 5000 about (96, 128)."""
    x, y, z = joint + translation
    return np.array((5000 * x / z + 96, 5000 * y / z + 128)) / 16


def shared(out: dict, truth: dict, model: np.ndarray, form: str) -> dict[str, float]:
    """Pose, shape, expression, joints and part joints of the 137; all of numpy arrays."""
    pose, shape, expression, joints, parts = [], [], [], [], []
    for n in range(len(model)):
        for j in range(53):
            a, b = out["rotations"][n, j], truth["rotations"][n, j]
            if form == "axis-angle":
                a, b = (Rotation.from_matrix(R).as_rotvec() for R in (a, b))
            pose += [abs(d) * truth["rotations_mask"][n, j] for d in (a - b).ravel()]
        for k in range(10):
            shape.append(abs(out["betas"][n, k] - truth["betas"][n, k]) * truth["shape_mask"][n, 0])
            expression.append(abs(out["expression"][n, k] - truth["expression"][n, k]) * truth["face_mask"][n, 0])
        for j, root in zip(ORDER, ROOTS, strict=True):
            known = truth["joints_mask"][n, j]
            pelvis = model[n, j] - model[n, 0] - truth["joints"][n, j]
            part = model[n, j] - model[n, root] - truth["joints"][n, j] + truth["joints"][n, root]
            joints += [abs(d) * known for d in pelvis]
            parts += [abs(d) * known * truth["joints_mask"][n, root] for d in part]
    return {
        "pose": 10 * mean(pose),
        "shape": mean(shape),
        "expression": mean(expression),
        "joints": 100 * mean(joints),
        "part_joints": 100 * mean(parts),
    }


def smpler_x(out: dict, truth: dict, model: np.ndarray, form: str, hand_depth: str) -> dict[str, float]:
    """All terms with the published weights."""
    flat, image, of_body = [], [], []
    boxes: dict[str, list[float]] = {"left_hand": [], "right_hand": [], "face": []}
    left, right, face = range(25, 45), range(45, 65), range(65, 137)  # in ORDER, which names the eyes twice
    for n in range(len(model)):
        p = [projected(model[n, j], out["cam_trans"][n]) for j in ORDER]
        t = [truth["points"][n, j] / 16 for j in ORDER]
        seen = [truth["points_mask"][n, j] for j in ORDER]
        predicted = [*out["joint_img"][n, :25], *out["left_hand_joint_img"][n], *out["right_hand_joint_img"][n]]
        for name, part in (("left_hand", left), ("right_hand", right)):
            x1, y1, x2, y2 = out[f"{name}_bbox"][n] / 32
            corner, side = np.array((x1, y1)), np.maximum((x2 - x1, y2 - y1), 0.25)
            for k in part:
                p[k], t[k] = (p[k] - corner) / side * 16, (t[k] - corner) / side * 16
                seen[k] *= bool(0 <= t[k][0] < 16 and 0 <= t[k][1] < 16)
        for part in (left, right, face):
            visible = [k for k in part if seen[k]]
            if visible:
                offset = np.mean([t[k] - p[k] for k in visible], axis=0)
                for k in part:
                    p[k] = p[k] + offset
        flat += [abs(d) * seen[k] for k in range(137) for d in p[k] - t[k]]
        for k in range(65):
            j, root, half = ORDER[k], ROOTS[k], 1.0
            if hand_depth == "pelvis":
                root = 0
            elif root:
                half = 0.15
            z = ((truth["joints"][n, j, 2] - truth["joints"][n, root, 2]) / half + 1) / 2 * 16
            deep = truth["joints_mask"][n, j] * truth["joints_mask"][n, root] * (0 <= z < 16)
            x, y, depth = predicted[k]
            three = [abs(x - t[k][0]) * seen[k], abs(y - t[k][1]) * seen[k], abs(depth - z) * seen[k] * deep]
            image += three
            of_body += [d * truth["from_model"][n, 0] for d in three]
        for name, part in (("left_hand", LEFT), ("right_hand", RIGHT), ("face", FACE)):
            known = [truth["points"][n, j] / 16 for j in part if truth["known"][n, j]]
            differences = [0.0] * 4
            if len(known) >= 6:
                low, high = np.min(known, axis=0), np.max(known, axis=0)
                centre = (low + high) / 2
                if 0 <= centre[0] < 12 and 0 <= centre[1] < 16:
                    at = np.abs(out[f"{name}_bbox_center"][n] - centre)
                    differences = [*at, *np.abs(out[f"{name}_bbox_size"][n] - 1.2 * (high - low))]
            boxes[name] += differences
    return {
        **shared(out, truth, model, form),
        "projection": mean(flat),
        "image_points": mean(image),
        "model_image_points": mean(of_body),
        **{f"{name}_box": 2 * mean(values) for name, values in boxes.items()},  # the mean of centres and that of sizes
    }


def smplest_x(out: dict, truth: dict, model: np.ndarray) -> dict[str, float]:
    """All terms with the published weights."""
    root, flat, roots, chains = [], [], [], []
    for n in range(len(model)):
        mask = truth["rotations_mask"][n]
        root += [abs(d) * mask[0] for d in (out["rotations"][n, 0] - truth["rotations"][n, 0]).ravel()]
        for j in ORDER:
            difference = projected(model[n, j], out["cam_trans"][n]) - truth["points"][n, j] / 16
            flat += [abs(d) * truth["points_mask"][n, j] for d in difference]
        for side, end in (("left", (13, 16, 18, 20)), ("right", (14, 17, 19, 21))):
            said, true, known = np.eye(3), np.eye(3), 1.0
            for j in (0, 3, 6, 9, *end):
                said, true = said @ out["rotations"][n, j], true @ truth["rotations"][n, j]
                known *= mask[j]
            roots += [abs(d) * known for d in (out[f"{side}_hand_root"][n] - true).ravel()]
            chains += [abs(d) * known for d in (said - true).ravel()]
    return {
        **shared(out, truth, model, "matrix"),
        "root": mean(root),
        "projection": mean(flat),
        "hand_roots": mean(roots),
        "hand_chains": mean(chains),
    }
