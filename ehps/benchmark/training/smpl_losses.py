"""What PyMAF and SMPLer are trained for.

Facts: the public sources of both. Weights are those of their cards. Points are weighed by their confidence; a mean over
persons is one over those that the truth is known of, in this process and part of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ehps.benchmark import models
from ehps.benchmark.models.outputs import SQUARE_CAMERA, SmplPrediction
from ehps.benchmark.models.smpl_stages import neutral_smpl
from ehps.benchmark.training.smpl_points import BodyPoints, about_hips, marked_points, regressed_points
from ehps.benchmark.training.smpl_targets import SmplTargets, make
from ehps.benchmark.training.specs import TrainConfig
from ehps.benchmark.training.surface_maps import PartMaps, SurfaceMaps, chart_file, fitted_camera
from ehps.body.models import BodyModels
from ehps.body.torch_meshes import TorchMesh


@dataclass
class Stages:
    """What is compared of S stages of N persons, and K points of each.

    Attributes
    ----------
    rotations : (N, S, 24, 3, 3).
    betas : (N, S, 10).
    cameras : (N, S, 3).
    joints : (N, S, K, 3) metres.
    points : (N, S, K, 2), -1 to 1 across the crop.
    """

    rotations: Tensor
    betas: Tensor
    cameras: Tensor
    joints: Tensor
    points: Tensor


def draws_surfaces(config: TrainConfig) -> bool:
    """Whether a training needs DensePose's chart of the surface: PyMAF's unless another auxiliary is chosen."""
    with_maps = models.card(config.model).objective == f"{__name__}:MeshFeedback"
    return with_maps and config.model_args.get("auxiliary", "iuv") == "iuv"


class MeshFeedback(nn.Module):
    """Of PyMAF: points, pose, shape and camera of the three stages after the first, and what the auxiliary head says.

    Of 49 points half of those in the image, OpenPose's, have no weight, but count in the mean.
    """

    IN_IMAGE, IN_SPACE = 49, 24  # points that a mean is over

    def __init__(self, config: TrainConfig, body_models: BodyModels) -> None:
        super().__init__()
        self.weights = models.card(config.model).losses
        model = body_models.get("smpl", "neutral")
        self.mesh = neutral_smpl(model)
        self.body, self.note = marked_points(body_models, self.mesh)
        self.maps: PartMaps | SurfaceMaps | None = None
        if draws_surfaces(config):
            self.maps = SurfaceMaps(chart_file(body_models))
        elif config.model_args.get("auxiliary") == "parts":
            self.maps = PartMaps(model)

    def terms(self, out: SmplPrediction, packed: Tensor) -> dict[str, Tensor]:
        """Weighted terms by name, summed over stages."""
        truth = make(packed, self.body)
        stages = self.stages(out)
        rotations = rotation_errors(stages.rotations, truth).square()
        in_space = about_hips(stages.joints, truth.joints_marked[:, None].expand(stages.joints.shape[:2]))
        joints = (in_space - about_hips(truth.joints, truth.joints_marked)[:, None]).square().sum((1, 3))  # N x K
        points = (stages.points - truth.points[:, None]).square().sum((1, 3))
        shape = (stages.betas - truth.betas[:, None]).square().sum(1).mean(1)  # N
        terms = {
            "2D joints": (points * truth.points_mask).sum() / (2 * self.IN_IMAGE * len(packed)),
            "3D joints": of_persons((joints * truth.joints_mask).sum(1), truth.joints_mask) / (3 * self.IN_SPACE),
            "pose": over(rotations.sum(1).mean((2, 3)), truth.rotations_mask),
            "shape": over(shape, truth.shape_mask[:, 0]),
            "camera": torch.exp(-10 * stages.cameras[..., 0]).square().sum(1).mean(),
        }
        if self.maps is not None:
            terms |= self.map_terms(self.maps, out.extras, truth)
        return {name: self.weights[name] * value for name, value in terms.items()}

    def stages(self, out: SmplPrediction) -> Stages:
        """Of the stages after the first, which is the mean parameters."""
        rotations, betas, cameras = (out.extras[f"stage_{name}"][:, 1:] for name in ("rotations", "betas", "cameras"))
        joints = self.body(rotations.flatten(0, 1), betas.flatten(0, 1))
        points = SQUARE_CAMERA.project(joints, cameras.flatten(0, 1))
        shape = rotations.shape[:2]
        return Stages(rotations, betas, cameras, joints.unflatten(0, shape), points.unflatten(0, shape))

    def map_terms(
        self, maps: PartMaps | SurfaceMaps, found: Mapping[str, Tensor], truth: SmplTargets
    ) -> dict[str, Tensor]:
        """Terms of the auxiliary head, over persons whose mesh is known and has a camera."""
        with torch.no_grad():
            vertices, _ = self.mesh(truth.rotations, truth.betas)
            joints = self.body(truth.rotations, truth.betas)
            camera, sound = fitted_camera(joints, truth.points, truth.points_mask * self.body.known)
            known = truth.mesh_mask & sound  # N
            true = maps(vertices, camera)
        pairs = {"part index": "part_index"} if "part_index" in true else _INDICES
        terms = {
            name: over(functional.cross_entropy(found[key], true[key], reduction="none").mean((1, 2)), known)
            for name, key in pairs.items()
        }
        if "iuv_uv" in true:
            index = true["iuv_index"][:, None]  # N x 1 x 56 x 56
            error = sum(
                functional.smooth_l1_loss(found[key].gather(1, index)[:, 0], true["iuv_uv"][..., k], reduction="none")
                for k, key in enumerate(("iuv_u", "iuv_v"))
            )
            terms["u, v"] = over((error * (index[:, 0] > 0)).sum((1, 2)), known)
        return terms

    def points(self, out: SmplPrediction) -> Tensor:
        """(N, 24, 2) joints of the last stage, as shares of the crop."""
        return in_crop(self.mesh, out)


_INDICES = {"part index": "iuv_index", "annotation index": "iuv_annotation"}


class SurfaceAndPoints(nn.Module):
    """Of SMPLer: vertices, points and rotations of the last stage."""

    COUNT = 14  # points that a mean is over

    def __init__(self, config: TrainConfig, body_models: BodyModels) -> None:
        super().__init__()
        self.weights = models.card(config.model).losses
        self.mesh = neutral_smpl(body_models.get("smpl", "neutral"))
        self.body: BodyPoints
        self.body, pelvis, self.note = regressed_points(body_models, self.mesh)
        self.register_buffer("pelvis", pelvis, persistent=False)  # 24 + V

    pelvis: Tensor

    def terms(self, out: SmplPrediction, packed: Tensor) -> dict[str, Tensor]:
        """Weighted terms by name."""
        truth = make(packed, self.body)
        rotations = torch.cat((out.global_orient[:, None], out.body_pose), dim=1)
        joints = self.body(rotations, out.betas)  # N x K x 3
        points = out.camera[:, None, :1] * (joints[..., :2] + out.camera[:, None, 1:])  # N x K x 2
        with torch.no_grad():
            surface = self.about_pelvis(truth.rotations, truth.betas)
        vertices = (self.about_pelvis(rotations, out.betas) - surface).abs().mean((1, 2))  # N
        marked = truth.joints_marked
        in_space = (about_hips(joints, marked) - about_hips(truth.joints, marked)).square().sum(-1)  # N x K
        in_image = (points - truth.points).square().sum(-1)
        errors = rotation_errors(rotations[:, None], truth).abs()[:, 0]
        terms = {
            "vertices": over(vertices, truth.mesh_mask),
            "2D joints": (in_image * truth.points_mask).sum() / (2 * self.COUNT * len(packed)),
            "3D joints": of_persons((in_space * truth.joints_mask).sum(1), truth.joints_mask) / (3 * self.COUNT),
            "pose": over(errors.mean((2, 3)), truth.rotations_mask),
        }
        return {name: self.weights[name] * value for name, value in terms.items()}

    def about_pelvis(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """(N, V, 3) vertices less the pelvis."""
        vertices, joints = self.mesh(rotations, betas)
        return vertices - (self.pelvis @ torch.cat((joints, vertices), dim=1))[:, None]

    def points(self, out: SmplPrediction) -> Tensor:
        """(N, 24, 2) joints, as shares of the crop."""
        return in_crop(self.mesh, out)


def in_crop(mesh: TorchMesh, out: SmplPrediction) -> Tensor:
    """(N, 24, 2) joints as shares of the crop's width and height."""
    rotations = torch.cat((out.global_orient[:, None], out.body_pose), dim=1)
    return (SQUARE_CAMERA.project(mesh.joints(rotations, out.betas), out.camera) + 1) / 2


def rotation_errors(rotations: Tensor, truth: SmplTargets) -> Tensor:
    """(N, S, 24, 3, 3)."""
    return rotations - truth.rotations[:, None]


def over(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask, of the same shape, is not 0; 0 where it is nowhere."""
    kept = (mask > 0).to(values.dtype)
    return (values * kept).sum() / kept.sum().clamp_min(1)


def of_persons(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (N,) over the persons who have any point in (N, K)."""
    return over(values, (mask > 0).any(dim=1))
