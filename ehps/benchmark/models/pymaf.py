"""PyMAF: SMPL from one image by mesh-aligned features of a pyramid.

Paper: Zhang et al., PyMAF, ICCV 2021; its weights are for research only. (N, 3, 224, 224) RGB of a square crop ->
SMPL of four stages, the last of which is the answer; 45.17 M parameters, 12.6 GFLOP.

A ResNet-50's features are doubled in size three times. After each doubling they are read at points on the image: first
on a grid, then where the mesh of the stage before lies; a regressor corrects the parameters by what was read. Stage 0
is the mean parameters themselves. Gradients do not pass from one stage to the one before.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ehps.arrays import Array
from ehps.benchmark.models.colours import ImageNetColours
from ehps.benchmark.models.outputs import SQUARE_CAMERA, SmplPrediction
from ehps.benchmark.models.resnet import ResNet50
from ehps.benchmark.models.smpl_stages import keep_mean, last_stage, neutral_smpl, without_smpl
from ehps.benchmark.training import rotations_6d
from ehps.body.model_file import BodyModel
from ehps.body.torch_meshes import TorchMesh

Auxiliary = Literal["iuv", "parts", "none"]
Feedback = Literal["global", "grid", "mesh"]
Start = Literal["grid", "mesh"]

STEPS = 3
CHANNELS = 256  # of every level of the pyramid
GRID = 21  # points along a side
VERTICES, POINTS = 6890, 431
READ = 5  # numbers read at a point
FEW_PIXELS = 64


class PointReader(nn.Module):
    """What the features say at points: a small network of each point's feature, the same for all."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("Dmap", torch.zeros(POINTS, VERTICES))  # points of the mesh, as shares of vertices
        self.conv0 = nn.Conv1d(CHANNELS, 128, 1)
        self.conv1 = nn.Conv1d(128 + CHANNELS, 64, 1)
        self.conv2 = nn.Conv1d(64 + CHANNELS, READ, 1)
        self.needed: TorchMesh | None = None

    Dmap: Tensor
    shares: Tensor

    def prepare(self, smpl: TorchMesh) -> None:
        """Keep of the body model the vertices that the points are made of: 431 when each point is a vertex."""
        ids = self.Dmap.any(0).nonzero().squeeze(1)  # K
        self.needed = smpl.of(ids)
        self.register_buffer("shares", self.Dmap[:, ids], persistent=False)  # 431 x K

    def mesh_points(self, pose: Tensor, betas: Tensor, camera: Tensor) -> Tensor:
        """(N, 431, 2): where points of the mesh of (N, 144) 6-D, (N, 10), (N, 3) lie in the image, -1 to 1."""
        assert self.needed is not None
        vertices, _ = self.needed(rotations_6d.from_6d(pose.view(-1, 24, 6)), betas)  # N x K x 3
        with torch.autocast(pose.device.type, enabled=False):
            return SQUARE_CAMERA.project(self.shares @ vertices, camera)

    def forward(self, features: Tensor, points: Tensor) -> Tensor:
        """Features (N, 256, h, w) at points (N, P, 2), -1 to 1 as x, y -> (N, 5 P), number by number."""
        read = functional.grid_sample(features, points[:, :, None], align_corners=True)[..., 0]  # N x 256 x P
        y = functional.leaky_relu(self.conv0(read))  # N x 128 x P
        y = functional.leaky_relu(self.conv1(torch.cat((y, read), 1)))  # N x 64 x P
        y = functional.relu(self.conv2(torch.cat((y, read), 1)))  # N x 5 x P
        return y.flatten(1)


class Regressor(nn.Module):
    """Corrects parameters by what was read. No activation stands between its layers, as in the original."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        keep_mean(self, camera=(0.9, 0.0, 0.0))
        self.fc1, self.drop1 = nn.Linear(inputs + 157, 1024), nn.Dropout()
        self.fc2, self.drop2 = nn.Linear(1024, 1024), nn.Dropout()
        self.decpose, self.decshape, self.deccam = nn.Linear(1024, 144), nn.Linear(1024, 10), nn.Linear(1024, 3)
        for head in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(head.weight, gain=0.01)

    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def forward(self, read: Tensor, pose: Tensor, betas: Tensor, camera: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, inputs), and (N, 144) 6-D, (N, 10), (N, 3) -> the three corrected, float32 whatever the precision."""
        with torch.autocast(read.device.type, enabled=False):
            x = self.drop1(self.fc1(torch.cat((read.float(), pose, betas, camera), 1)))
            x = self.drop2(self.fc2(x))
            return pose + self.decpose(x), betas + self.decshape(x), camera + self.deccam(x)


