"""What a file of weights is of, by the names and shapes in it alone.

Facts: the names of the authors' own modules and of the files that they start from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

VITS = {384: ("s", 12), 768: ("b", 12), 1024: ("l", 24), 1280: ("h", 32)}
"""Width of a ViT -> its size and number of blocks."""

RESNETS: Mapping[tuple[int, ...], str] = {
    (2, 2, 2, 2): "18",
    (3, 4, 6, 3): "50",
    (3, 4, 23, 3): "101",
    (3, 8, 36, 3): "152",
}
"""Blocks a layer -> ResNet; 34 has those of 50, of another kind."""

WRAPPER = "module."  # before every name where the network was wrapped for several GPUs


@dataclass(frozen=True)
class Origin:
    """What a file is of.

    Attributes
    ----------
    id : ``smpler_x_s``, ``vitpose_b``, ``resnet50``, ...
    title : in words, for ``this is ...``.
    model : name of the model whose weights these are, None where it is no model of ehps.
    arguments : of the model.
    """

    id: str
    title: str
    model: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


def bare(name: str) -> str:
    """``name`` without what a wrapper for several GPUs puts before it."""
    return name.removeprefix(WRAPPER)


def recognised(shapes: Shapes) -> Origin | None:
    """What weights with these names and shapes are of, None where nothing is known that has them."""
    names = {bare(name): tuple(shape) for name, shape in shapes.items()}
    parts = {name.split(".")[0] for name in names}
    for kind in (_smplest_x, _smpler_x, _smpl_models, _vitpose, _hrnet, _resnet):
        if found := kind(names, parts):
            return found
    return None


def _vit(names: Shapes, prefix: str) -> tuple[str, str] | None:
    """The size of the ViT whose names begin with ``prefix``, and how it is called; None where there is none."""
    patches = names.get(f"{prefix}patch_embed.proj.weight")
    if patches is None:
        return None
    start = f"{prefix}blocks."
    blocks = len({name.removeprefix(start).split(".")[0] for name in names if name.startswith(start)})
    size, depth = VITS.get(patches[0], ("", 0))
    if size and blocks == depth:
        return size, size.upper()
    return f"{patches[0]}x{blocks}", f"a ViT of width {patches[0]} with {blocks} blocks"


def _smplest_x(names: Shapes, parts: set[str]) -> Origin | None:
    if "decoder.token_conv.weight" not in names or (vit := _vit(names, "encoder.")) is None:
        return None
    return Origin(f"smplest_x_{vit[0]}", f"SMPLest-X-{vit[1]}", "smplest_x_h" if vit[0] == "h" else None)


def _smpler_x(names: Shapes, parts: set[str]) -> Origin | None:
    vit = _vit(names, "encoder.") or _vit(names, "backbone.")
    if vit is None or not parts & {"body_regressor", "body_rotation_net"} or "box_net" not in parts:
        return None
    old = sorted(parts & {"backbone", "body_rotation_net", "hand_rotation_net"})
    words = f", with OSX's names of its parts ({', '.join(old)})" if old else ""
    known = vit[0] in [size for size, _ in VITS.values()]
    return Origin(f"smpler_x_{vit[0]}", f"SMPLer-X-{vit[1]}{words}", f"smpler_x_{vit[0]}" if known else None)


def _smpl_models(names: Shapes, parts: set[str]) -> Origin | None:
    if {"maf_extractor", "regressor"} <= parts:
        return Origin("pymaf", "PyMAF", "pymaf")
    width = names.get("backbone.stage2.0.branches.0.0.conv1.weight", (0,))[0]
    if "SMPL_predictor" not in parts:
        return None
    if "transformer" not in parts:
        return Origin(f"smpler_backbone_w{width}", f"the backbone stage of SMPLer with HRNet-W{width}")
    name = {32: "smpler", 48: "smpler_l"}.get(width)
    title = {32: "SMPLer", 48: "SMPLer-L"}.get(width, f"SMPLer with HRNet-W{width}")
    return Origin(name or f"smpler_w{width}", title, name)


def _vitpose(names: Shapes, parts: set[str]) -> Origin | None:
    for prefix in ("backbone.", ""):
        if vit := _vit(names, prefix):
            if any(".mlp.experts." in name for name in names):
                return Origin(f"vitpose_plus_{vit[0]}", f"ViTPose+-{vit[1]}, a mixture of experts")
            if f"{prefix}last_norm.weight" in names:
                return Origin(f"vitpose_{vit[0]}", f"ViTPose-{vit[1]}")
    return None


def _hrnet(names: Shapes, parts: set[str]) -> Origin | None:
    width = names.get("stage2.0.branches.0.0.conv1.weight", (0,))[0]
    if not width:
        return None
    if "classifier" in parts or "incre_modules" in parts:
        return Origin(f"imagenet_hrnet_w{width}", f"HRNet-W{width} of ImageNet")
    return Origin(f"hrnet_w{width}", f"pose HRNet-W{width}")


def _resnet(names: Shapes, parts: set[str]) -> Origin | None:
    if not {"conv1", "layer1", "layer2", "layer3", "layer4"} <= parts:
        return None
    blocks = [len({n.split(".")[1] for n in names if n.startswith(f"layer{layer}.")}) for layer in (1, 2, 3, 4)]
    size = RESNETS.get(tuple(blocks), "")
    if size == "50" and "layer1.0.conv3.weight" not in names:
        size = "34"
    return Origin(f"resnet{size}", f"ResNet-{size} of ImageNet") if size else None
