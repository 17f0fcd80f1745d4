"""A UBody tree with everything that its annotations hold against a reader, and videos whose frames say their number."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from ehps.demo.raw import ubody
from ehps.demo.raw.stage import Look, PaintedView
from tests.raw.checks import blank, edited
from tests.raw.wholebody import Tree, truth_of

LOOK = Look(people=(2, 2), share=(1.1, 1.4))
VIEW = PaintedView(360, 640, 700.0)
BITS = 12
CELL = 16
MILLISECOND = Fraction(1, 1000)


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> dict[str, Tree]:
    """Three scenes of one clip each; what each split must give.

    ``Magic_show`` is on the intra-scene test list (its name there without ``_Trim``), ``Interview`` on the
    inter-scene one, ``Speech`` on none. Speech, in the order of its json: 0 plain, its file name begins with a
    slash; 1 left hand unseen though its box and fit are there, same image, camera of its own; 2 fit in nested
    lists; 3 box partly outside of the image. Eight further annotations are unusable.
    """
    for scene, clip, images, held_out in (
        ("Speech", "Speech_S1_Trim1", 2, False),
        ("Magic_show", "Magic_show_S2_Trim3", 1, True),
        ("Interview", "Interview_S4_Trim1", 1, False),
    ):
        options: dict[str, Any] = {"scene": scene, "clip": clip, "images": images, "held_out": held_out}
        ubody.write(root, models, rng, look=LOOK, view=VIEW, painted=False, **options)
    ubody.add_to_list(root, "inter", ["Interview_S4"])
    with (
        edited(root / "annotations/Speech/keypoint_annotation.json") as coco,
        edited(root / "annotations/Speech/smplx_annotation.json") as fits,
    ):
        dropped = _make_awkward(coco, fits)
    for scene in ("Speech", "Magic_show", "Interview"):
        coco = _json(root, scene, "keypoint")
        names = [image["file_name"].lstrip("/") for image in coco["images"] if image["id"] != 99_999]
        blank(root, [f"images/{scene}/{name}" for name in names], VIEW.height, VIEW.width)
    speech, magic, interview = (["Speech"], ["Magic_show"], ["Interview"])
    return {
        "train": _expected(root, models, [*interview, *speech], dropped),
        "test": _expected(root, models, magic, {}),
        "inter_train": _expected(root, models, [*magic, *speech], dropped),
        "inter_test": _expected(root, models, interview, {}),
    }


def _make_awkward(coco: dict[str, Any], fits: dict[str, Any]) -> dict[str, int]:
    """Change the records of one scene; what is dropped, by reason."""
    images, people = coco["images"], coco["annotations"]
    images[0]["file_name"] = "/" + images[0]["file_name"]
    images.append(images[0] | {"id": 99_999, "file_name": "Speech_S1_Trim1/Speech_S1_Trim1/000099.png"})
    images.reverse()
    people[1]["lefthand_valid"] = False
    nested = fits[str(people[2]["id"])]["smplx_param"]
    nested |= {"body_pose": np.reshape(nested["body_pose"], (21, 3)).tolist(), "shape": [nested["shape"]]}
    nested |= {"lhand_valid": True, "rhand_valid": False, "face_valid": True}
    people[3]["bbox"][3] = VIEW.height - people[3]["bbox"][1] + 40
    model = people[0]
    changes: list[dict[str, Any]] = [
        {"iscrowd": True},
        {"num_keypoints": 0},
        {"valid_label": 0},
        {"valid_label": False},
        {},
        {"image_id": 99_999},
        {"bbox": [700.0, 20.0, 60.0, 60.0]},
        {},
    ]
    for k, change in enumerate(changes):
        odd = copy.deepcopy(model) | {"id": 50_000 + k} | change
        people.insert(2 * k + 1, odd) if k < 3 else people.append(odd)
        fits[str(odd["id"])] = copy.deepcopy(fits[str(model["id"])])
    del fits["50004"]
    fits["50007"]["smplx_param"]["body_pose"][5] = float("nan")
    return {
        "crowd region": 1,
        "no labelled body joint": 1,
        "marked invalid": 2,
        "no SMPL-X fit": 1,
        "image missing": 1,
        "body box empty or outside the image": 1,
        "body parameters not finite": 1,
    }


def _expected(root: Path, models: Path, scenes: list[str], dropped: dict[str, int]) -> Tree:
    paths: list[str] = []
    people: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    for scene in scenes:
        coco, records = _json(root, scene, "keypoint"), _json(root, scene, "smplx")
        names = {image["id"]: image["file_name"].lstrip("/") for image in coco["images"]}
        usable = [a for a in coco["annotations"] if a["id"] < 50_000]
        people += usable
        paths += [f"images/{scene}/{names[a['image_id']]}" for a in usable]
        fits += [records[str(a["id"])] for a in usable]
    return Tree(root, truth_of(paths, fits, models), people, fits, dropped)


def _json(root: Path, scene: str, kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / f"annotations/{scene}/{kind}_annotation.json").read_text())
    return content


# -- videos that number their frames ----------------------------------------------------------------------------


def write_video(
    path: Path,
    frames: int,
    fps: Fraction | int,
    *,
    size: tuple[int, int] = (2 * CELL, BITS * CELL),
    codec: str = "mpeg4",
    options: Mapping[str, str] = MappingProxyType({}),
    times: Sequence[int] | None = None,
    muxer: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A video whose frame ``k`` shows the bits of ``k`` as black and white squares, at ``k / fps`` s or
    ``times[k]`` ms.

    Frames that depend on later ones are stored after them, as in videos from the internet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if codec == "mpeg4":
        options = {"bf": "2", "b_strategy": "0", **options}
    with av.open(str(path), "w", options=dict(muxer)) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=dict(options))
        (stream.height, stream.width), stream.pix_fmt = size, "yuv420p"
        if times is not None:
            stream.codec_context.time_base = MILLISECOND
        for k in range(frames):
            bits = np.array([k >> b & 1 for b in range(BITS)], np.uint8) * 255
            row = bits[cells(size[1])]
            pixels = np.repeat(np.tile(row, (size[0], 1))[..., None], 3, axis=2)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[k], MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def number_in(pixels: npt.NDArray[Any]) -> int:
    """The number that an image of :func:`write_video` shows."""
    columns, bit = pixels[:, :, 0].mean(axis=0), cells(pixels.shape[1])
    return int(sum(1 << b for b in range(BITS) if columns[bit == b].mean() > 127))


def cells(width: int) -> npt.NDArray[Any]:
    """(width,) which bit each column of an image shows."""
    return np.arange(width) * BITS // width


def number_at(path: Path) -> int:
    """The number that an image file shows."""
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return number_in(pixels)