class SurfaceHead(nn.Module):
    """Dense correspondence of every pixel of the finest level: part, place in it, and the annotators' coarser part."""

    def __init__(self) -> None:
        super().__init__()
        self.predict_u = nn.Conv2d(CHANNELS, 25, 3, padding=1)
        self.predict_v = nn.Conv2d(CHANNELS, 25, 3, padding=1)
        self.predict_ann_index = nn.Conv2d(CHANNELS, 15, 3, padding=1)
        self.predict_uv_index = nn.Conv2d(CHANNELS, 25, 3, padding=1)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(N, 256, 56, 56) -> scores of 25 parts (0 is background), u and v in each, scores of 15 coarser parts."""
        return {
            "iuv_index": self.predict_uv_index(features),
            "iuv_u": self.predict_u(features),
            "iuv_v": self.predict_v(features),
            "iuv_annotation": self.predict_ann_index(features),
        }


class PartHead(nn.Module):
    """The joint that each pixel of the finest level moves with."""

    def __init__(self) -> None:
        super().__init__()
        self.predict_part = nn.Conv2d(CHANNELS, 25, 3, padding=1)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(N, 256, 56, 56) -> scores of 24 joints (0 is background)."""
        return {"part_index": self.predict_part(features)}


class NoHead(nn.Module):
    """Nothing beside the body."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """No maps."""
        return {}


class PyMAF(nn.Module):
    """See the module docstring. The defaults are the released model.

    Parameters
    ----------
    smpl : the neutral SMPL model; without it the network can be built and filled, but not run.
    auxiliary : what the finest level learns beside, in training: ``iuv`` dense correspondence, ``parts`` part
        segmentation, or ``none`` (table 5 of the paper).
    feedback : where features are read: at vertices of the ``mesh``, on the ``grid`` at every step, or their ``global``
        mean (table 4).
    pyramid : a level and a regressor a step; else the finest level and one regressor for all steps (table 4).
    start : where mesh feedback reads at its first step: ``grid``, or ``mesh`` of the mean parameters (table 6).

    Raises
    ------
    ValueError : settings that exclude each other.
    BodyModelError : ``smpl`` is another model.
    """

    antialias = True
    input_size = (224, 224)

    def __init__(
        self,
        smpl: BodyModel | None = None,
        auxiliary: Auxiliary = "iuv",
        *,
        feedback: Feedback = "mesh",
        pyramid: bool = True,
        start: Start = "grid",
    ) -> None:
        super().__init__()
        for name, value, choices in (
            ("auxiliary", auxiliary, Auxiliary),
            ("feedback", feedback, Feedback),
            ("start", start, Start),
        ):
            if value not in get_args(choices):
                raise ValueError(f"{name} is {value!r}, not one of {', '.join(get_args(choices))}")
        if feedback == "mesh" and not pyramid and start == "grid":
            raise ValueError("one regressor for all steps reads equally many points at each: start must be 'mesh'")
        self.pyramid = pyramid
        self.places = [start if feedback == "mesh" and step == 0 else feedback for step in range(STEPS)]
        sizes = {"global": CHANNELS, "grid": READ * GRID**2, "mesh": READ * POINTS}
        levels = STEPS if pyramid else 1
        self.register_buffer("points_grid", grid())
        self.colours = ImageNetColours()
        self.feature_extractor = ResNet50()
        self.deconv_layers = doublings()
        self.maf_extractor = nn.ModuleList(PointReader() for _ in range(0 if feedback == "global" else levels))
        self.regressor = nn.ModuleList(Regressor(sizes[self.places[step]]) for step in range(levels))
        self.dp_head = {"iuv": SurfaceHead, "parts": PartHead, "none": NoHead}[auxiliary]()
        self.smpl = neutral_smpl(smpl) if smpl is not None else None
        if smpl is not None:
            dmap = torch.as_tensor(make_dmap(smpl.v_template))
            for reader in self.maf_extractor:
                assert isinstance(reader, PointReader)
                reader.Dmap.copy_(dmap)
        self.register_load_state_dict_post_hook(PyMAF._prepare)
        self._prepare()

    points_grid: Tensor

    def _prepare(self, *_: object) -> None:
        """Of the body model, what the present ``Dmap`` needs."""
        for step, place in enumerate(self.places if self.pyramid else self.places[:1]):
            if place == "mesh" and self.smpl is not None:
                reader = self.maf_extractor[step]
                assert isinstance(reader, PointReader)
                reader.prepare(self.smpl)

    def forward(self, image: Tensor) -> SmplPrediction:
        """(N, 3, 224, 224) RGB in [0, 1] -> SmplPrediction; its extras hold all four stages, and maps in training.

        Raises
        ------
        BodyModelError : built without the SMPL model.
        """
        if self.smpl is None:
            raise without_smpl("PyMAF")
        features = self.feature_extractor(self.colours(image))  # N x 2048 x 7 x 7
        if not self.pyramid:
            features = self.deconv_layers(features)  # N x 256 x 56 x 56
        first, n = self.regressor[0], len(image)
        assert isinstance(first, Regressor)
        stages = [tuple(mean.expand(n, -1) for mean in (first.init_pose, first.init_shape, first.init_cam))]
        for step, place in enumerate(self.places):
            which = step if self.pyramid else 0
            if self.pyramid:
                features = self.deconv_layers[3 * step : 3 * step + 3](features)  # N x 256 x 14, 28, 56
            before = [values.detach() for values in stages[-1]]
            read = self._read(place, which, features, before)
            stages.append(self.regressor[which](read, *before))
        poses, betas, cameras = (list(values) for values in zip(*stages, strict=True))
        out = last_stage([rotations_6d.from_6d(pose.view(n, 24, 6)) for pose in poses], betas, cameras)
        if self.training:
            out.extras |= self.dp_head(features)
        return out

    def _read(self, place: str, which: int, features: Tensor, before: list[Tensor]) -> Tensor:
        """(N, K) of features (N, 256, h, w), given pose, betas and camera of the stage before."""
        if place == "global":
            return features.mean((2, 3))
        reader = self.maf_extractor[which]
        assert isinstance(reader, PointReader)
        if place == "grid":
            points = self.points_grid.transpose(1, 2).expand(len(features), -1, -1)  # N x 441 x 2
        else:
            points = reader.mesh_points(*before)  # N x 431 x 2
        out: Tensor = reader(features, points)
        return out


def grid() -> Tensor:
    """(1, 2, 441) x and y of the grid's points. x varies slowest: the released regressors know them by this order."""
    side = torch.linspace(-1, 1, GRID)
    return torch.stack(torch.meshgrid(side, side, indexing="ij")).reshape(1, 2, -1)


