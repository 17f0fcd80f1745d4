"""SMPLer-X: SMPL-X of one person from a crop, by a ViT with task tokens, heat maps and a second look at each hand.

Paper: Cai et al., SMPLer-X: Scaling Up Expressive Human Pose and Shape Estimation, NeurIPS 2023 (arXiv 2309.17448);
the heads are those of OSX (Lin et al., CVPR 2023). Released weights: S-Lab licence, non-commercial.
Input: (N, 3, 512, 384) RGB in [0, 1] without further normalisation, or (N, 3, 256, 192), the same crop's pixels at even
rows and columns. Output: :class:`~ehps.benchmark.models.outputs.Prediction` with extras:

- ``joint_img`` (N, 65, 3): body and hand joints as image points, x, y in patches (1 patch = 32 pixels of the
  512 x 384 crop), z from 0 to 16 through a cube of 2 m about the pelvis, or 0.3 m about the wrist;
- ``left_hand_joint_img``, ``right_hand_joint_img`` (N, 20, 3): the hands' joints in the 16 x 16 grid of their boxes;
- ``left_hand_bbox``, ``right_hand_bbox``, ``face_bbox`` (N, 4) x1, y1, x2, y2 in pixels of the 512 x 384 crop;
  ``*_bbox_center`` and ``*_bbox_size`` (N, 2) x, y in patches, the boxes before they are made square and widened.

Where this differs from the authors' code: the original takes a cross product over the first axis of length 3, which in
a batch of three is the wrong one for the root and the jaw; here a batch of three is like any other.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ehps.benchmark.models import precision
from ehps.benchmark.models.outputs import CAMERA, Prediction
from ehps.benchmark.models.roi_align import roi_align
from ehps.benchmark.models.vit import COLUMNS, PATCH, ROWS, SIZES, Size, ViT
from ehps.benchmark.training import rotations_6d

DEPTH = 16  # cells of a heat map in z
HAND_GRID = 16  # cells of a hand's crop, in x and y
BODY_JOINTS, HAND_JOINTS = 25, 20
WIDENED = {"left_hand": 2.0, "right_hand": 2.0, "face": 1.5}  # part boxes, after they are made square

# 31 task tokens; 4 and 5, once meant for the hands, are read by nobody
SHAPE, CAM, EXPRESSION, JAW, BODY = 0, 1, 2, 3, 6
TOKENS = BODY + BODY_JOINTS


def soft_argmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax of heat maps and its mean place.

    Parameters
    ----------
    logits : (N, J, D, H, W).

    Returns
    -------
    (N, J, D, H, W) softmax over all cells, and (N, J, 3) expected x, y, z in cells.
    """
    heat = logits.float().flatten(2).softmax(-1).view_as(logits)
    rows = heat.sum((2, 4))  # (N, J, H)
    columns = heat.sum((2, 3))  # (N, J, W)
    layers = heat.sum((3, 4))  # (N, J, D)
    means = [(p * torch.arange(p.shape[-1], device=p.device)).sum(-1) for p in (columns, rows, layers)]
    return heat, torch.stack(means, dim=-1)


def sample(features: Tensor, points: Tensor) -> Tensor:
    """Features at points of the map, bilinearly.

    Parameters
    ----------
    features : (N, C, H, W).
    points : (N, P, 2) x, y in cells, from (0, 0) to (W - 1, H - 1).

    Returns
    -------
    (N, P, C) float32
    """
    height, width = features.shape[-2:]
    x, y = points[:, None].unbind(-1)  # (N, 1, P)
    left, top = x.floor().clamp(0, width - 2), y.floor().clamp(0, height - 2)
    corner = (top * width + left).long().expand(-1, features.shape[1], -1)  # (N, C, P)
    cells = features.flatten(2)
    upper, lower = (
        torch.lerp(cells.gather(2, corner + row).float(), cells.gather(2, corner + row + 1).float(), x - left)
        for row in (0, width)
    )
    return torch.lerp(upper, lower, y - top).transpose(1, 2)


class Head(nn.Sequential):
    """Layers that compute in float32 under autocast too: a rotation, a depth or a mean over 3072 cells needs it."""

    def forward(self, x: Tensor) -> Tensor:
        with precision.full(x):
            return super().forward(x.float())


