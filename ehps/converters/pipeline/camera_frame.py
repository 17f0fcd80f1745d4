"""Bodies of a unit in the camera: parameters in the camera frame, their joints, and what the camera sees of them.

Facts: x = R0 (v - J0) + J0 + t, so a body turns about its rest pelvis J0 and moving its parameters needs J0 of
its own model, gender and shape. People who were scanned have a template in place of betas. Children of AGORA bring the
weight of a child template besides their betas.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body import cameras, rigid_motion
from ehps.body.meshes import picked_joints, regressed_joints
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.topology import TOPOLOGY
from ehps.converters import translation
from ehps.converters.base import Instances, Keypoints
from ehps.converters.pipeline.rows import Account, take
from ehps.errors import DataError
from ehps.humandata.keypoints import mapping, part_indices, point_names

BODY_JOINTS = 22
STILL = slice(0, 127)  # contour points are chosen by orientation and do not move along with the body
SIDES = ("left", "right")
FACE_LANDMARKS = 51
THICKNESS = 0.5  # metres, farther than any vertex is from all joints and landmarks
MESHES = 64  # at a time
NO_MODELS = "no body models were given (--body-models)"


@dataclass
class Posed:
    """Rows with their bodies in the camera frame; what could not be had is None.

    Attributes
    ----------
    rows : the unit's rows.
    body : parameters to store.
    model_type : of the joints.
    points3d : (N, J, 4) model joints in the camera frame, metres, confidence last.
    points2d : (N, J, 3) model joints, pixels, confidence last.
    world_to_camera_gap : (N,) largest distance between joints moved to the camera and joints of the moved parameters,
        metres.
    heights : (N,) of the standing bodies, metres.
    """

    rows: Instances
    body: BodyParams | None = None
    model_type: str | None = None
    points3d: Array | None = None
    points2d: Array | None = None
    world_to_camera_gap: Array | None = None
    heights: Array | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return point_names(TOPOLOGY[self.model_type].convention) if self.model_type else ()

    def kept(self, keep: Mask) -> Posed:
        """The rows of a mask."""
        if keep.all():
            return self
        names = ("body", "points3d", "points2d", "world_to_camera_gap", "heights")
        picked = {n: None if (v := getattr(self, n)) is None else v[keep] for n in names}
        return replace(self, rows=take(self.rows, keep), **picked)


def pose(rows: Instances, models: BodyModels | None, account: Account) -> Posed:
    """Move the bodies of spread rows to the camera and find their joints and pixels.

    Raises
    ------
    BodyModelError : a model that the rows need is not in the folder.
    """
    if rows.body is not None and models is not None:
        posed = _with_models(rows, rows.body, models, account)
    elif rows.body is not None:
        posed = _without_models(rows, rows.body, account)
    elif rows.vertices is not None:
        posed = Posed(rows, model_type="smplx", points3d=_joints_of_meshes(rows.vertices, models))
    else:
        posed = Posed(rows)
    if posed.points3d is not None:
        if rows.camera is None:
            account.absent[f"keypoints2d_{posed.model_type}"] = "the dataset has no camera"
        else:
            posed.points2d = _project(rows, posed.points3d)
    return posed


def own_points3d(posed: Posed) -> Keypoints | None:
    """The 3D points that joints of parameters must agree with: the dataset's own, or those that are vertices of its
    meshes where it has both meshes and parameters. Where the dataset does not know the place, its points are put where
    the joints are."""
    rows = posed.rows
    if rows.keypoints3d is not None and rows.solve_translation and posed.points3d is not None:
        return _placed_like(rows.keypoints3d, posed.points3d, posed.names)
    if rows.keypoints3d is not None or rows.body is None or rows.vertices is None:
        return rows.keypoints3d
    return Keypoints(_joints_of_meshes(rows.vertices, None), point_names(TOPOLOGY["smplx"].convention))


def _joints_of_meshes(vertices: Array, models: BodyModels | None) -> Array:
    """(N, 144, 4) joints of SMPL-X meshes, confidence 0 where a mesh does not say them."""
    if models is None:
        joints, known = picked_joints(vertices)
    else:
        joints, known = regressed_joints(models.read("smplx", "neutral"), vertices)
    points = _homogeneous(joints)
    points[..., 3] = known
    return points


def enough_joints(posed: Posed, account: Account) -> Posed:
    """The rows that meet the dataset's own rule on visible joints."""
    rows, points = posed.rows, posed.points2d
    if not rows.min_joints_inside:
        return posed
    if points is None or posed.points3d is None:
        account.note("people with too few joints in the image could not be told apart without joints: all are kept")
        return posed
    x, y, seen = np.moveaxis(points[:, :BODY_JOINTS], 2, 0)
    height, width = np.asarray(rows.size, float).T[:, :, None]
    inside = (seen > 0) & (x >= 0) & (y >= 0) & (x <= width) & (y <= height)
    reasons = {
        "joint behind the camera": (posed.points3d[..., 2] <= 0).any(axis=1),
        f"fewer than {rows.min_joints_inside} body joints in the image": inside.sum(axis=1) < rows.min_joints_inside,
    }
    return posed.kept(account.drop(rows.image_path, reasons))