class Doubling(nn.ConvTranspose2d):
    """Transposed 4 x 4 convolution to 256 channels and twice the size."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, CHANNELS, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, h, w) -> (N, 256, 2 h, 2 w)."""
        n, _, height, width = x.shape
        if x.device.type == "cpu" and n * height * width < FEW_PIXELS:
            # the weights are a matrix as they lie; the library would reorder all 33 MB of them for one image
            columns = self.weight.flatten(1).t() @ x.flatten(2)  # N x (256 * 16) x h w
            return functional.fold(columns, (2 * height, 2 * width), 4, padding=1, stride=2)
        return super().forward(x, output_size)


def doublings() -> nn.Sequential:
    """Three times: transposed convolution to twice the size, normalisation, ReLU."""
    layers: list[nn.Module] = []
    for inputs in (2048, CHANNELS, CHANNELS):
        up = Doubling(inputs)
        nn.init.normal_(up.weight, std=0.001)
        layers += [up, nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def make_dmap(template: Array) -> Array:
    """(431, V) float32 that picks 431 vertices spread evenly over a (V, 3) template, for training from nothing.

    Each is the vertex that is farthest from those before it. Released weights bring the decimation that they know.
    """
    ids = [int(np.linalg.norm(template - template.mean(0), axis=1).argmax())]
    gaps = np.full(len(template), np.inf)
    while len(ids) < POINTS:
        gaps = np.minimum(gaps, np.linalg.norm(template - template[ids[-1]], axis=1))
        ids.append(int(gaps.argmax()))
    out = np.zeros((POINTS, len(template)), np.float32)
    out[np.arange(POINTS), ids] = 1
    return out
