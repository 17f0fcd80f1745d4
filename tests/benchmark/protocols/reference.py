"""The numbers of every protocol computed a second time, plainly: one person after the other, dense regressors, meshes
of the ``smplx`` package, Procrustes by quaternions.

Written from the published descriptions of the original evaluation codes. Of ehps it takes the arrays of the body-model
files and the columns of HumanData, nothing of how the product compares bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation
from smplx.lbs import lbs

from ehps.body import helper_files
from ehps.body.models import BodyModels
from ehps.humandata.core import HumanData

Numbers = dict[tuple[str, str], float]
"""By part and metric; what has no value is absent."""

ROOT = ["global_orient", "body_pose"]
PARTS = {
    "smplx": [*ROOT, "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose"],
    "smpl": ROOT,
}
HANDS = ("left_hand", "right_hand")
WRIST = {"left_hand": 20, "right_hand": 21}
HAND_POINTS = {  # rows of the joint regressor below 55, vertices above
    "left_hand": [20, 37, 38, 39, 5361, 25, 26, 27, 4933, 28, 29, 30, 5058, 34, 35, 36, 5169, 31, 32, 33, 5286],
    "right_hand": [21, 52, 53, 54, 8079, 40, 41, 42, 7669, 43, 44, 45, 7794, 49, 50, 51, 7905, 46, 47, 48, 8022],
}
SKELETON14 = [1, 2, 4, 5, 7, 8, 12, 15, 16, 17, 18, 19, 20, 21]
LSP14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
LIMBS = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
ORIENTED = [0, 1, 2, 4, 5, 16, 17, 18, 19]
PICKED = [9120, 9929, 9448, 616, 6, 5770, 5780, 8846, 8463, 8474, 8635]  # ears, eyes, nose, feet
PICKED += [5361, 4933, 5058, 5169, 5286, 8079, 7669, 7794, 7905, 8022]  # and finger tips: joints 55..75
EHF_ROTATION = (-2.98747896, 0.01172457, -0.05704687)


# -- geometry -------------------------------------------------------------------------------------------------------


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P,) mm between corresponding points in metres."""
    return np.asarray(1000 * np.sqrt(((a - b) ** 2).sum(axis=1)))


