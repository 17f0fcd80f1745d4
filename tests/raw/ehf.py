"""An EHF tree with everything that its files hold against a reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ehps.demo.raw import ehf
from ehps.demo.raw.stage import Look, Truth
from tests.raw.checks import blank, edited

LOOK = Look(style="gesturing", scene="plain", spread=20)
FRAMES = ("01", "02", "100")
UNSEEN = (4, 10)  # body points that were not found in frame 02


def write_fixture(root: Path, models: Path, rng: np.random.Generator, *, fitted: bool = False) -> Truth:
    """Frames 01, 02 and 100 in two encodings each; the people are in the order of the rows.

    01: the right hand was not detected. 02: two body joints were not, and a second person was. 100: there is no json.
    03 has images and detections but no mesh. Scans, images of the detections, and what a Mac leaves behind.
    """
    truth = ehf.write(root, models, rng, look=LOOK, images=3, fitted=fitted, painted=False)
    with edited(root / "01_2Djnt.json") as found:
        found["people"][0]["hand_right_keypoints_2d"] = [0.0] * 63
    (root / "03_2Djnt.json").write_bytes((root / "02_2Djnt.json").read_bytes())
    with edited(root / "02_2Djnt.json") as found:
        body = found["people"][0]["pose_keypoints_2d"]
        for point in UNSEEN:
            body[3 * point : 3 * point + 3] = [0.0, 0.0, 0.0]
        found["people"].append({key: [1.0] * len(value) for key, value in found["people"][0].items()})
    (root / "100_2Djnt.json").unlink()
    blank(root, [f"{frame}_img{kind}" for frame in (*FRAMES, "03") for kind in (".jpg", ".png")], 1200, 1600)
    blank(root, [f"{frame}_2Djnt.png" for frame in FRAMES], 12, 16)
    for name in ("._01_img.jpg", "._01_align.ply", "._01_img.png"):
        (root / name).write_bytes(b"Mac OS X")
    return truth


def detections(root: Path, frame: str) -> npt.NDArray[np.float64]:
    """(137, 3) of the first person of a frame: body, left hand, right hand, face."""
    person = json.loads((root / f"{frame}_2Djnt.json").read_text())["people"][0]
    keys = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")
    return np.array([value for key in keys for value in person[key]], float).reshape(137, 3)


def write_boxes(root: Path, without: str = "") -> dict[str, list[float]]:
    """``EHF.json`` with the same boxes for all frames, which it lists backwards, named as png."""
    boxes = {
        "body_bbox": [500.0, 100.0, 400.0, 900.0],
        "face_bbox": [650.0, 120.0, 90.0, 110.0],
        "lefthand_bbox": [820.0, 500.0, 60.0, 70.0],
        "righthand_bbox": [520.0, 510.0, 50.0, 80.0],
    }
    frames = [frame for frame in ("100", "03", "02", "01") if frame != without]
    images = [{"id": k, "file_name": f"{f}_img.png", "width": 1600, "height": 1200} for k, f in enumerate(frames)]
    people = [boxes | {"id": 10 + k, "image_id": k} for k in range(len(frames))][::-1]
    for person, frame in zip(people, reversed(frames), strict=True):
        person["body_bbox"] = [500.0 + int(frame), 100.0, 400.0, 900.0]
    (root / "EHF.json").write_text(json.dumps({"images": images, "annotations": people}))
    return boxes
