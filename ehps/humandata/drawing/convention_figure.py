"""An image of a keypoint convention: its numbered points on a standing figure, hands and face enlarged.

The figure faces the viewer, so the person's left is on the right of the image. The places are a sketch of our
own, made to tell the points apart: points that lie on top of each other in a body (``left_hip``,
``left_hip_extra``, ``left_hip_openpose``) are drawn side by side.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ehps.atomic import replacing
from ehps.humandata.drawing import skeleton
from ehps.humandata.drawing.persons import SIDE_COLOURS, Colour, Image, circle, line, text, text_length
from ehps.humandata.keypoints import CONVENTIONS, Convention, point_names

Place: TypeAlias = tuple[float, float]
Corners: TypeAlias = npt.NDArray[np.float64]

# x to the person's left, y down, in heads (the person is 8 tall); right-hand points are mirrored from left ones.
_BODY: dict[str, Place] = {
    "headtop": (0, 0.05), "headtop_h36m": (0.2, 0.02), "head": (0, 0.72), "head_extra": (0.17, 0.45),
    "head_h36m": (-0.17, 0.45), "head_bottom_pt": (0.16, 1.12), "jaw_extra": (-0.16, 1.0), "neck": (0, 1.42),
    "neck_extra": (0.17, 1.35), "neck_openpose": (-0.17, 1.42), "thorax_extra": (0.1, 1.85),
    "spine_3": (0, 2.35), "spine_4_3dhp": (-0.17, 2.0), "spine_2": (0, 2.95), "spine_extra": (0.17, 2.75),
    "spine": (0.17, 2.75), "thorax": (0.1, 1.85), "head_top": (0, 0.05), "h36m_head": (0.17, 0.45),
    "h36m_jaw": (-0.16, 1.0),
    "neck/nose": (0.17, 0.85),
    "spine_1": (0, 3.45), "pelvis": (0, 4.0), "pelvis_extra": (0.13, 4.2), "pelvis_openpose": (-0.13, 4.2),
    "left_collar": (0.32, 1.72), "left_clavicle_3dhp": (0.42, 1.5), "left_shoulder": (0.85, 1.75),
    "left_elbow": (1.28, 2.95), "left_wrist": (1.72, 4.0), "left_hand": (1.92, 4.4), "left_hand_3dhp": (1.72, 4.5),
    "left_finger": (2.05, 4.7),
    "left_acromion": (0.75, 1.5), "left_olecranon": (1.48, 2.9), "left_cubital_fossa": (1.1, 3.05),
    "left_hip": (0.36, 4.3), "left_hip_extra": (0.7, 4.1), "left_hip_openpose": (0.56, 4.42),
    "left_knee": (0.5, 5.9), "left_ankle": (0.6, 7.32), "left_ankle_openpose": (0.8, 7.22),
    "left_heel": (0.4, 7.5), "left_heel_openpose": (0.24, 7.36), "left_foot": (0.7, 7.62),
    "left_bigtoe": (0.52, 7.98), "left_bigtoe_openpose": (0.3, 7.86), "left_smalltoe": (0.98, 7.88),
    "left_smalltoe_openpose": (1.18, 7.76), "left_toe_3dhp": (0.76, 8.12), "left_toe": (0.76, 8.12),
}  # fmt: skip

_FINGERS: dict[str, tuple[Place, ...]] = {
    "thumb": ((-0.36, 0.3), (-0.62, 0.58), (-0.8, 0.86), (-0.94, 1.12)),
    "index": ((-0.32, 1.0), (-0.4, 1.38), (-0.44, 1.68), (-0.47, 1.94)),
    "middle": ((-0.02, 1.04), (-0.03, 1.48), (-0.04, 1.82), (-0.04, 2.1)),
    "ring": ((0.26, 1.0), (0.33, 1.42), (0.37, 1.74), (0.4, 2.0)),
    "pinky": ((0.52, 0.92), (0.64, 1.24), (0.72, 1.48), (0.79, 1.7)),
}
_HAND: dict[str, Place] = {
    "left_hand_root": (0.08, 0.14),
    **{
        f"left_{finger}{end}": place
        for finger, places in _FINGERS.items()
        for end, place in zip(("_1", "_2", "_3", ""), places, strict=True)
    },
}
_HAND_WRIST: Place = (0.08, -0.1)

_FACE: dict[str, Place] = {
    "nose": (0, 0.2), "nose_openpose": (0.16, 0.15), "left_eye": (0.38, -0.45), "left_eye_openpose": (0.54, -0.45),
    "left_eyeball": (0.45, -0.35), "left_eyeball_unused": (0.45, -0.35),
    "left_ear": (1.16, -0.22), "jaw": (0, 0.98), "contour_middle": (0, 1.26), "nose_middle": (0, 0.36),
    "mouth_top": (0, 0.56), "mouth_bottom": (0, 0.88), "lip_top": (0, 0.67), "lip_bottom": (0, 0.77),
    "left_nose_2": (0.24, 0.28), "left_nose_1": (0.12, 0.33),
    **{f"nosebridge_{i}": (0, y) for i, y in ((1, -0.5), (2, -0.32), (3, -0.14), (4, 0.04))},
    **{f"left_contour_{i}": p for i, p in enumerate(
        ((1.02, -0.3), (1.01, 0.0), (0.97, 0.27), (0.9, 0.54), (0.77, 0.79), (0.6, 0.99), (0.4, 1.14),
         (0.2, 1.23)), 1)},
    **{f"left_{brow}_{i}": p for brow in ("eyebrow", "eye_brow") for i, p in enumerate(
        ((0.88, -0.72), (0.72, -0.85), (0.54, -0.89), (0.36, -0.85), (0.19, -0.76)), 1)},
    **{f"left_eye_{i}": p for i, p in enumerate(
        ((0.68, -0.42), (0.55, -0.57), (0.36, -0.57), (0.22, -0.41), (0.36, -0.26), (0.55, -0.26)), 1)},
    **{f"left_mouth_{i}": p for i, p in enumerate(
        ((0.44, 0.72), (0.28, 0.6), (0.12, 0.54), (0.14, 0.87), (0.29, 0.83)), 1)},
    **{f"left_lip_{i}": p for i, p in enumerate(((0.32, 0.715), (0.13, 0.665), (0.13, 0.775)), 1)},
}  # fmt: skip

# Bones of Human3.6M's files, whose names are not those of a place on a body, or of another one than ours.
_H36M_BONES = {
    "hips": "pelvis", "left_up_leg": "left_hip", "left_leg": "left_knee", "left_foot": "left_ankle",
    "left_toe_base": "left_bigtoe", "left_toe_site": "left_toe", "head_site": "headtop",
    "left_shoulder_clavicle": "left_collar", "left_arm": "left_shoulder", "left_fore_arm": "left_elbow",
    "left_hand": "left_wrist", "left_hand_thumb": "left_thumb_3", "left_hand_thumb_site": "left_thumb",
    "left_wrist_end": "left_middle_3", "left_wrist_end_site": "left_middle",
}  # fmt: skip

_WIDTH, _HEIGHT = 1680, 1330
_SCALES = {"body": 152.0, "face": 205.0, "left_hand": 175.0, "right_hand": 175.0}
_ORIGINS: dict[str, Place] = {
    "body": (840, 70), "face": (300, 330), "left_hand": (1440, 820), "right_hand": (240, 820),
}  # fmt: skip
_GREY: Colour = (150, 150, 150)
_INK: Colour = (35, 35, 35)


@cache
def _places() -> dict[str, tuple[str, Place]]:
    """Point -> panel and place within the panel."""
    out: dict[str, tuple[str, Place]] = {}
    for panel, table in (("body", _BODY), ("face", _FACE)):
        for name, (x, y) in table.items():
            out[name] = (panel, (x, y))
            out[name.replace("left_", "right_")] = (panel, (-x if "left_" in name else x, y))
    for name, (x, y) in _HAND.items():
        out[name] = ("left_hand", (x, y))
        out[name.replace("left_", "right_")] = ("right_hand", (-x, y))
    for name in [*CONVENTIONS["human_data"], "right_wrist_openpose", "left_wrist_openpose"]:
        plain = name.removesuffix("_openpose").removesuffix("_extra").removesuffix("_h36m").removesuffix("_3dhp")
        if name not in out and plain in out:
            panel, (x, y) = out[plain]
            outward = -1.0 if "right_" in name else 1.0
            step = (0.17, -0.1) if panel == "body" else (0.13, 0.1)
            out[name] = (panel, (x + outward * step[0], y + step[1]))
    return out


@cache
def _drawn_as(names: tuple[str, ...]) -> dict[str, str]:
    """Each name, and ours of the same place; SMPLer-X and Human3.6M have names of their own."""
    if names == CONVENTIONS["smplerx_137_names"]:
        return dict(zip(names, CONVENTIONS["smplx_137"], strict=True))
    if names == CONVENTIONS["smplerx_53_pose_names"]:
        sides = {"l_": "left_", "r_": "right_"}
        return {name: sides.get(name[:2].lower(), name[:2].lower()) + name[2:].lower() for name in names}
    if names == CONVENTIONS["h36m_32"]:
        mirrored = {bone.replace("left_", "right_"): p.replace("left_", "right_") for bone, p in _H36M_BONES.items()}
        return {name: (_H36M_BONES | mirrored).get(name, name) for name in names}
    return {name: name for name in names}


def _pixel(panel: str, place: Place) -> tuple[float, float]:
    (x0, y0), scale = _ORIGINS[panel], _SCALES[panel]
    return x0 + scale * place[0], y0 + scale * place[1]


def draw_convention(convention: Convention, *, title: str | None = None) -> Image:
    """Image of a convention: (H, W, 3) uint8 RGB.

    Every point carries its index (several where a name occurs twice); the names are listed below. Points that the
    figure has no place for are in the list only, marked with a star.

    Raises
    ------
    UsageError : no such convention.
    """
    names = point_names(convention)
    heading = title or (convention if isinstance(convention, str) else "points")
    image = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    indices: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        indices.setdefault(name, []).append(index)
    drawn_as = _drawn_as(names)
    placed = {name: _places()[drawn_as[name]] for name in indices if drawn_as[name] in _places()}
    panels = {panel for panel, _ in placed.values()}
    _draw_panels(image, panels)
    _draw_lines(image, {drawn_as[name]: place for name, place in placed.items()})
    for name, (panel, place) in placed.items():
        x, y = _pixel(panel, place)
        colour = SIDE_COLOURS.get(skeleton.side(drawn_as[name]), (90, 90, 90))
        circle(image, np.array([x, y]), 5.5, (255, 255, 255))
        circle(image, np.array([x, y]), 4.2, colour)
    _draw_numbers(image, placed, indices, drawn_as)
    text(image, f"{heading}: {len(names)} points", (24, 44), 22, _INK)
    text(image, "person's right", (24, 78), 14, SIDE_COLOURS["right"])
    text(image, "person's left", (180, 78), 14, SIDE_COLOURS["left"])
    return np.concatenate([image, _name_list(names, set(placed))])


def write_figure(path: Path, image: Image) -> None:
    """Write a figure as a PNG with a palette of its colours, a quarter of the size of one without."""
    from PIL import Image as Pillow

    sides = np.array(list(SIDE_COLOURS.values()))
    greys = np.array([0, _INK[0], 90, _GREY[0], 190])[:, None].repeat(3, axis=1)
    inks = np.concatenate([greys, sides, 0.62 * sides])
    fading = np.concatenate([255 - share * (255 - inks) for share in (0, 1, 0.67, 0.33)])  # smoothed edges
    palette = Pillow.new("P", (1, 1))
    palette.putpalette(fading.round().astype(int).ravel().tolist())
    data = io.BytesIO()
    Pillow.fromarray(image).quantize(palette=palette, dither=Pillow.Dither.NONE).save(data, "PNG", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, lasting=False) as temporary:
        temporary.write_bytes(data.getvalue())


def _draw_panels(image: Image, panels: set[str]) -> None:
    """Frames around the enlarged parts, and where they belong on the figure."""
    spots = {"face": (0.0, 0.72), "left_hand": (1.85, 4.4), "right_hand": (-1.85, 4.4)}
    frames = {"face": ((-1.35, -1.05), (1.35, 1.45)), "left_hand": ((-1.15, -0.3), (1.05, 2.35))}
    frames["right_hand"] = ((-1.05, -0.3), (1.15, 2.35))
    for panel in sorted(panels - {"body"}):
        low, high = (np.array(_pixel(panel, corner)) for corner in frames[panel])
        cv2.rectangle(image, low.astype(int).tolist(), high.astype(int).tolist(), (205, 205, 205), 1, cv2.LINE_AA)
        spot = np.array(_pixel("body", spots[panel]))
        circle(image, spot, 46 if panel == "face" else 40, (225, 225, 225), 2)
        near = np.clip(spot, low, high)
        line(image, near, spot + (near - spot) * 46 / np.linalg.norm(near - spot), (205, 205, 205), 1)


def _draw_lines(image: Image, placed: dict[str, tuple[str, Place]]) -> None:
    """Limbs; a finger's first bone starts at a wrist drawn in its own panel."""
    names = list(placed)
    for a, b in skeleton.limbs(names):
        (panel_a, place_a), (panel_b, place_b) = placed[names[a]], placed[names[b]]
        if panel_a != panel_b:
            if not panel_b.endswith("hand"):
                continue
            panel_a, place_a = panel_b, (_HAND_WRIST[0] * (1 if panel_b == "left_hand" else -1), _HAND_WRIST[1])
            if "wrist" not in names[a]:
                continue
        line(image, np.array(_pixel(panel_a, place_a)), np.array(_pixel(panel_b, place_b)), (190, 190, 190), 2)