def similarity(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale s, rotation R and translation t with s R a + t nearest to b (Horn 1987, unit quaternions)."""
    ma, mb = a.mean(0), b.mean(0)
    S = (a - ma).T @ (b - mb)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = S
    N = np.array(
        [
            [xx + yy + zz, yz - zy, zx - xz, xy - yx],
            [yz - zy, xx - yy - zz, xy + yx, zx + xz],
            [zx - xz, xy + yx, yy - xx - zz, yz + zy],
            [xy - yx, zx + xz, yz + zy, zz - xx - yy],
        ]
    )
    w, x, y, z = np.linalg.eigh(N)[1][:, -1]
    R = Rotation.from_quat([x, y, z, w]).as_matrix()
    s = float(np.trace(R @ S) / ((a - ma) ** 2).sum())
    return s, R, mb - s * R @ ma


def fitted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a`` laid on ``b`` by a similarity."""
    s, R, t = similarity(a, b)
    return s * a @ R.T + t


def mean_of(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# -- bodies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Body:
    """One body. Metres.

    Attributes
    ----------
    mesh : (V, 3).
    joints : the model's own: (55, 3), or (24, 3) of SMPL.
    landmarks : (51, 3) of the face, empty for SMPL.
    turns : (J, 3, 3) orientations of the joints in the frame of the body.
    transl : (3,).
    """

    mesh: np.ndarray
    joints: np.ndarray
    landmarks: np.ndarray
    turns: np.ndarray
    transl: np.ndarray


@dataclass
class Bodies:
    """Makes bodies and holds the tables of the comparison."""

    models: BodyModels
    kept: dict[tuple[str, str], dict[str, torch.Tensor]] = field(default_factory=dict)
    made: dict[tuple[str, str, bytes], Body] = field(default_factory=dict)

    @cached_property
    def ids(self) -> dict[str, np.ndarray]:
        """Vertices of hands and face."""
        return helper_files.vertex_ids(self.models.folder)

    @cached_property
    def j14(self) -> np.ndarray:
        """(14, 10475)."""
        return helper_files.j14_regressor(self.models.folder)

    @cached_property
    def h36m(self) -> np.ndarray:
        """(17, 6890)."""
        return helper_files.h36m_regressor(self.models.folder, "smpl")

    @cached_property
    def smplx2smpl(self) -> Any:
        """(6890, 10475)."""
        return csr_matrix(helper_files.vertex_transfer(self.models.folder, "smplx", "smpl"))

    def of(
        self,
        hd: HumanData,
        row: int,
        model_type: str,
        *,
        gender: str,
        betas: np.ndarray,
        kid: float = 0.0,
        eyes: bool = True,
    ) -> Body:
        """The body of a row, of that gender's model and with those betas; eyes straight ahead without ``eyes``."""
        pose = np.concatenate([np.reshape(hd[f"{model_type}/{name}"][row], (-1, 3)) for name in PARTS[model_type]])
        pose = pose.astype(np.float64)
        if not eyes:
            pose[23:25] = 0
        model, shapes = self.models.get(model_type, gender), [np.asarray(betas, float)]
        if model_type == "smplx":
            if not hd.passport.flat_hand_mean:
                pose[25:40] += model.hands_mean_left
                pose[40:55] += model.hands_mean_right
            shapes.append(np.asarray(hd["smplx/expression"][row], float))
        if kid:
            shapes.append(np.array([kid]))
        transl = np.asarray(hd[f"{model_type}/transl"][row], float)
        key = (model_type, gender, np.concatenate([*shapes, pose.ravel(), transl]).tobytes())
        if key in self.made:
            return self.made[key]
        directions = [model.shapedirs[..., : len(betas)]]
        if model_type == "smplx":
            directions.append(model.exprdirs[..., : len(shapes[1])])
        if kid:
            template = np.load(self.models.folder / f"{model_type}_kid_template.npy")
            directions.append((template - template.mean(0) - model.v_template)[..., None])
        mesh, joints = lbs(
            torch.tensor(np.concatenate(shapes)[None], dtype=torch.float32),
            torch.tensor(pose.reshape(1, -1), dtype=torch.float32),
            shapedirs=torch.tensor(np.concatenate(directions, axis=2), dtype=torch.float32),
            **self._fixed(model_type, gender),
        )
        vertices = mesh[0].numpy().astype(float) + transl
        corners = model.faces[model.lmk_faces_idx] if model_type == "smplx" else np.zeros((0, 3), int)
        weights = model.lmk_bary_coords if model_type == "smplx" else np.zeros((0, 3))
        landmarks = [w @ vertices[c] for c, w in zip(corners, weights, strict=True)]
        turns: list[np.ndarray] = []
        for parent, angles in zip(model.parents, pose, strict=True):
            own = Rotation.from_rotvec(angles).as_matrix()
            turns.append(own if parent < 0 else turns[parent] @ own)
        body = Body(vertices, joints[0].numpy() + transl, np.reshape(landmarks, (-1, 3)), np.stack(turns), transl)
        return self.made.setdefault(key, body)

    def _fixed(self, model_type: str, gender: str) -> dict[str, torch.Tensor]:
        key = (model_type, gender)
        if key not in self.kept:
            model = self.models.get(*key)
            self.kept[key] = {
                "v_template": torch.tensor(model.v_template, dtype=torch.float32),
                "posedirs": torch.tensor(model.posedirs.reshape(-1, model.posedirs.shape[-1])).T,
                "J_regressor": torch.tensor(np.asarray(model.J_regressor), dtype=torch.float32),
                "parents": torch.tensor(model.parents),
                "lbs_weights": torch.tensor(model.weights, dtype=torch.float32),
            }
        return self.kept[key]

    def regressor(self, model_type: str) -> np.ndarray:
        """(J, V) of the neutral model."""
        return np.asarray(self.models.get(model_type, "neutral").J_regressor, np.float64)

    def hand_points(self, mesh: np.ndarray, hand: str) -> np.ndarray:
        """(21, 3) wrist, knuckles and tips."""
        J = self.regressor("smplx")
        return np.stack([J[p] @ mesh if p < 55 else mesh[p] for p in HAND_POINTS[hand]])

    def prediction(self, made: HumanData, row: int, model_type: str) -> Body:
        return self.of(made, row, model_type, gender="neutral", betas=made[f"{model_type}/betas"][row])

    def gendered(self, hd: HumanData, row: int, model_type: str) -> Body:
        kid = f"{model_type}/betas_extra"
        return self.of(
            hd,
            row,
            model_type,
            gender=hd["meta/gender"].tolist()[row],
            betas=hd[f"{model_type}/betas"][row],
            kid=float(hd[kid][row][0]) if kid in hd else 0.0,
        )

    def neutral(self, hd: HumanData, row: int) -> Body:
        """The truth of the HumanData readers: neutral, eyes ahead, the mean shape where a coefficient is beyond 3."""
        betas = np.asarray(hd["smplx/betas_neutral"][row], float)
        betas = np.zeros_like(betas) if np.abs(betas).max() > 3 else betas
        return self.of(hd, row, "smplx", gender="neutral", betas=betas, eyes=False)


# -- SMPL-X sets ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """How the SMPL-X sets differ.

    Attributes
    ----------
    smplest_x : hands flagged valid, without their wrists, and MPJPE.
    hand_limit : mm of PA-MPJPE beyond which a hand and what comes after it, the mean too, are left out.
    """

    smplest_x: bool = False
    hand_limit: float = 100.0


def whole_body(
    bodies: Bodies,
    made: np.ndarray,
    true: np.ndarray,
    rules: Rules,
    camera: Camera | None = None,
    flags: dict[str, bool] | None = None,
) -> Numbers:
    """The errors of one person by two meshes; empty when no vertex is seen."""
    J, ids, out = bodies.regressor("smplx"), bodies.ids, {}
    flags = flags if flags is not None and rules.smplest_x else dict.fromkeys(HANDS, True)

    def seen(points: np.ndarray) -> np.ndarray:
        return np.ones(len(points), bool) if camera is None else np.array([camera.sees(p) for p in points])

    def add(part: str, metric: str, a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> None:
        if counts.any():
            out[part, metric] = mean_of(distances(a, b)[counts].tolist())

    vertices = seen(true)
    if not vertices.any():
        return {}
    pelvis = made - J[0] @ made + J[0] @ true
    add("all", "PVE", pelvis, true, vertices)
    add("all", "PA-PVE", fitted(made, true), true, vertices)
    neck, face = made - J[12] @ made + J[12] @ true, ids["face"]
    add("face", "PVE", neck[face], true[face], vertices[face])
    add("face", "PA-PVE", fitted(made[face], true[face]), true[face], vertices[face])
    for hand in (hand for hand in HANDS if flags[hand]):
        wrist, own = J[WRIST[hand]], ids[hand]
        moved = made - wrist @ made + wrist @ true
        add(hand, "PVE", moved[own], true[own], vertices[own])
        add(hand, "PA-PVE", fitted(made[own], true[own]), true[own], vertices[own])
    joints, others = bodies.j14 @ true, bodies.j14 @ made
    if rules.smplest_x:
        add("body", "MPJPE", bodies.j14 @ pelvis, joints, seen(joints))
    add("body", "PA-MPJPE", fitted(others, joints), joints, seen(joints))
    far = False
    for hand in (hand for hand in HANDS if flags[hand]):
        first = 1 if rules.smplest_x else 0
        a, b = (bodies.hand_points(mesh, hand)[first:] for mesh in (made, true))
        add(hand, "PA-MPJPE", fitted(a, b), b, seen(b))
        if rules.smplest_x and out.get((hand, "PA-MPJPE"), 0.0) > rules.hand_limit:
            del out[hand, "PA-MPJPE"]
            far = True
            break
    for metric in ("PVE", "PA-PVE") if far else ("PVE", "PA-PVE", "PA-MPJPE"):
        if there := [out[hand, metric] for hand in HANDS if (hand, metric) in out]:
            out["hand", metric] = mean_of(there)
    return out


@dataclass(frozen=True)
class Camera:
    """The virtual camera of a test box: 5000 pixels of focal length in its 256 x 192 crop."""

    focal: tuple[float, float]
    centre: tuple[float, float]
    size: tuple[float, float]

    @classmethod
    def of_box(cls, box: np.ndarray, width: float, height: float, ratio: float) -> Camera:
        """Of a box as it is stored: clipped to the image, widened to 3:4, scaled about its middle."""
        x, y, w, h = (float(v) for v in box[:4])
        x1, y1 = max(0.0, x), max(0.0, y)
        x2, y2 = min(width - 1, x1 + max(0.0, w - 1)), min(height - 1, y1 + max(0.0, h - 1))
        w, h, cx, cy = x2 - x1, y2 - y1, (x1 + x2) / 2, (y1 + y2) / 2
        if w > 0.75 * h:
            h = w / 0.75
        else:
            w = h * 0.75
        w, h = w * ratio, h * ratio
        x, y = cx - w / 2, cy - h / 2
        return cls((5000 / 192 * w, 5000 / 256 * h), (96 / 192 * w + x, 128 / 256 * h + y), (width, height))

    def sees(self, point: np.ndarray) -> bool:
        x = point[0] / (point[2] + 1e-4) * self.focal[0] + self.centre[0]
        y = point[1] / (point[2] + 1e-4) * self.focal[1] + self.centre[1]
        return bool(0 < x < self.size[0] and 0 < y < self.size[1])


def smplx_sets(
    name: str, truth: HumanData, made: HumanData, bodies: Bodies, images: Path | None, hand_limit: float = 100.0
) -> dict[int, Numbers]:
    """Numbers of each tested row under a protocol of SMPL-X bodies that are paired by row."""
    rules = Rules(name.endswith("-smplestx"), hand_limit)
    rows, ubody = list(range(len(truth))), name.startswith("ubody")
    if name.startswith(("arctic", "dna")):
        rows = rows[::10]
    if ubody:
        number = truth["meta/annotation_index"]
        rows = [row for row in rows if number[row] % 100 == 0]
    if name.startswith("agora-val"):
        rows = [row for row in rows if truth["meta/annot_valid"][row]]
    out = {}
    for row in rows:
        if name.startswith("agora-val"):
            true = bodies.gendered(truth, row, "smplx").mesh
        elif name.startswith("ehf"):
            given = np.load(Path(str(images)) / truth["vertices3d_path"].tolist()[row])
            true = given.astype(float) @ Rotation.from_rotvec(EHF_ROTATION).as_matrix().T
        else:
            true = bodies.neutral(truth, row).mesh
        mine = int(np.flatnonzero(made["meta/truth_row"] == row)[0])
        camera = None
        if ubody:
            size = (float(truth[f"meta/{side}"][row]) for side in ("width", "height"))
            camera = Camera.of_box(truth["bbox_xywh"][row], *size, 1.2 * 0.833)
        sides = {"left_hand": "meta/lefthand_valid", "right_hand": "meta/righthand_valid"}
        flags = {hand: bool(truth[column][row]) if column in truth else True for hand, column in sides.items()}
        out[row] = whole_body(bodies, bodies.prediction(made, mine, "smplx").mesh, true, rules, camera, flags)
    return out


# -- 3DPW -----------------------------------------------------------------------------------------------------------


def pw3d(name: str, truth: HumanData, made: HumanData, bodies: Bodies, model_type: str) -> dict[int, Numbers]:
    """Numbers of each row, of predictions of one model type."""
    of_one = {
        "pw3d-smplerx": _pw3d_smplerx,
        "pw3d-smplestx": _pw3d_smplestx,
        "pw3d-challenge": _pw3d_challenge,
        "pw3d-h36m14": _pw3d_pymaf,
        "pw3d-h36m14-midhip": _pw3d_smpler,
    }[name]
    out = {}
    for row in range(len(truth)):
        if name == "pw3d-h36m14-midhip":
            true = bodies.of(truth, row, "smpl", gender="neutral", betas=truth["smpl/betas"][row])
        else:
            true = bodies.gendered(truth, row, "smpl")
        mine = int(np.flatnonzero(made["meta/truth_row"] == row)[0])
        out[row] = of_one(bodies, bodies.prediction(made, mine, model_type), true, model_type)
    return out


def _mean(a: np.ndarray, b: np.ndarray) -> float:
    return mean_of(distances(a, b).tolist())


def _pw3d_smplerx(bodies: Bodies, made: Body, true: Body, model_type: str) -> Numbers:
    a, b = bodies.regressor(model_type) @ made.mesh, bodies.regressor("smpl") @ true.mesh
    a, b = (joints[SKELETON14] - joints[0] for joints in (a, b))
    return {("body", "MPJPE"): _mean(a, b), ("body", "PA-MPJPE"): _mean(fitted(a, b), b)}


def _pw3d_smplestx(bodies: Bodies, made: Body, true: Body, model_type: str) -> Numbers:
    J = bodies.regressor("smpl")
    moved = made.mesh - bodies.regressor(model_type)[0] @ made.mesh + J[0] @ true.mesh
    if model_type == "smplx":
        moved = bodies.smplx2smpl @ moved
    a, b = (J @ moved)[SKELETON14], (J @ true.mesh)[SKELETON14]
    return {
        ("all", "PVE"): _mean(moved, true.mesh),
        ("all", "PA-PVE"): _mean(fitted(moved, true.mesh), true.mesh),
        ("body", "MPJPE"): _mean(a, b),
        ("body", "PA-MPJPE"): _mean(fitted(a, b), b),
    }


def _pw3d_challenge(bodies: Bodies, made: Body, true: Body, model_type: str) -> Numbers:
    a = made.joints if model_type == "smpl" else bodies.regressor("smpl") @ (bodies.smplx2smpl @ made.mesh)
    a, b = a - a[0], true.joints - true.joints[0]
    limbs = distances(a, b)[LIMBS]
    shares = [mean_of([float(d <= threshold) for d in limbs]) for threshold in range(200)]
    area = sum((one + other) / 2 / 199 for one, other in pairwise(shares))
    fit = similarity(a, b)[1]

    def angle(i: int, turn: np.ndarray) -> float:
        return float(np.degrees(Rotation.from_matrix(turn @ made.turns[i] @ true.turns[i].T).magnitude()))

    return {
        ("body", "MPJPE"): _mean(a, b),
        ("body", "PA-MPJPE"): _mean(fitted(a, b), b),
        ("body", "PCK@50"): 100 * mean_of([float(d <= 50) for d in limbs]),
        ("body", "AUC"): area,
        ("body", "MPJAE"): mean_of([angle(i, np.eye(3)) for i in ORIENTED]),
        ("body", "PA-MPJAE"): mean_of([angle(i, fit) for i in ORIENTED]),
    }


def _on_smpl(bodies: Bodies, made: Body, model_type: str) -> np.ndarray:
    """The mesh without its translation, on SMPL's vertices."""
    mesh = made.mesh - made.transl
    return bodies.smplx2smpl @ mesh if model_type == "smplx" else mesh


def _pw3d_pymaf(bodies: Bodies, made: Body, true: Body, model_type: str) -> Numbers:
    mesh, other = _on_smpl(bodies, made, model_type), true.mesh - true.transl
    a, b = ((bodies.h36m @ m)[LSP14] - bodies.h36m[0] @ m for m in (mesh, other))
    return {
        ("all", "PVE"): _mean(mesh, other),
        ("body", "MPJPE"): _mean(a, b),
        ("body", "PA-MPJPE"): _mean(fitted(a, b), b),
    }


def _pw3d_smpler(bodies: Bodies, made: Body, true: Body, model_type: str) -> Numbers:
    mesh, other = _on_smpl(bodies, made, model_type), true.mesh - true.transl
    mesh, other = (m - bodies.h36m[0] @ m for m in (mesh, other))
    a, b = ((bodies.h36m @ m)[LSP14] for m in (mesh, other))
    a, b = (joints - (joints[2] + joints[3]) / 2 for joints in (a, b))
    return {
        ("all", "PVE"): _mean(mesh, other),
        ("body", "MPJPE"): _mean(a, b),
        ("body", "PA-MPJPE"): _mean(fitted(a, b), b),
    }


# -- AGORA's own ----------------------------------------------------------------------------------------------------


@dataclass
class Official:
    """What AGORA's tool finds.

    Attributes
    ----------
    pairs : the prediction of each matched truth.
    missed : truths without one; those in images that have predictions are ``beside``.
    invented : how many predictions are of nobody.
    """

    pairs: dict[int, int] = field(default_factory=dict)
    missed: list[int] = field(default_factory=list)
    beside: list[int] = field(default_factory=list)
    invented: int = 0


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of the boxes around two sets of pixels."""
    (ax, ay), (bx, by), (aX, aY), (bX, bY) = a.min(0), b.min(0), a.max(0), b.max(0)
    both = max(0.0, min(aX, bX) - max(ax, bx) + 1) * max(0.0, min(aY, bY) - max(ay, by) + 1)
    return both / ((aX - ax + 1) * (aY - ay + 1) + (bX - bx + 1) * (bY - by + 1) - both)


def match_one_image(
    made: dict[int, np.ndarray], true: dict[int, np.ndarray], valid: dict[int, bool], found: Official
) -> None:
    """Joints (J, 2) in pixels of the predictions and persons of one image, by row."""
    pairs = [(np.sqrt(((m[:24] - t[:24]) ** 2).sum()), i, j) for i, m in made.items() for j, t in true.items()]
    partner: dict[int, int] = {}
    gone: set[int] = set()
    poor = 0
    for _, i, j in sorted(pairs):
        if len(gone) == len(true) or len(partner) + poor >= len(made):
            break
        if overlap(made[i], true[j]) < 0.1:
            poor += 1
            if not valid[j]:
                gone.add(j)
        elif i not in partner and j not in gone:
            gone.add(j)
            if valid[j]:
                partner[i] = j
    found.pairs |= {j: i for i, j in partner.items()}
    missed = [j for j in true if valid[j] and j not in partner.values()]
    found.missed += missed
    found.beside += missed if made else []
    found.invented += len(made) - len(partner)


def official(
    truth: HumanData, made: HumanData, bodies: Bodies, model_type: str
) -> tuple[dict[int, Numbers], Numbers, Official]:
    """Numbers of each matched row, the table of the leaderboard, and what was matched."""
    true = {row: bodies.gendered(truth, row, model_type) for row in range(len(truth))}
    guess = {row: bodies.prediction(made, row, model_type) for row in range(len(made))}

    def pixels(hd: HumanData, row: int, body: Body) -> np.ndarray:
        picked = body.mesh[PICKED] if model_type == "smplx" else body.joints[:0]
        points = np.concatenate([body.joints, picked, body.landmarks])
        return points[:, :2] / points[:, 2:] * hd["meta/focal_length"][row] + hd["meta/principal_point"][row]

    found, names, others = Official(), truth["image_path"].tolist(), made["image_path"].tolist()
    for image in dict.fromkeys(names):
        if model_type == "smplx" and "bfh" not in image and "smplx" not in image:
            continue
        here = {row: pixels(truth, row, true[row]) for row, name in enumerate(names) if name == image}
        valid = {row: bool(truth["meta/annot_valid"][row]) and 0 <= truth["meta/occlusion"][row] <= 90 for row in here}
        mine = {row: pixels(made, row, guess[row]) for row, name in enumerate(others) if name == image}
        match_one_image(mine, here, valid, found)
    errors = {row: _official_errors(bodies, guess[i], true[row], model_type) for row, i in found.pairs.items()}
    table: Numbers = {}
    f1 = _official_table(table, "", errors, found, range(len(truth)), 0.0)
    kids = [row for row in range(len(truth)) if truth["meta/kid"][row]]
    if kids:
        _official_table(table, "kid_", errors, found, kids, f1)
    return errors, table, found


def _official_errors(bodies: Bodies, made: Body, true: Body, model_type: str) -> Numbers:
    body = helper_files.official_body_vertices(bodies.models.folder, model_type)
    hips = [(b.joints[1] + b.joints[2]) / 2 for b in (made, true)]
    count = 22 if model_type == "smplx" else 24
    out = {
        ("body", "MVE"): _mean(made.mesh[body] - hips[0], true.mesh[body] - hips[1]),
        ("body", "MPJPE"): _mean(made.joints[:count] - hips[0], true.joints[:count] - hips[1]),
    }
    if model_type == "smpl":
        return out
    ids = bodies.ids
    for part, anchor, first in (("left_hand", 20, 25), ("right_hand", 21, 40), ("face", 12, None)):
        sets = []
        for one in (made, true):
            more = one.landmarks if first is None else one.joints[first : first + 15]
            at = one.joints[anchor]
            sets.append((one.mesh[ids[part]] - at, np.concatenate([one.joints[[anchor]], more]) - at))
        (v, j), (w, k) = sets
        out |= {(part, "MVE"): _mean(v, w), (part, "MPJPE"): _mean(j, k)}
    return out


def _official_table(
    table: Numbers, prefix: str, errors: dict[int, Numbers], found: Official, rows: Sequence[int], whole_f1: float
) -> float:
    """The lines of all persons or of children; returns F1."""
    matched = [row for row in rows if row in found.pairs]
    tp, fp, fn = len(matched), found.invented, len([row for row in rows if row in found.missed])
    f1 = round(tp / (tp + (fp + fn) / 2), 2)
    table |= {
        (f"{prefix}all", "F1"): f1,
        (f"{prefix}all", "precision"): tp / (tp + fp),
        (f"{prefix}all", "recall"): tp / (tp + fn),
    }
    absent = [0.0] * len([row for row in rows if row in found.beside])
    whole = any(part == "face" for values in errors.values() for part, _ in values)
    for metric, normed in (("MVE", "NMVE"), ("MPJPE", "NMJE")):
        body = round(mean_of([errors[row]["body", metric] for row in matched]), 1)
        table[f"{prefix}body", metric] = body
        table[f"{prefix}body", normed] = round(body / f1, 1)
        if not whole:
            continue
        parts = {}
        for part in (*HANDS, "face"):
            parts[part] = round(mean_of([*(errors[row][part, metric] for row in matched), *absent]), 1)
            table[f"{prefix}{part}", metric] = parts[part]
        full = round(body + sum(parts.values()) / 3, 1)
        table[f"{prefix}full_body", metric] = full
        table[f"{prefix}full_body", normed] = round(full / (whole_f1 or f1), 1)
    return f1


# -- sets -----------------------------------------------------------------------------------------------------------


def of_the_set(rows: dict[int, Numbers]) -> Numbers:
    """The mean of each number over the instances that have it."""
    keys = {key for numbers in rows.values() for key in numbers}
    return {key: mean_of([numbers[key] for numbers in rows.values() if key in numbers]) for key in keys}
