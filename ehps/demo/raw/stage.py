"""People before cameras: the common part of writing a small raw dataset in its own layout.

A writer decides frames, cameras and files as its dataset has them; this module poses the people, solves the raw
parameters so that they stand where the camera sees them, and paints the images. Joints and vertices come from
the ``smplx`` package and plain matrix products, never from :mod:`ehps.body`'s own evaluation, so that what a
converter makes of the files can be checked against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.arrays import Array
from ehps.body.helper_files import find_helper
from ehps.body.params import BodyParams, groups
from ehps.converters.base import Rigid
from ehps.errors import DataError

FRONT = np.diag([1.0, -1.0, -1.0])  # a body with y up, facing +z, as an upright camera in front of it sees it


@dataclass(frozen=True)
class Look:
    """What makes one dataset's images unlike another's.

    Attributes
    ----------
    style : name of a pose style (:mod:`ehps.demo.people`).
    scene : name of a background (:mod:`ehps.demo.backgrounds`).
    yaw : mean of how far people turn away from the camera, degrees.
    spread : its standard deviation, degrees.
    tilt : degrees that the camera looks down.
    share : range of the image's height that a standing person fills.
    people : smallest and largest number of people in an image.
    """

    style: str = "standing"
    scene: str = "outdoor"
    yaw: float = 0.0
    spread: float = 40.0
    tilt: float = 5.0
    share: tuple[float, float] = (0.55, 0.85)
    people: tuple[int, int] = (1, 2)

    def crowd(self, rng: np.random.Generator, images: int) -> Array:
        """(images,) number of people in each image."""
        return rng.integers(self.people[0], self.people[1] + 1, images)


@dataclass
class Truth:
    """What a converter must find: one row a person, in no particular order.

    Attributes
    ----------
    image_path : as the converter writes it.
    joints : (N, J, 3) camera frame of the stored image, m.
    points : (N, J, 2) their pixels in the stored image.
    gender : (N,) of the body model.
    """

    image_path: list[str]
    joints: Array
    points: Array
    gender: Array

    def __len__(self) -> int:
        return len(self.image_path)

    def __getitem__(self, rows: Sequence[int]) -> Truth:
        index = np.asarray(rows, int)
        paths = [self.image_path[i] for i in rows]
        return Truth(paths, self.joints[index], self.points[index], self.gender[index])

    @staticmethod
    def concat(parts: Sequence[Truth]) -> Truth:
        return Truth(
            [path for part in parts for path in part.image_path],
            np.concatenate([part.joints for part in parts]),
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.gender for part in parts]),
        )


@dataclass
class PaintedView:
    """A pinhole image: size in pixels (height, width), focal length, principal point (the middle by default)."""

    height: int
    width: int
    focal: float
    centre: tuple[float, float] | None = None

    @property
    def principal_point(self) -> Array:
        return np.array(self.centre if self.centre is not None else (self.width / 2, self.height / 2))

    @property
    def matrix(self) -> Array:
        k = np.diag([self.focal, self.focal, 1.0])
        k[:2, 2] = self.principal_point
        return k


@dataclass
class Cast:
    """N people in the dataset's own frame, each seen in one image.

    Attributes
    ----------
    params : body parameters in the raw frame.
    move : raw frame -> OpenCV camera frame of the person's image.
    image : (N,) which image each person is in, ascending.
    joints : (N, J, 3) joints in the camera frame, m: raw joints of the smplx package moved by ``move``.
    vertices : (N, V, 3) likewise.
    """

    params: BodyParams
    move: Rigid
    image: Array
    joints: Array
    vertices: Array

    def __len__(self) -> int:
        return len(self.params)

    def rows(self, image: int) -> Array:
        return np.flatnonzero(self.image == image)

    def only(self, image: int) -> Cast:
        """The people of one image, which becomes number 0."""
        rows = self.rows(image)
        move = Rigid(self.move.rotation[rows], self.move.translation[rows])
        zero = np.zeros(len(rows), int)
        return Cast(self.params[rows], move, zero, self.joints[rows], self.vertices[rows])

    def points(self, view: PaintedView) -> Array:
        """(N, J, 2) joints in the image."""
        return project(self.joints, view)

    def truth(self, paths: Sequence[str], view: PaintedView) -> Truth:
        """The rows a converter must find when image ``i`` is stored as ``paths[i]``."""
        return Truth([paths[i] for i in self.image], self.joints, self.points(view), self.params.gender)


def project(points: Array, view: PaintedView) -> Array:
    """(..., 2) pixels of camera-frame points (..., 3)."""
    return points[..., :2] / points[..., 2:] * view.focal + view.principal_point


def places(
    rng: np.random.Generator,
    people: Sequence[int] | Array,
    view: PaintedView,
    *,
    share: tuple[float, float] = (0.55, 0.85),
) -> tuple[Array, Array]:
    """Where people stand: image index (N,) and pelvis in the camera frame (N, 3).

    ``people`` is the number of people in each image; side by side, each filling about ``share`` of its height.
    """
    image = np.repeat(np.arange(len(people)), people)
    order = np.concatenate([rng.permutation(k) for k in people]) if len(image) else np.zeros(0)
    count = np.repeat(np.asarray(people), people)
    filled = rng.uniform(*share, len(image))
    depth = view.focal * 1.75 / (filled * view.height)
    u = (order + 0.5 + rng.uniform(-0.12, 0.12, len(image))) / count * view.width
    # The pelvis in the middle, or so low that the head of somebody taller than the image is in it.
    v = view.height * np.maximum(rng.uniform(0.47, 0.53, len(image)), 0.06 + 0.53 * filled)
    pixels = np.column_stack([u, v]) - view.principal_point
    return image, np.column_stack([pixels * (depth / view.focal)[:, None], depth])


def orientations(
    rng: np.random.Generator, n: int, *, yaw: float = 0.0, spread: float = 40.0, tilt: float = 0.0
) -> Array:
    """(N, 3, 3) body to camera: turned about the vertical by ``yaw`` +- ``spread`` degrees, camera looking down
    by ``tilt`` degrees."""
    angles = rng.normal(yaw, spread, n)
    return (
        Rotation.from_euler("x", tilt, degrees=True).as_matrix()
        @ FRONT
        @ Rotation.from_euler("y", angles[:, None], degrees=True).as_matrix()
    )


def cast(folder: Path, params: BodyParams, move: Rigid, image: Array, pelvis: Array, facing: Array) -> Cast:
    """Solve the raw ``global_orient`` and ``transl`` so that people stand at ``pelvis`` (camera frame) and face
    as ``facing`` (N, 3, 3) says, on top of the orientation that ``params`` already have."""
    n = len(params)
    rotation = np.broadcast_to(move.rotation, (n, 3, 3))
    translation = np.broadcast_to(move.translation, (n, 3))
    inverse = rotation.transpose(0, 2, 1)
    own = Rotation.from_rotvec(params.global_orient).as_matrix()
    params = params.with_(
        global_orient=Rotation.from_matrix(inverse @ facing @ own).as_rotvec(), transl=np.zeros((n, 3))
    )
    wanted = np.einsum("nij,nj->ni", inverse, pelvis - translation)
    params = params.with_(transl=wanted - rest_pelvis(folder, params))
    joints, vertices = package(folder, params)
    return Cast(
        params,
        Rigid(rotation, translation),
        image,
        moved(joints, rotation, translation),
        moved(vertices, rotation, translation),
    )


def moved(points: Array, rotation: Array, translation: Array) -> Array:
    """(N, K, 3) points through one rigid motion each."""
    return np.einsum("nij,nkj->nki", rotation, points) + translation[:, None]


def rest_pelvis(folder: Path, params: BodyParams) -> Array:
    """(N, 3) pelvis of each unposed body by the regressor of the ``smplx`` package's model."""
    import torch

    out = np.zeros((len(params), 3))
    for gender, kid, rows in groups(params):
        model = _model(folder, params.model_type, gender, params.betas.shape[1], params.flat_hand_mean, kid)
        values = _tensors(params[rows], kid)
        shape, directions = values["betas"], model.shapedirs
        if params.model_type == "smplx":
            shape = torch.cat([shape, values.get("expression", torch.zeros(len(rows), 0))], dim=1)
            directions = torch.cat([directions, model.expr_dirs], dim=2)[:, :, : shape.shape[1]]
        row = model.J_regressor[0]
        rest = row @ model.v_template + shape @ torch.einsum("v,vcs->sc", row, directions)
        out[rows] = rest.numpy()
    return out


