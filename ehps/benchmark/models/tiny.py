"""``tiny``: a small ViT with task tokens, for laptops and tests.

The same outputs as the large models (SMPL-X in the virtual camera of the crop), 1 M parameters, one pass over a
128 x 96 crop. Beside the task tokens it reads every patch at its place, which a few hundred images are enough to learn
from; attention alone needs many more. It is a real model that learns; it is not meant to be a good one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ehps.benchmark.models import precision
from ehps.benchmark.models.outputs import CAMERA, Prediction
from ehps.benchmark.training import rotations_6d

# token -> numbers read from it
TASKS = {"root": 6, "body": 126, "left_hand": 90, "right_hand": 90, "face": 16, "shape": 10, "camera": 3}

SQUEEZED = 24  # numbers kept of each patch


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same shape."""
        n, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(n, tokens, 3, self.heads, -1)  # (N, tokens, 3, heads, width / heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, tokens, width / heads)
        attended = functional.scaled_dot_product_attention(q, k, v)
        attended = attended.transpose(1, 2).reshape(n, tokens, width)
        x = x + self.proj(attended)
        return x + self.mlp(self.norm2(x))


class TinyViT(nn.Module):
    """See the module docstring.

    Parameters
    ----------
    width : numbers a token.
    depth : blocks.
    heads : attention heads a block.
    patch : pixels of a square patch.
    input_size : (height, width) of the crop, multiples of ``patch``.
    """

    antialias = True

    def __init__(
        self,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        patch: int = 16,
        input_size: tuple[int, int] = (128, 96),
    ) -> None:
        super().__init__()
        for name, value, most in (
            ("width", width, 4096),
            ("depth", depth, 64),
            ("heads", heads, 64),
            ("patch", patch, 64),
        ):
            if not isinstance(value, int) or not 0 < value <= most:
                raise ValueError(f"{name} is {value!r}, not a whole number from 1 to {most}")
        if width % heads:
            raise ValueError(f"width {width} is no multiple of its {heads} heads")
        height, breadth = input_size
        if any(not isinstance(n, int) or n % patch or not 0 < n <= 4096 for n in (height, breadth)):
            raise ValueError(f"input_size is {input_size!r}, not two multiples of patch {patch} up to 4096")
        self.input_size = (height, breadth)
        rows, columns = self.input_size[0] // patch, self.input_size[1] // patch
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.position = nn.Parameter(torch.randn(1, rows * columns, width) * 0.02)
        self.tokens = nn.Parameter(torch.randn(1, len(TASKS), width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.squeeze = nn.Linear(width, SQUEEZED)
        self.place = nn.Sequential(
            nn.Linear(rows * columns * SQUEEZED, 2 * width), nn.GELU(), nn.Linear(2 * width, len(TASKS) * width)
        )
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in TASKS.items()})
        self._start()

    def _start(self) -> None:
        """Begin at an upright person who faces the camera and fills the box."""
        identity = torch.tensor((1.0, 0.0, 0.0, 1.0, 0.0, 0.0))
        upright = torch.tensor((1.0, 0.0, 0.0, -1.0, 0.0, 0.0))  # half a turn about x
        for name, head in self.heads.items():
            assert isinstance(head, nn.Linear)
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
            with torch.no_grad():
                if name in ("body", "left_hand", "right_hand"):
                    head.bias.copy_(identity.repeat(TASKS[name] // 6))
                elif name == "root":
                    head.bias.copy_(upright)
                elif name == "face":
                    head.bias[:6] = identity
                elif name == "camera":
                    # a 1.8 m person over 5/6 of the 256 rows: depth 42 m of 56 m; the origin is at the chest
                    head.bias.copy_(torch.tensor((0.0, 0.3, 1.1)))

    def forward(self, image: Tensor) -> Prediction:
        """(N, 3, h, w) RGB in [0, 1] -> Prediction."""
        n = len(image)
        patches = self.patches(image * 2 - 1)  # (N, width, h / patch, w / patch)
        patches = patches.flatten(2).transpose(1, 2) + self.position  # (N, patches, width)
        x = torch.cat((self.tokens.expand(n, -1, -1), patches), dim=1)  # (N, tasks + patches, width)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        squeezed = self.squeeze(x[:, len(TASKS) :])  # (N, patches, SQUEEZED)
        where = self.place(squeezed.flatten(1)).reshape(n, len(TASKS), -1)  # (N, tasks, width)
        x = x[:, : len(TASKS)] + where
        with precision.full(x):  # in half precision each joint would be a tenth of a degree off
            out = {name: self.heads[name](x[:, i].float()) for i, name in enumerate(TASKS)}

        def matrices(values: Tensor) -> Tensor:
            """(N, 6 k) -> (N, k, 3, 3)."""
            return rotations_6d.from_6d(values.reshape(n, -1, 6))

        return Prediction(
            global_orient=matrices(out["root"])[:, 0],
            body_pose=matrices(out["body"]),
            left_hand_pose=matrices(out["left_hand"]),
            right_hand_pose=matrices(out["right_hand"]),
            jaw_pose=matrices(out["face"][:, :6])[:, 0],
            betas=out["shape"],
            expression=out["face"][:, 6:],
            cam_trans=CAMERA.translation(out["camera"]),
        )
