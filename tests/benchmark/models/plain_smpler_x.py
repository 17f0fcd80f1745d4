"""SMPLer-X written out a second time, from its description alone, to compare the package's network with.

Plain functions over a state dict whose names are those of ``keys/smpler_x_*.txt``. Nothing of the package is used,
formulas are written out (attention a head at a time, RoI-align as two small interpolation matrices a box), and the
constants that are easily got wrong stand at the top, where a test can change them and see that the output changes.
"""

from __future__ import annotations

from math import ceil, sqrt

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]

HEADS = {"s": 12, "b": 12, "l": 16, "h": 16}
NORM_EPS = 1e-6
BATCH_NORM_EPS = 1e-5
PATCH, PADDING, ROWS, COLUMNS = 16, 2, 16, 12
TASKS = {"shape": 0, "camera": 1, "expression": 2, "jaw": 3, "body": slice(6, 31)}
DEPTH_CELLS = 16
HAND_CELLS = 16
FOCAL, CAMERA_SIZE = 5000.0, 2.5
HAND_ENLARGEMENT, FACE_ENLARGEMENT = 2.0, 1.5


def forward(state: State, image: Tensor, size: str) -> dict[str, Tensor]:
    """All outputs for crops, image (N, 3, 512, 384) in [0, 1]; what is in it stands at each line."""
    n = len(image)
    tokens, features = encode(state, every_second_pixel(image), HEADS[size])
    tasks = {name: tokens[:, where] for name, where in TASKS.items()}

    volume, body_points = soft_argmax_3d(conv_1x1(state, "body_position_net.conv.0", features), 25)
    body = torch.cat([linear(state, "body_regressor.body_conv.0", tasks["body"]), body_points], dim=2)
    body = body.reshape(n, 25 * 515)

    centers, sizes = part_boxes(state, features, volume)
    corners = [
        restored_box(centers[0], sizes[0], HAND_ENLARGEMENT),
        restored_box(centers[1], sizes[1], HAND_ENLARGEMENT),
        restored_box(centers[2], sizes[2], FACE_ENLARGEMENT),
    ]  # xyxy pixels of 256 rows x 192 columns

    hand_features = hand_crops(state, features, corners[0], corners[1])  # (2N, C, 16, 16), all left, then all right
    _, points = soft_argmax_3d(conv_1x1(state, "hand_position_net.conv.0", hand_features), 20)
    hands = hand_rotations(state, hand_features, points)  # (2N, 15, 3, 3) as if all were right hands

    body_rotations = rotation(linear(state, "body_regressor.body_pose_out.0", body).reshape(n, 21, 6))
    return {
        "global_orient": rotation(linear(state, "body_regressor.root_pose_out.0", body)),  # (N, 3, 3)
        "body_pose": body_rotations,  # (N, 21, 3, 3)
        "left_hand_pose": mirrored(hands[:n]),  # (N, 15, 3, 3)
        "right_hand_pose": hands[n:],  # (N, 15, 3, 3)
        "jaw_pose": rotation(linear(state, "face_regressor.jaw_pose_out.0", tasks["jaw"])),  # (N, 3, 3)
        "betas": linear(state, "body_regressor.shape_out.0", tasks["shape"]),  # (N, 10)
        "expression": linear(state, "face_regressor.expr_out.0", tasks["expression"]),  # (N, 10)
        "cam_trans": translation(linear(state, "body_regressor.cam_out.0", tasks["camera"])),  # (N, 3) metres
        "joint_img": torch.cat(
            [body_points, within(corners[0], flipped_back(points[:n])), within(corners[1], points[n:])], dim=1
        ),  # (N, 65, 3) cells of 12 x 16 x 16
        "left_hand_bbox_center": centers[0],  # (N, 2) x, y in cells of 12 x 16
        "right_hand_bbox_center": centers[1],
        "face_bbox_center": centers[2],
        "left_hand_bbox_size": sizes[0],  # (N, 2) w, h in cells of 12 x 16
        "right_hand_bbox_size": sizes[1],
        "face_bbox_size": sizes[2],
        "left_hand_bbox": corners[0] * 2,  # (N, 4) xyxy pixels of 512 rows x 384 columns
        "right_hand_bbox": corners[1] * 2,
        "face_bbox": corners[2] * 2,
    }


# The encoder


