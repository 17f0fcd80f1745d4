"""The encoder of SMPLer-X and SMPLest-X: ViTPose's plain ViT, with task tokens before the patches.

Paper: Xu et al., ViTPose, NeurIPS 2022 (arXiv 2204.12484), Apache-2.0; the tokens are SMPLer-X's (Cai et al., NeurIPS
2023). Input: (N, 3, 256, 192) RGB in [0, 1], **not** normalised by mean and deviation (ViTPose itself does).

What a reader would not expect:

- patches do not overlap, yet the projection pads by 2: the first patch covers pixels -2 to 13, and the last 2 rows and
  columns are not seen;
- slot 0 of the position embedding belongs to a class token that does not exist; it is added to every patch;
- task tokens get no position;
- the small size has twelve heads of 32, not DeiT's six of 64. The tensors have the same shapes either way;
- layer norms have an epsilon of 1e-6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 16
ROWS, COLUMNS = 16, 12  # patches of a 256 x 192 crop


@dataclass(frozen=True)
class Size:
    """One ViT.

    Attributes
    ----------
    width : numbers a token.
    depth : blocks.
    heads : attention heads a block.
    drop_path : share of a batch that skips the last block in training; it rises from 0 at the first.
    """

    width: int
    depth: int
    heads: int
    drop_path: float


SIZES = {
    "s": Size(384, 12, 12, 0.1),
    "b": Size(768, 12, 12, 0.3),
    "l": Size(1024, 24, 16, 0.5),
    "h": Size(1280, 32, 16, 0.55),
}


class DropPath(nn.Module):
    """Leaves a residual branch out for a random ``rate`` of the samples, in training; the others make up for it."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) -> the same shape."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * (kept / (1 - self.rate)).to(x.dtype)


class Attention(nn.Module):
    """Self-attention with one projection for q, k and v, laid out (3, heads, width / heads)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same shape."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (N, tokens, 3, heads, width / heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()  # each (N, heads, tokens, width / heads)
        attended = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(attended.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a GELU (the exact one, by the error function) between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same shape."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=1e-6), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=1e-6), Mlp(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Non-overlapping patches, sampled 2 pixels up and left of where one would expect them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH, padding=2)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 256, 192) -> (N, 192, width), row by row."""
        return self.proj(image).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """See the module docstring.

    Parameters
    ----------
    size : width, depth and heads.
    tokens : task tokens.
    drop_path : instead of the size's own.
    """

    def __init__(self, size: Size, tokens: int, drop_path: float | None = None) -> None:
        super().__init__()
        last = size.drop_path if drop_path is None else drop_path
        if not 0 <= last < 1:
            raise ValueError(f"drop_path is {last!r}, not from 0 to below 1")
        self.task_tokens = nn.Parameter(torch.empty(1, tokens, size.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + ROWS * COLUMNS, size.width))
        self.patch_embed = PatchEmbed(size.width)
        rates = [last * i / max(1, size.depth - 1) for i in range(size.depth)]
        self.blocks = nn.ModuleList(Block(size.width, size.heads, rate) for rate in rates)
        self.last_norm = nn.LayerNorm(size.width, eps=1e-6)
        self.init_weights()

    def init_weights(self) -> None:
        """Random numbers to train from where no ViTPose file is at hand."""
        nn.init.trunc_normal_(self.task_tokens, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features of a crop.

        Parameters
        ----------
        image : (N, 3, 256, 192) RGB in [0, 1], or (N, 3, 512, 384), of which the pixels of even rows and columns are
            taken: what nearest-neighbour resizing to 256 x 192 keeps.

        Returns
        -------
        (N, tokens, width) of the task tokens and (N, 192, width) of the patches, row by row.
        """
        patches = self.patch_embed(even_pixels(image))  # (N, 192, width)
        patches = patches + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        x = torch.cat((self.task_tokens.expand(len(image), -1, -1), patches), dim=1)  # (N, tokens + 192, width)
        for block in self.blocks:
            x = block(x)
        x = self.last_norm(x)
        count = self.task_tokens.shape[1]
        return x[:, :count], x[:, count:]


def even_pixels(image: Tensor) -> Tensor:
    """(N, 3, 512, 384) -> its pixels at even rows and columns, (N, 3, 256, 192), which is also taken as it is.

    Raises
    ------
    ValueError : another size.
    """
    height, width = ROWS * PATCH, COLUMNS * PATCH
    if image.shape[1:] == (3, 2 * height, 2 * width):
        return image[..., ::2, ::2].contiguous()
    if image.shape[1:] == (3, height, width):
        return image
    raise ValueError(
        f"the crop is {tuple(image.shape)}, not (N, 3, {2 * height}, {2 * width}) or (N, 3, {height}, {width})"
    )