def _draw_numbers(
    image: Image, placed: dict[str, tuple[str, Place]], indices: dict[str, list[int]], drawn_as: dict[str, str]
) -> None:
    """Each number beside its point, on whichever side is free of other numbers and points."""
    taken = [np.array([x - 6, y - 6, x + 6, y + 6]) for x, y in (_pixel(*place) for place in placed.values())]
    for name, (panel, place) in placed.items():
        words = ",".join(map(str, indices[name]))
        x, y = _pixel(panel, place)
        height = 11.0
        length = text_length(words, height)
        options = [
            (x + 8, y + 4), (x - 8 - length, y + 4), (x - length / 2, y - 9), (x - length / 2, y + 19),
            (x + 7, y - 6), (x - 7 - length, y - 6), (x + 7, y + 15), (x - 7 - length, y + 15),
        ]  # fmt: skip
        boxes = [np.array([u - 1, v - 11, u + length + 1, v + 1]) for u, v in options]
        others = np.stack(taken)
        best = int(np.argmin([_overlap(box, others) for box in boxes]))
        taken.append(boxes[best])
        red, green, blue = SIDE_COLOURS.get(skeleton.side(drawn_as[name]), (60, 60, 60))
        text(image, words, options[best], height, (int(0.62 * red), int(0.62 * green), int(0.62 * blue)))


def _overlap(box: Corners, others: Corners) -> float:
    """Area that a box (4,) x0, y0, x1, y1 shares with others (M, 4), summed."""
    extent = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(extent.clip(0).prod(axis=1).sum())


def _name_list(names: tuple[str, ...], placed: set[str]) -> Image:
    """The names in columns, read downwards."""
    columns = 5 if len(names) > 40 else 4
    rows = -(-len(names) // columns)
    image = np.full((rows * 20 + 30, _WIDTH, 3), 255, np.uint8)
    for index, name in enumerate(names):
        x = 24 + (index // rows) * ((_WIDTH - 40) // columns)
        y = 20 + (index % rows) * 20
        text(image, f"{index}", (x + 30 - text_length(str(index), 12), y), 12, _GREY)
        text(image, name if name in placed else f"{name} *", (x + 40, y), 12, _INK)
    return image