def every_second_pixel(image: Tensor) -> Tensor:
    """(N, 3, 512, 384) -> (N, 3, 256, 192), even rows and columns."""
    return image[:, :, 0::2, 0::2]


def encode(state: State, pixels: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Task tokens (N, T, C) and image features (N, C, 16, 12) of pixels (N, 3, 256, 192)."""
    n = len(pixels)
    x = with_positions(patches(state, pixels), state["encoder.pos_embed"])  # (N, 192, C)
    tasks = state["encoder.task_tokens"].expand(n, -1, -1)
    x = torch.cat([tasks, x], dim=1)
    depth = sum(key.endswith("attn.qkv.weight") for key in state if key.startswith("encoder."))
    for i in range(depth):
        block = f"encoder.blocks.{i}"
        x = x + self_attention(state, f"{block}.attn", norm(state, f"{block}.norm1", x, NORM_EPS), heads)
        hidden = gelu(linear(state, f"{block}.mlp.fc1", norm(state, f"{block}.norm2", x, NORM_EPS)))
        x = x + linear(state, f"{block}.mlp.fc2", hidden)
    x = norm(state, "encoder.last_norm", x, NORM_EPS)
    count = tasks.shape[1]
    return x[:, :count], x[:, count:].transpose(1, 2).reshape(n, -1, ROWS, COLUMNS)


def patches(state: State, pixels: Tensor) -> Tensor:
    """(N, 192, C): each patch of 16 x 16 pixels times the projection; the first begins 2 pixels outside the image."""
    weight = state["encoder.patch_embed.proj.weight"].flatten(1)  # (C, 3*16*16)
    bias = state["encoder.patch_embed.proj.bias"]
    padded = functional.pad(pixels, (PADDING,) * 4)
    if min(padded.shape[2] - PATCH * ROWS, padded.shape[3] - PATCH * COLUMNS) < 0:
        raise ValueError("the padded image holds fewer patches than the map has cells")
    found = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            y, x = PATCH * row, PATCH * column
            found.append(padded[:, :, y : y + PATCH, x : x + PATCH].flatten(1) @ weight.T + bias)
    return torch.stack(found, dim=1)


def with_positions(x: Tensor, positions: Tensor) -> Tensor:
    """Position embedding (1, 193, C) on patches (N, 192, C): the first slot, of no token, goes to every patch."""
    return x + positions[:, 1:] + positions[:, :1]


def self_attention(state: State, name: str, x: Tensor, heads: int) -> Tensor:
    """(N, T, C) -> (N, T, C); rows of the fused projection are ordered q, k, v, then head, then width."""
    width = x.shape[2] // heads
    fused = linear(state, f"{name}.qkv", x)
    q, k, v = fused.reshape(*x.shape[:2], 3, heads, width).unbind(2)  # (N, T, heads, width)
    return linear(state, f"{name}.proj", attention(q, k, v))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention, q (N, T, heads, width), k and v (N, S, heads, width) -> (N, T, heads * width)."""
    found = []
    for head in range(q.shape[2]):
        scores = (q[:, :, head] * q.shape[3] ** -0.5) @ k[:, :, head].transpose(1, 2)  # (N, T, S)
        found.append(softmax(scores) @ v[:, :, head])
    return torch.cat(found, dim=2)


def softmax(x: Tensor) -> Tensor:
    """Over the last axis."""
    e = torch.exp(x - x.max(dim=-1, keepdim=True).values)
    return e / e.sum(dim=-1, keepdim=True)


def norm(state: State, name: str, x: Tensor, eps: float) -> Tensor:
    """Layer norm over the last axis."""
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = (centred * centred).mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(variance + eps) * state[f"{name}.weight"] + state[f"{name}.bias"]


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / sqrt(2)))


def linear(state: State, name: str, x: Tensor) -> Tensor:
    bias = state.get(f"{name}.bias")
    y = x @ state[f"{name}.weight"].T
    return y if bias is None else y + bias


# Maps


