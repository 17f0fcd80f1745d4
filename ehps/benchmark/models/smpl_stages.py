"""What networks for SMPL share that refine their answer in stages: where they begin, their body model, their answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ehps.benchmark.models.outputs import SmplPrediction
from ehps.body.model_file import BodyModel
from ehps.body.topology import NAMES
from ehps.body.torch_meshes import TorchMesh
from ehps.errors import BodyModelError

UPRIGHT = (1.0, 0.0, 0.0, -1.0, 0.0, 0.0)  # half a turn about x: the camera's y points down
IDENTITY = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def keep_mean(module: nn.Module, camera: tuple[float, float, float]) -> None:
    """Give ``module`` the buffers ``init_pose``, ``init_shape`` and ``init_cam``, which released files fill.

    Until then: an upright body in the rest pose that faces the camera, of mean shape.
    """
    pose = torch.tensor((*UPRIGHT, *(IDENTITY * 23)))
    module.register_buffer("init_pose", pose[None])  # 1 x 144
    module.register_buffer("init_shape", torch.zeros(1, 10))
    module.register_buffer("init_cam", torch.tensor((camera,)))  # 1 x 3


def neutral_smpl(model: BodyModel) -> TorchMesh:
    """The body model inside a network.

    Raises
    ------
    BodyModelError : it is not the neutral SMPL.
    """
    if (model.model_type, model.gender) != ("smpl", "neutral"):
        raise BodyModelError(
            f"is the {model.gender} {NAMES[model.model_type]} model; the network was trained with the neutral SMPL",
            path=model.path,
            fix="give it basicModel_neutral_lbs_10_207_0_v1.0.0.pkl or SMPL_NEUTRAL",
        )
    return TorchMesh(model)


def without_smpl(network: str) -> BodyModelError:
    """The error of a network that was built without body model and is run."""
    return BodyModelError(
        f"{network} needs the neutral SMPL model to run",
        fix="build it with smpl= what ehps.body.models.BodyModels(folder).get('smpl', 'neutral') reads "
        "(basicModel_neutral_lbs_10_207_0_v1.0.0.pkl or SMPL_NEUTRAL)",
    )


def last_stage(rotations: list[Tensor], betas: list[Tensor], cameras: list[Tensor]) -> SmplPrediction:
    """The answer of S stages: the last, with all of them in its extras.

    Parameters
    ----------
    rotations : S times (N, 24, 3, 3).
    betas : S times (N, 10).
    cameras : S times (N, 3).

    Returns
    -------
    SmplPrediction whose extras are ``stage_rotations`` (N, S, 24, 3, 3), ``stage_betas`` (N, S, 10) and
    ``stage_cameras`` (N, S, 3).
    """
    stages = {"rotations": rotations, "betas": betas, "cameras": cameras}
    return SmplPrediction(
        global_orient=rotations[-1][:, 0],
        body_pose=rotations[-1][:, 1:],
        betas=betas[-1],
        camera=cameras[-1],
        extras={f"stage_{name}": torch.stack(values, 1) for name, values in stages.items()},
    )
