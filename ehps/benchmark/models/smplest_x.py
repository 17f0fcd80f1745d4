"""SMPLest-X: SMPL-X of one person from a crop, by a ViT with task tokens and a decoder over tokens and patches.

Paper: Yin et al., SMPLest-X: Ultimate Scaling for Expressive Human Pose and Shape Estimation (arXiv 2501.09782).
Released weights (the huge size only): S-Lab licence, non-commercial. Input and virtual camera as SMPLer-X
(:mod:`ehps.benchmark.models.smpler_x`); no boxes, no heat maps, and the left hand is predicted as it is, not mirrored.
Output: :class:`~ehps.benchmark.models.outputs.Prediction` with extras that only the losses read:

- ``left_hand_root``, ``right_hand_root``, ``face_root`` (N, 3, 3): orientations of the parts in the camera;
- ``left_hand_cam_trans``, ``right_hand_cam_trans``, ``face_cam_trans`` (N, 3) metres.

What a reader would not expect: queries are all 80 tokens *and* all 192 patches; one position vector serves them all;
keys and values of the cross-attention are patches as the encoder left them; layer norms have the default epsilon of
1e-5 here and 1e-6 in the encoder; ``to_token_embedding`` is in the file and is used by nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ehps.benchmark.models import precision
from ehps.benchmark.models.outputs import CAMERA, Prediction
from ehps.benchmark.models.smpler_x import start_small
from ehps.benchmark.models.vit import COLUMNS, PATCH, ROWS, SIZES, Size, ViT
from ehps.benchmark.training import rotations_6d

TOKENS = 80
LAYERS, HEADS, INNER = 6, 8, 512

# linear layer -> the tokens that it reads, one after another in one row
READS = {
    "body_root_pose": slice(0, 1),
    "body_pose": slice(1, 22),
    "body_shape": slice(22, 32),
    "body_cam": slice(32, 33),
    "hand_root_pose": slice(33, 35),
    "hand_pose": slice(35, 65),
    "hand_cam": slice(65, 67),
    "face_root_pose": slice(67, 68),
    "face_expression": slice(68, 78),
    "face_jaw_pose": slice(78, 79),
    "face_cam": slice(79, 80),
}


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(N, Q, 512), (N, K, 512) twice -> (N, Q, 512), in eight heads of 64."""
    q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k, v))  # (N, 8, Q or K, 64)
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Queries look at one another."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(width, 3 * INNER, bias=False)
        self.to_out = nn.Sequential(nn.Linear(INNER, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, Q, width) -> the same shape."""
        return self.to_out(attend(*self.to_qkv(x).chunk(3, dim=-1)))


class CrossAttention(nn.Module):
    """Queries look at the patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_kv = nn.Linear(width, 2 * INNER, bias=False)
        self.to_q = nn.Linear(width, INNER, bias=False)
        self.to_out = nn.Sequential(nn.Linear(INNER, width))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, Q, width) and (N, K, width) -> (N, Q, width)."""
        return self.to_out(attend(self.to_q(x), *self.to_kv(context).chunk(2, dim=-1)))


class FeedForward(nn.Module):
    """Two linear layers; as wide inside as outside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # the places of the original's dropouts, whose rate is 0, keep their numbers
        self.net = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Identity(), nn.Linear(width, width), nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, Q, width) -> the same shape."""
        return self.net(x)


class PreNorm(nn.Module):
    """A layer norm of the queries before what ``fn`` does."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(width, eps=1e-5), fn

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """(N, Q, width) -> the same shape; ``context`` is handed on as it is."""
        return self.fn(self.norm(x), *context)


class Layer(nn.ModuleList):
    """Self-attention, cross-attention and feed-forward, each with a residual."""

    def __init__(self, width: int) -> None:
        super().__init__(PreNorm(width, fn(width)) for fn in (SelfAttention, CrossAttention, FeedForward))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, Q, width) and (N, K, width) -> (N, Q, width)."""
        x = x + self[0](x)
        x = x + self[1](x, context)
        return x + self[2](x)


class Layers(nn.Module):
    """Six layers, and no norm at the end."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width) for _ in range(LAYERS))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(N, Q, width) and (N, K, width) -> (N, Q, width)."""
        for layer in self.layers:
            x = layer(x, context)
        return x