def conv_1x1(state: State, name: str, maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, D, H, W)."""
    weight, bias = state[f"{name}.weight"][:, :, 0, 0], state[f"{name}.bias"]
    return (maps.movedim(1, -1) @ weight.T + bias).movedim(-1, 1)


def twice_as_large(state: State, name: str, index: int, maps: Tensor) -> Tensor:
    """Transposed convolution ``index`` of a stack, its batch norm (``index + 1``) and the rectifier."""
    maps = functional.conv_transpose2d(maps, state[f"{name}.{index}.weight"], stride=2, padding=1)
    return batch_norm(state, f"{name}.{index + 1}", maps).clamp(min=0)


def batch_norm(state: State, name: str, maps: Tensor) -> Tensor:
    """With the running statistics, channels on axis 1."""
    weight, bias, mean, variance = (
        state[f"{name}.{part}"].reshape(1, -1, 1, 1) for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (maps - mean) / torch.sqrt(variance + BATCH_NORM_EPS) * weight + bias


def soft_argmax_3d(maps: Tensor, joints: int) -> tuple[Tensor, Tensor]:
    """Of maps (N, joints * 16, H, W): probabilities (N, joints, 16, H, W) and the mean cell x, y, z (N, joints, 3)."""
    n, _, height, width = maps.shape
    volume = softmax(maps.reshape(n, joints, -1)).reshape(n, joints, DEPTH_CELLS, height, width)
    x = (volume.sum(dim=(2, 3)) * torch.arange(width)).sum(dim=2)
    y = (volume.sum(dim=(2, 4)) * torch.arange(height)).sum(dim=2)
    z = (volume.sum(dim=(3, 4)) * torch.arange(DEPTH_CELLS)).sum(dim=2)
    return volume, torch.stack([x, y, z], dim=2)


def soft_argmax_2d(maps: Tensor) -> Tensor:
    """Of maps (N, K, H, W): mean cell x, y (N, K, 2)."""
    n, k, height, width = maps.shape
    area = softmax(maps.reshape(n, k, -1)).reshape(n, k, height, width)
    x = (area.sum(dim=2) * torch.arange(width)).sum(dim=2)
    y = (area.sum(dim=3) * torch.arange(height)).sum(dim=2)
    return torch.stack([x, y], dim=2)


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values (N, K, C) of maps (N, C, H, W) at points (N, K, 2+), cell (x, y) = (0, 0) the first centre."""
    n, channels, height, width = maps.shape
    found = maps.new_zeros(n, points.shape[1], channels)
    for row in range(n):
        for k, (x, y) in enumerate(points[row, :, :2].tolist()):
            left, top = int(x // 1), int(y // 1)
            for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
                for line, down in ((top, 1 - (y - top)), (top + 1, y - top)):
                    if 0 <= column < width and 0 <= line < height:
                        found[row, k] += across * down * maps[row, :, line, column]
    return found


# Boxes of the hands and the face


def part_boxes(state: State, features: Tensor, volume: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Centres and sizes, each (N, 2) in cells of 12 x 16, of left hand, right hand and face."""
    maps = torch.cat([features, volume.reshape(len(features), -1, ROWS, COLUMNS)], dim=1)
    for index in (0, 3, 6):
        maps = twice_as_large(state, "box_net.deconv", index, maps)  # at last (N, 256, 128, 96)
    centers = soft_argmax_2d(conv_1x1(state, "box_net.bbox_center.0", maps))  # (N, 3, 2)
    at = sample(maps, centers)  # (N, 3, 256)
    sizes = []
    for k, part in enumerate(("lhand", "rhand", "face")):
        hidden = linear(state, f"box_net.{part}_size.0", at[:, k]).clamp(min=0)
        sizes.append(linear(state, f"box_net.{part}_size.2", hidden))
    return list((centers / 8).unbind(1)), sizes


def restored_box(center: Tensor, size: Tensor, enlargement: float) -> Tensor:
    """Square xyxy box (N, 4), pixels of 256 rows x 192 columns, of centre and size in cells of 12 x 16."""
    pixels = torch.tensor([192 / COLUMNS, 256 / ROWS], dtype=center.dtype)
    side = (size * pixels).max(dim=1, keepdim=True).values * enlargement
    return torch.cat([center * pixels - side / 2, center * pixels + side / 2], dim=1)


# The hands


def hand_crops(state: State, features: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Features (2N, C, 16, 16) in the boxes xyxy, pixels of 256 x 192: left hands, flipped, then right hands."""
    maps = features
    for index in (0, 3):
        maps = twice_as_large(state, "hand_roi_net.deconv", index, maps)  # at last (N, C/4, 64, 48)
    lefts = [roi_align(maps[row], left[row] / 4).flip(2) for row in range(len(maps))]
    rights = [roi_align(maps[row], right[row] / 4) for row in range(len(maps))]
    return conv_1x1(state, "hand_roi_net.conv.0", torch.stack([*lefts, *rights]))


def roi_align(maps: Tensor, box: Tensor) -> Tensor:
    """Mean of samples in 16 x 16 bins of a box xyxy: maps (C, H, W) -> (C, 16, 16), without the half-cell shift."""
    x1, y1, x2, y2 = box.tolist()
    down = sampled_bins(y1, y2 - y1, maps.shape[1]).to(maps.dtype)
    across = sampled_bins(x1, x2 - x1, maps.shape[2]).to(maps.dtype)
    return down @ maps @ across.T


def sampled_bins(start: float, length: float, cells: int) -> Tensor:
    """Weights (16, cells) of the mean of each bin's samples along one axis; a sample outside -1..cells counts as 0."""
    length = max(length, 1.0)
    step = length / HAND_CELLS
    count = ceil(step)
    weights = torch.zeros(HAND_CELLS, cells, dtype=torch.float64)
    for k in range(HAND_CELLS):
        for i in range(count):
            place = start + k * step + (i + 0.5) * step / count
            if place < -1 or place > cells:
                continue
            place = max(place, 0.0)
            low = int(place)
            if low >= cells - 1:
                weights[k, cells - 1] += 1 / count
            else:
                weights[k, low] += (1 - (place - low)) / count
                weights[k, low + 1] += (place - low) / count
    return weights


def hand_rotations(state: State, features: Tensor, points: Tensor) -> Tensor:
    """(M, 15, 3, 3) of hand features (M, C, 16, 16) and the 20 points (M, 20, 3) in them."""
    maps = conv_1x1(state, "hand_regressor.hand_conv.0", features)
    maps = batch_norm(state, "hand_regressor.hand_conv.1", maps).clamp(min=0)
    joints = torch.cat([sample(maps, points), points], dim=2).reshape(len(points), 20 * 515)
    return rotation(linear(state, "hand_regressor.hand_pose_out.0", joints).reshape(len(points), 15, 6))


def mirrored(rotations: Tensor) -> Tensor:
    """Rotations seen in a mirror across x: axis-angle (a, b, c) -> (a, -b, -c)."""
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=rotations.dtype))
    return mirror @ rotations @ mirror