def before_camera(posed: Posed, models: BodyModels | None, account: Account) -> Posed:
    """The rows with the whole body before the camera, where the dataset asks for that and there are body models."""
    rows, body, points = posed.rows, posed.body, posed.points3d
    if not rows.vertices_before_camera or models is None or body is None or points is None:
        return posed
    near = np.flatnonzero(points[..., 2].min(axis=1, initial=np.inf) < THICKNESS)
    behind = np.zeros(len(rows), bool)
    for some in np.array_split(near, -(-len(near) // MESHES)) if len(near) else []:
        behind[some] = (models.mesh(body[some])[..., 2] < 0).any(axis=1)
    return posed.kept(account.drop(rows.image_path, {"vertex of the body behind the camera": behind}))


def _with_models(rows: Instances, body: BodyParams, models: BodyModels, account: Account) -> Posed:
    body = models.with_full_hands(body)
    if rows.v_template is not None:
        return _on_template(rows, body, rows.v_template, models)
    shaped = _known_shape(body, models)
    stored, evaluated = _in_camera(rows, body, models, account)
    points = models.joints(evaluated)
    world_to_camera_gap = None
    if rows.world_to_camera is not None:
        w = rows.world_to_camera
        moved = rigid_motion.apply(models.joints(shaped), w.rotation, w.translation)
        world_to_camera_gap = np.linalg.norm(moved[:, STILL] - points[:, STILL], axis=2).max(axis=1, initial=0)
    posed = Posed(
        rows,
        body=stored,
        model_type=body.model_type,
        points3d=_flagged(points, stored, rows),
        world_to_camera_gap=world_to_camera_gap,
        heights=models.heights(shaped),
    )
    return _at_its_place(posed, account) if rows.solve_translation else posed


def _on_template(rows: Instances, body: BodyParams, template: Array, models: BodyModels) -> Posed:
    """Joints of a scanned person; stored are the nearest betas, and the translation that leaves the pelvis there."""
    n, words = len(rows), np.unique(body.gender)
    if len(words) != 1 or np.any(body.betas):
        raise DataError("a personal template goes with one gender and betas of zero")
    own = models.personal(body.model_type, str(words[0]), template)
    pelvis = own.joints.rest_pelvis(body.betas, body.expression)
    moved, world_to_camera_gap = body, None
    if rows.world_to_camera is not None:
        w = rows.world_to_camera
        moved = rigid_motion.to_camera(body, w.rotation, w.translation, pelvis)
    points = own.joints(moved)
    if rows.world_to_camera is not None:
        there = rigid_motion.apply(own.joints(body), w.rotation, w.translation)
        world_to_camera_gap = np.linalg.norm(there[:, STILL] - points[:, STILL], axis=2).max(axis=1, initial=0)
    stored = moved.with_(betas=np.tile(own.betas, (n, 1)))
    stored = stored.with_(transl=moved.transl + pelvis - models.rest_pelvis(stored))
    rows = replace(rows, meta=rows.meta | {"template_residual_m": np.full(n, own.residual)})
    return Posed(
        rows,
        body=stored,
        model_type=body.model_type,
        points3d=_flagged(points, stored, rows),
        world_to_camera_gap=world_to_camera_gap,
        heights=np.full(n, own.height),
    )


def faceless(body: BodyParams) -> bool:
    """Whether SMPL-X parameters leave out the face."""
    return body.model_type == "smplx" and body.expression is None and body.jaw_pose is None


def _flagged(joints: Array, body: BodyParams, rows: Instances) -> Array:
    """(N, J, 4) joints, confidence 0 for those of parts that nothing is known of: fingers where the parameters leave
    them out or have the mean of the model, and the face's landmarks and jaw."""
    flagged = _homogeneous(joints)
    if body.model_type == "smpl":
        return flagged
    points = point_names(TOPOLOGY[body.model_type].convention)
    for side in SIDES:
        if rows.mean_hands or getattr(body, f"{side}_hand_pose") is None:
            flagged[:, part_indices(points, f"{side}_hand"), 3] = 0
    if faceless(body):
        flagged[:, [points.index("jaw"), *range(STILL.stop - FACE_LANDMARKS, len(points))], 3] = 0
    return flagged


def _without_models(rows: Instances, body: BodyParams, account: Account) -> Posed:
    """The parameters, if they are in the camera frame already."""
    model_type = body.model_type
    for name in (f"keypoints2d_{model_type}", f"keypoints3d_{model_type}"):
        account.absent[name] = NO_MODELS
    if rows.solve_translation:
        account.absent[f"{model_type}/transl"] = f"{NO_MODELS}, and translations are solved from joints"
        if rows.world_to_camera is not None:
            move, zero = rows.world_to_camera, np.zeros((len(rows), 3))
            body = rigid_motion.to_camera(body, move.rotation, move.translation, zero)
    elif rows.world_to_camera is not None:
        account.absent[f"{model_type}/*"] = f"{NO_MODELS}, and the move to the camera frame needs the rest pelvis"
        return Posed(rows)
    for name in ("left_hand_pose", "right_hand_pose"):
        hand = getattr(body, name)
        if hand is not None and hand.ndim == 2:
            account.absent[f"{model_type}/{name}"] = f"{NO_MODELS}, and the dataset stores PCA coefficients"
            body = body.with_(**{name: None})
    return Posed(rows, body)


def _known_shape(body: BodyParams, models: BodyModels) -> BodyParams:
    """Children's parameters without the child's share where there is no child template to evaluate it with."""
    if body.betas_extra is not None and np.any(body.betas_extra) and not models.has_kid(body.model_type):
        return body.with_(betas_extra=np.zeros_like(body.betas_extra))
    return body


def _in_camera(
    rows: Instances, body: BodyParams, models: BodyModels, account: Account
) -> tuple[BodyParams, BodyParams]:
    """Parameters to store, and those to evaluate the joints from.

    They differ for children: what is stored puts the pelvis of the plain adult model, which readers have, where the
    child's pelvis is; joints come from the child template where that is there.
    """
    if rows.world_to_camera is None:
        return body, _known_shape(body, models)
    w = rows.world_to_camera
    shaped = _known_shape(body, models)
    pelvis = models.rest_pelvis(shaped)
    moved = rigid_motion.to_camera(shaped, w.rotation, w.translation, pelvis)
    if body.betas_extra is None or not np.any(body.betas_extra):
        return moved, moved
    plain = models.rest_pelvis(body.with_(betas_extra=np.zeros_like(body.betas_extra)))
    transl = moved.transl + pelvis - plain
    child = np.any(np.reshape(body.betas_extra, (len(body), -1)) != 0, axis=1)
    known = np.zeros(len(body), bool)
    if rows.keypoints3d is not None and "pelvis" in rows.keypoints3d.convention:
        own = rows.keypoints3d.points[:, list(rows.keypoints3d.convention).index("pelvis")]
        known = child & (own[:, 3] > 0)
        transl[known] = own[known, :3] - plain[known]
    if not models.has_kid(body.model_type):
        account.note(
            f"{body.model_type}_kid_template.npy is not among the body models: children's joints are those of "
            "small adults" + ("" if known[child].all() else " and their position is approximate")
        )
        moved = moved.with_(transl=transl)
    return moved.with_(transl=transl, betas_extra=body.betas_extra), moved


def _at_its_place(posed: Posed, account: Account) -> Posed:
    """Bodies and joints where the dataset's 2D points put them; zeros where these do not say it."""
    rows, body, joints = posed.rows, posed.body, posed.points3d
    assert body is not None
    assert joints is not None
    if rows.camera is not None and rows.camera.distortion is not None:
        raise DataError(
            f"places of people are solved from undistorted images only, and these have a {rows.camera.lens} lens"
        )
    pelvis = joints[:, :1, :3].astype(float)
    if rows.keypoints2d is None or rows.camera is None:
        found = translation.nowhere(len(rows))
    else:
        own = rows.keypoints2d
        into, taken = translation.shared_joints(point_names(own.convention), posed.names)
        relative = joints[:, into, :3] - pelvis
        found = translation.solve(relative, own.points[:, taken], rows.camera.focal, rows.camera.principal_point)
    solved, valid = found.solved[:, None], found.valid(rows.meta.get("image_scale", 1))
    shift = found.pelvis - pelvis[:, 0]
    moved = joints + np.column_stack([shift, np.zeros(len(rows))])[:, None]
    if not found.solved.all():
        account.note("people whose place could not be solved have transl 0 and joints without confidence")
    if not valid[found.solved].all():
        account.note(
            f"people whose joints are over {translation.DOUBTFUL_PX:.0f} px from their 2D points are kept: "
            "meta/transl_valid is false"
        )
    meta = {"transl_residual_px": found.residual, "transl_valid": valid}
    return replace(
        posed,
        rows=replace(rows, meta=rows.meta | meta),
        body=body.with_(transl=np.where(solved, body.transl + shift, 0)),
        points3d=np.where(solved[..., None], moved, 0).astype(np.float32),
    )


def _placed_like(own: Keypoints, joints: Array, names: tuple[str, ...]) -> Keypoints:
    """The points, each row shifted to the middle of the joints that it shares."""
    into, taken = mapping(own.convention, names, approximate=True)
    theirs, ours = own.points[:, taken], joints[:, into]
    used = ((theirs[..., 3] > 0) & (ours[..., 3] > 0))[..., None]
    shift = np.where(used, ours[..., :3] - theirs[..., :3], 0).sum(1) / np.maximum(used.sum(1), 1)
    points = own.points.copy()
    points[..., :3] += shift[:, None]
    return Keypoints(points, own.convention)


def _homogeneous(points: Array) -> Array:
    """(N, J, 4) float32: points with confidence 1."""
    return np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2).astype(np.float32)


def _project(rows: Instances, points3d: Array) -> Array:
    """(N, J, 3) pixels and confidence: 0 for what the camera cannot see, 1 outside the image too."""
    assert rows.camera is not None
    bent = rows.camera.distortion
    if bent is not None and len(bent) and (bent == bent[0]).all():
        bent = bent[0]
    focal, centre = rows.camera.focal, rows.camera.principal_point
    points = cameras.keypoints2d(points3d[..., :3].astype(float), focal, centre, bent, lens=rows.camera.lens)
    points[points3d[..., 3] <= 0] = 0
    return points