class Transformer(nn.Module):
    """The layers, and the vector that is added to every query."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, 1, width))
        self.to_token_embedding = nn.Linear(TOKENS, width)  # in the released file, used by nothing
        self.transformer = Layers(width)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """(N, Q, width) and (N, K, width) -> (N, Q, width)."""
        return self.transformer(queries + self.pos_embedding, context)


class Decoder(nn.Module):
    """From the encoder's tokens and patches to the numbers of each part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transformer = Transformer(width)
        self.token_conv = nn.Linear(width, 512)
        self.dec_body_root_pose = nn.Linear(512, 6)
        self.dec_body_pose = nn.Linear(21 * 512, 21 * 6)
        self.dec_body_shape = nn.Linear(10 * 512, 10)
        self.dec_body_cam = nn.Linear(512, 3)
        self.dec_hand_root_pose = nn.Linear(2 * 512, 2 * 6)
        self.dec_hand_pose = nn.Linear(30 * 512, 30 * 6)
        self.dec_hand_cam = nn.Linear(2 * 512, 2 * 3)
        self.dec_face_root_pose = nn.Linear(512, 6)
        self.dec_face_expression = nn.Linear(10 * 512, 10)
        self.dec_face_jaw_pose = nn.Linear(512, 6)
        self.dec_face_cam = nn.Linear(512, 3)

    def forward(self, tokens: Tensor, patches: Tensor) -> dict[str, Tensor]:
        """What each linear layer says.

        Parameters
        ----------
        tokens : (N, 80, width).
        patches : (N, 192, width).

        Returns
        -------
        name in ``READS`` -> (N, n) float32: rotations in 6D, coefficients, raw cameras; of hands first the left.
        """
        queries = self.transformer(torch.cat((tokens, patches), dim=1), patches)  # (N, 272, width)
        with precision.full(queries):  # rotations and depths need float32
            x = self.token_conv(queries[:, :TOKENS].float())  # (N, 80, 512)
            return {name: getattr(self, f"dec_{name}")(x[:, part].flatten(1)) for name, part in READS.items()}


class SmplestX(nn.Module):
    """See the module docstring.

    Parameters
    ----------
    drop_path : stochastic depth of the last block in training, instead of the size's own.
    size : measures of the ViT.
    """

    input_size = (ROWS * PATCH, COLUMNS * PATCH)
    antialias = False

    def __init__(self, drop_path: float | None = None, size: Size = SIZES["h"]) -> None:
        super().__init__()
        self.encoder = ViT(size, TOKENS, drop_path)
        self.decoder = Decoder(size.width)
        self.init_weights()

    def init_weights(self) -> None:
        """The decoder; the encoder has its own beginning."""
        nn.init.trunc_normal_(self.decoder.transformer.pos_embedding, std=0.02)
        start_small(self.decoder)

    def forward(self, image: Tensor) -> Prediction:
        """(N, 3, 512, 384) or (N, 3, 256, 192) RGB in [0, 1] -> Prediction; hands are relative to the mean hand."""
        said = self.decoder(*self.encoder(image))
        hands = rotations_6d.from_rows(said["hand_pose"])  # (N, 30, 3, 3)
        hand_roots = rotations_6d.from_rows(said["hand_root_pose"])  # (N, 2, 3, 3)
        return Prediction(
            global_orient=rotations_6d.from_rows(said["body_root_pose"])[:, 0],
            body_pose=rotations_6d.from_rows(said["body_pose"]),
            left_hand_pose=hands[:, :15],
            right_hand_pose=hands[:, 15:],
            jaw_pose=rotations_6d.from_rows(said["face_jaw_pose"])[:, 0],
            betas=said["body_shape"],
            expression=said["face_expression"],
            cam_trans=CAMERA.translation(said["body_cam"]),
            extras={
                "left_hand_root": hand_roots[:, 0],
                "right_hand_root": hand_roots[:, 1],
                "face_root": rotations_6d.from_rows(said["face_root_pose"])[:, 0],
                "left_hand_cam_trans": CAMERA.translation(said["hand_cam"][:, :3]),
                "right_hand_cam_trans": CAMERA.translation(said["hand_cam"][:, 3:]),
                "face_cam_trans": CAMERA.translation(said["face_cam"]),
            },
        )