def flipped_back(points: Tensor) -> Tensor:
    """Points (N, K, 3) of the flipped left-hand crop in the crop as it was."""
    x, y, z = points.unbind(-1)
    return torch.stack([HAND_CELLS - 1 - x, y, z], dim=-1)


def within(corners: Tensor, points: Tensor) -> Tensor:
    """Points (N, K, 3) of a hand's 16 x 16 cells in the 12 x 16 cells of the image; the box xyxy is in 192 x 256."""
    found = points.clone()
    for row, (x1, y1, x2, y2) in enumerate(corners.tolist()):
        found[row, :, 0] = x1 / 16 + points[row, :, 0] / HAND_CELLS * (x2 - x1) / 16
        found[row, :, 1] = y1 / 16 + points[row, :, 1] / HAND_CELLS * (y2 - y1) / 16
    return found


# Numbers to rotations and places


def rotation(numbers: Tensor) -> Tensor:
    """Matrices (..., 3, 3) of (..., 6): entries 0, 2, 4 and 1, 3, 5 are the first two columns before Gram-Schmidt."""
    pair = numbers.unflatten(-1, (3, 2))
    first, second = pair[..., 0], pair[..., 1]
    first = first / first.norm(dim=-1, keepdim=True)
    second = second - (first * second).sum(dim=-1, keepdim=True) * first
    second = second / second.norm(dim=-1, keepdim=True)
    a, b, c = first.unbind(-1)
    d, e, f = second.unbind(-1)
    third = torch.stack([b * f - c * e, c * d - a * f, a * e - b * d], dim=-1)
    return torch.stack([first, second, third], dim=-1)


def translation(numbers: Tensor) -> Tensor:
    """Metres (N, 3) of three numbers: x, y as they are, depth between 0 and that of 2.5 m that fill the crop."""
    farthest = sqrt(FOCAL * FOCAL * CAMERA_SIZE**2 / (256 * 192))
    depth = farthest / (1 + torch.exp(-numbers[:, 2]))
    return torch.stack([numbers[:, 0], numbers[:, 1], depth], dim=1)