def _tensors(params: BodyParams, kid: bool) -> dict[str, Any]:
    """The arguments of the package's model."""
    import torch

    arrays = params.arrays()
    if kid:
        arrays["betas"] = np.column_stack([params.betas, arrays["betas_extra"]])
    return {
        name: torch.tensor(value.reshape(len(params), -1), dtype=torch.float32)
        for name, value in arrays.items()
        if name not in ("betas_neutral", "betas_extra")
    }


def package(folder: Path, params: BodyParams) -> tuple[Array, Array]:
    """Joints (N, J, 3) and vertices (N, V, 3) of the ``smplx`` package, each row with its own gender's model; rows
    with ``betas_extra`` with the child template."""
    import torch

    joints: Array = np.zeros(0)
    vertices: Array = np.zeros(0)
    for gender, kid, rows in groups(params):
        for block in np.array_split(rows, max(1, len(rows) // 64)):
            part = params[block]
            values = _tensors(part, kid)
            model = _model(folder, params.model_type, gender, part.betas.shape[1], params.flat_hand_mean, kid)
            with torch.no_grad():
                out = model(**values, return_verts=True)
            if not joints.size:
                joints = np.zeros((len(params), *out.joints.shape[1:]))
                vertices = np.zeros((len(params), *out.vertices.shape[1:]))
            joints[block], vertices[block] = out.joints.numpy(), out.vertices.numpy()
    return joints, vertices


_POSEDIRS: dict[tuple[Path, str, str], Any] = {}  # nine tenths of a model, the same for any shape space and hands


@cache
def _model(folder: Path, model_type: str, gender: str, num_betas: int, flat_hand_mean: bool, kid: bool = False) -> Any:
    import contextlib
    import io

    import smplx

    extra: dict[str, Any] = {}
    if kid:
        extra = {"age": "kid", "kid_template_path": str(find_helper(folder, f"kid_{model_type}"))}
    if model_type == "smplx":
        extra |= {"use_face_contour": True, "num_expression_coeffs": 10}
    if model_type != "smpl":
        extra |= {"use_pca": False, "flat_hand_mean": flat_hand_mean}
    with contextlib.redirect_stdout(io.StringIO()):
        model = smplx.create(
            str(folder),
            model_type,
            gender=gender,
            num_betas=num_betas,
            ext="npz" if model_type == "smplx" else "pkl",
            **extra,
        )
    model.posedirs = _POSEDIRS.setdefault((folder, model_type, gender), model.posedirs)
    return model


def hand_components(folder: Path, gender: str) -> dict[str, Array]:
    """(45, 45) PCA components of the left and right hand of SMPL-X, one a row."""
    with np.load(folder / "smplx" / f"SMPLX_{gender.upper()}.npz") as model:
        return {"left": model["hands_componentsl"], "right": model["hands_componentsr"]}


def faces(folder: Path, model_type: str) -> Array:
    """(F, 3) triangles of the body model."""
    return np.asarray(_model(folder, model_type, "neutral", 10, False).faces).astype(np.int64)


@cache
def surface(folder: Path, model_type: str) -> tuple[Array, Array]:
    """(F, 3) triangles of the body model and (V,) the region of clothing of each vertex."""
    from ehps.demo.clothing import regions

    model = _model(folder, model_type, "neutral", 10, False)
    return faces(folder, model_type), regions(model.lbs_weights.numpy(), model.v_template.numpy())


def paint(
    root: Path,
    paths: Sequence[str],
    people: Cast,
    view: PaintedView,
    models: Path,
    rng: np.random.Generator,
    *,
    scene: str,
    quarter_turns: int = 0,
) -> None:
    """Render every image of a cast to ``root / path``.

    ``scene`` names the background; ``quarter_turns`` turns the image counter-clockwise before storing.
    """
    import cv2

    from ehps.body.rendering import render
    from ehps.demo.backgrounds import background
    from ehps.demo.clothing import dress

    triangles, region = surface(models, people.params.model_type)
    size = (view.height, view.width)
    for index, path in enumerate(paths):
        rows = people.rows(index)
        colours = np.stack([dress(rng, region) for _ in rows])
        backdrop = background(rng, scene, size)
        image = render(people.vertices[rows], triangles, colours, view.matrix, size, backdrop)
        image = np.ascontiguousarray(np.rot90(image, quarter_turns)[..., ::-1])
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(root / path), image):
            raise DataError("cannot write the image", path=root / path)