def upsampling(*widths: int) -> nn.Sequential:
    """Transposed convolutions, each of which doubles rows and columns, from one width to the next."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False))
        layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def start_small(part: nn.Module) -> None:
    """Small normal numbers for linear layers and smaller ones for convolutions; no biases."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if not module.weight.is_meta:  # normal_ would spend seconds on nothing
                nn.init.normal_(module.weight, std=0.01 if isinstance(module, nn.Linear) else 0.001)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class PositionNet(nn.Module):
    """Joints as the mean places of heat maps in three dimensions."""

    def __init__(self, width: int, joints: int) -> None:
        super().__init__()
        self.conv = Head(nn.Conv2d(width, joints * DEPTH, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, width, H, W) -> (N, J, 16, H, W) softmax and (N, J, 3) x, y, z in cells."""
        return soft_argmax(self.conv(features).unflatten(1, (-1, DEPTH)))


class BodyRegressor(nn.Module):
    """Root, body pose, shape and camera, from tokens and the joints' image points."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body_conv = Head(nn.Linear(width, 512))
        self.root_pose_out = Head(nn.Linear(BODY_JOINTS * (512 + 3), 6))
        self.body_pose_out = Head(nn.Linear(BODY_JOINTS * (512 + 3), 21 * 6))
        self.shape_out = Head(nn.Linear(width, 10))
        self.cam_out = Head(nn.Linear(width, 3))

    def forward(self, tokens: Tensor, joints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Parameters of the body.

        Parameters
        ----------
        tokens : (N, 31, width).
        joints : (N, 25, 3) image points.

        Returns
        -------
        (N, 6) root and (N, 126) body rotations in 6D, (N, 10) betas, (N, 3) raw camera.
        """
        x = torch.cat((self.body_conv(tokens[:, BODY:]), joints), dim=2).flatten(1)  # (N, 25 * 515)
        return (
            self.root_pose_out(x),
            self.body_pose_out(x),
            self.shape_out(tokens[:, SHAPE]),
            self.cam_out(tokens[:, CAM]),
        )


class BoxNet(nn.Module):
    """Where hands and face are: centres by heat maps of 128 x 96 cells, sizes from the features at the centres."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.deconv = upsampling(width + BODY_JOINTS * DEPTH, 256, 256, 256)
        self.bbox_center = Head(nn.Conv2d(256, 3, 1))
        self.lhand_size = Head(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))
        self.rhand_size = Head(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))
        self.face_size = Head(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))

    def forward(self, features: Tensor, heat: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes of left hand, right hand and face.

        Parameters
        ----------
        features : (N, width, 16, 12).
        heat : (N, 25, 16, 16, 12) of the body's joints.

        Returns
        -------
        (N, 3, 2) centres and (N, 3, 2) sizes: x, y in patches.
        """
        x = torch.cat((features, heat.flatten(1, 2)), dim=1)  # (N, width + 400, 16, 12)
        x = self.deconv(x.contiguous(memory_format=torch.channels_last))  # (N, 256, 128, 96); twice as fast on CPUs
        _, centers = soft_argmax(self.bbox_center(x)[:, :, None])
        centers = centers[..., :2]  # (N, 3, 2)
        at = sample(x, centers.detach())  # (N, 3, 256)
        sizes = (self.lhand_size(at[:, 0]), self.rhand_size(at[:, 1]), self.face_size(at[:, 2]))
        return centers / (x.shape[-1] / COLUMNS), torch.stack(sizes, dim=1)


def part_box(center: Tensor, size: Tensor, widened: float) -> Tensor:
    """(N, 2) centre and size in patches -> (N, 4) x1, y1, x2, y2 in pixels of 256 x 192: square and ``widened`` times
    larger. Detached: losses reach centre and size themselves."""
    half = size.amax(-1, keepdim=True) * (widened / 2)
    return torch.cat((center - half, center + half), dim=-1).detach() * PATCH


class HandRoiNet(nn.Module):
    """Features of both hands, cut out of a finer map; left hands mirrored to look like right ones."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.deconv = upsampling(width, width // 2, width // 4)
        self.conv = nn.Sequential(nn.Conv2d(width // 4, width, 1))

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Crops.

        Parameters
        ----------
        features : (N, width, 16, 12).
        boxes : (N, 2, 4) of left and right hands, pixels of 256 x 192.

        Returns
        -------
        (2 N, width, 16, 16): first all left hands, mirrored, then all right hands.
        """
        finer = self.deconv(features)  # (N, width / 4, 64, 48)
        cell = COLUMNS * PATCH / finer.shape[-1]  # 4 pixels
        hands = roi_align(finer, boxes / cell, HAND_GRID)  # (N, 2, width / 4, 16, 16)
        return self.conv(torch.cat((hands[:, 0].flip(-1), hands[:, 1])))


class HandRegressor(nn.Module):
    """Rotations of one hand's 15 joints, from the features at its 20 image points."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hand_conv = nn.Sequential(nn.Conv2d(width, 512, 1), nn.BatchNorm2d(512), nn.ReLU(inplace=True))
        self.hand_pose_out = Head(nn.Linear(HAND_JOINTS * (512 + 3), 15 * 6))

    def forward(self, features: Tensor, joints: Tensor) -> Tensor:
        """(N, width, 16, 16) and (N, 20, 3) x, y, z in cells -> (N, 90) in 6D."""
        at = sample(self.hand_conv(features), joints[..., :2])  # (N, 20, 512)
        return self.hand_pose_out(torch.cat((at, joints), dim=2).flatten(1))


class FaceRegressor(nn.Module):
    """Expression and jaw, from a token each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expr_out = Head(nn.Linear(width, 10))
        self.jaw_pose_out = Head(nn.Linear(width, 6))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 31, width) -> (N, 10) expression and (N, 6) jaw in 6D."""
        return self.expr_out(tokens[:, EXPRESSION]), self.jaw_pose_out(tokens[:, JAW])


class SmplerX(nn.Module):
    """See the module docstring.

    After ``model.to(memory_format=torch.channels_last)`` the up-convolutions are faster, at least on CPUs.

    Parameters
    ----------
    size : ``s``, ``b``, ``l`` or ``h``; or the measures of another ViT.
    drop_path : stochastic depth of the last block, instead of the size's own.
    """

    input_size = (ROWS * PATCH, COLUMNS * PATCH)
    antialias = False

    def __init__(self, size: str | Size = "s", drop_path: float | None = None) -> None:
        super().__init__()
        if isinstance(size, str):
            if size not in SIZES:
                raise ValueError(f"size is {size!r}, not one of {', '.join(SIZES)}")
            size = SIZES[size]
        width = size.width
        self.encoder = ViT(size, TOKENS, drop_path)
        self.body_position_net = PositionNet(width, BODY_JOINTS)
        self.body_regressor = BodyRegressor(width)
        self.box_net = BoxNet(width)
        self.hand_roi_net = HandRoiNet(width)
        self.hand_position_net = PositionNet(width, HAND_JOINTS)
        self.hand_regressor = HandRegressor(width)
        self.face_regressor = FaceRegressor(width)
        self.init_weights()

    def init_weights(self) -> None:
        """All but the encoder, which has its own beginning."""
        for name, part in self.named_children():
            if name != "encoder":
                start_small(part)

    def forward(self, image: Tensor) -> Prediction:
        """(N, 3, 512, 384) or (N, 3, 256, 192) RGB in [0, 1] -> Prediction; hands are relative to the mean hand."""
        n = len(image)
        tokens, patches = self.encoder(image)
        features = patches.mT.unflatten(2, (ROWS, COLUMNS))  # (N, width, 16, 12)

        heat, body_points = self.body_position_net(features)
        root, body, betas, camera = self.body_regressor(tokens, body_points.detach())

        centers, sizes = self.box_net(features, heat.detach())
        boxes = {name: part_box(centers[:, i], sizes[:, i], factor) for i, (name, factor) in enumerate(WIDENED.items())}
        hand_boxes = torch.stack((boxes["left_hand"], boxes["right_hand"]), dim=1)  # (N, 2, 4)

        hands = self.hand_roi_net(features, hand_boxes)  # (2 N, width, 16, 16)
        _, points = self.hand_position_net(hands)  # (2 N, 20, 3)
        left, right = rotations_6d.from_rows(self.hand_regressor(hands, points.detach())).split(n)
        points = torch.stack((unmirrored(points[:n]), points[n:]), dim=1)  # (N, 2, 20, 3)

        expression, jaw = self.face_regressor(tokens)
        extras = {
            "joint_img": torch.cat((body_points, in_crop(points, hand_boxes).flatten(1, 2)), dim=1),
            "left_hand_joint_img": points[:, 0],
            "right_hand_joint_img": points[:, 1],
        }
        for i, name in enumerate(WIDENED):
            extras[f"{name}_bbox"] = boxes[name] * 2
            extras[f"{name}_bbox_center"] = centers[:, i]
            extras[f"{name}_bbox_size"] = sizes[:, i]
        return Prediction(
            global_orient=rotations_6d.from_rows(root)[:, 0],
            body_pose=rotations_6d.from_rows(body),
            left_hand_pose=rotations_6d.mirror(left),
            right_hand_pose=right,
            jaw_pose=rotations_6d.from_rows(jaw)[:, 0],
            betas=betas,
            expression=expression,
            cam_trans=CAMERA.translation(camera),
            extras=extras,
        )


def unmirrored(points: Tensor) -> Tensor:
    """(N, 20, 3) in the cells of a mirrored hand's crop -> in those of the hand's own."""
    x, y, z = points.unbind(-1)
    return torch.stack((HAND_GRID - 1 - x, y, z), dim=-1)


def in_crop(points: Tensor, boxes: Tensor) -> Tensor:
    """Hand joints in the units of the body's joints.

    Parameters
    ----------
    points : (N, 2, 20, 3) in cells of the hands' crops.
    boxes : (N, 2, 4) of the hands, pixels of 256 x 192.

    Returns
    -------
    (N, 2, 20, 3): x, y in patches, z as it was.
    """
    corner, end = (boxes[:, :, None] / PATCH).split(2, dim=-1)  # each (N, 2, 1, 2)
    return torch.cat((points[..., :2] * ((end - corner) / HAND_GRID) + corner, points[..., 2:]), dim=-1)
