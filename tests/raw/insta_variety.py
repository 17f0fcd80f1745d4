"""An InstaVariety tree with everything that its dump and its fits hold against a reader, and VIBE's file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import joblib
import numpy as np
import numpy.typing as npt

from ehps.demo.raw.stage import PaintedView
from tests.raw.checks import blank
from tests.raw.neural_annot import People, Tree, dump, people

Array = npt.NDArray[Any]

DUMP = "annotations/insta_train_db.pt"
FITS = "annotations/InstaVariety_train_SMPL_NeuralAnnot.json"
VIBE = "insta_train_db.h5"
VIEW = PaintedView(224, 224, 300.0)
SHARD = "train/insta_variety_{:02d}_copy00_hmr_noS5.ckpt-642561.tfrecord"
TRACKS = (f"{SHARD.format(0)}/0", f"{SHARD.format(0)}/1", f"{SHARD.format(3)}/0")
NAMES = [f"{TRACKS[t]}/{frame}.jpg" for t, frame in ((0, 7), (0, 8), (0, 9), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1))]
IDS = (905, 17, 30, 4, 2_184_799, 41, 0, 55)
KEPT = (0, 4, 5, 6)
"""Rows that can be used: 0, 4 with a box beyond the crop, 5 with its fit in nested lists, 6 without visible points."""


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Eight rows of three tracks, four of them not usable: no fit, no image, no width, a pose that is no number."""
    group = people(models, rng, "smpl", VIEW, [1] * len(IDS), style="sports")
    fits = {str(id): group.fit(k) for k, id in enumerate(IDS)}
    joints = np.stack([_points(group, k) for k in range(len(IDS))])
    joints[6] = 0
    box = np.array([group.box(k) for k in range(len(IDS))])
    box[3, 2] = 0
    box[4] = [-20.0, 5.0, 300.0, 180.0]
    del fits[str(IDS[1])]
    fits[str(IDS[7])]["smpl_param"]["pose"][8] = float("nan")
    nested = fits[str(IDS[5])]
    nested["smpl_param"] = {key: [value] for key, value in nested["smpl_param"].items()}
    nested["cam_param"] = {key: [value] for key, value in nested["cam_param"].items()}
    content = {
        "ann_id": np.array(IDS),
        "file_name": np.array(NAMES),
        "img_shape": np.tile([224, 224], (len(IDS), 1)),
        "bbox": box,
        "joints2D": joints,
        "features": np.zeros((len(IDS), 16), np.float32),
    }
    (root / "annotations").mkdir(parents=True)
    joblib.dump(content, root / DUMP)
    dump(root / FITS, {key: fits[key] for key in sorted(fits)})
    blank(root, [f"images/{name}" for k, name in enumerate(NAMES) if k != 2], 224, 224)
    truth = group.truth([f"images/{name}" for name in NAMES])[KEPT]
    records = [{"ann_id": IDS[k], "bbox": box[k].tolist(), "joints2D": joints[k]} for k in KEPT]
    dropped = {
        "no SMPL fit": 1,
        "image missing": 1,
        "body box empty or outside the image": 1,
        "body parameters not finite": 1,
    }
    return Tree(root, truth, records, [fits[str(IDS[k])] for k in KEPT], dropped)


def _points(group: People, k: int) -> Array:
    """(25, 3) points of a person; the top of the head is never there."""
    found = group.labelled(k, "instavariety")
    assert not found[13].any()
    return found


def write_vibe(root: Path) -> Array:
    """VIBE's file with the first six rows of the dump, one of them without a visible joint: its points."""
    joints = np.array(joblib.load(root / DUMP)["joints2D"][:6])
    joints[1, :, 2] = 0
    videos = [f"data/insta_variety/{'-'.join(name.rsplit('/', 2)[:2])}" for name in NAMES[:6]]
    with h5py.File(root / VIBE, "w") as file:
        file["vid_name"] = np.array(videos, "S")
        file["frame_id"] = np.array([int(Path(name).stem) for name in NAMES[:6]])
        file["joints2D"] = joints
        file["features"] = np.zeros((6, 16), np.float32)
    return joints


def scale_up(root: Path, out: Path, rows: int) -> None:
    """The usable rows of a tree again and again, ``rows`` in all, each with an id and an image name of its own;
    images are links to one file."""
    content = joblib.load(root / DUMP)
    fits = json.loads((root / FITS).read_text())
    take = np.resize(KEPT, rows)
    names = [f"{SHARD.format(i // 5000)}/{i // 250}/{i % 250}.jpg" for i in range(rows)]
    scaled = {key: value[take] for key, value in content.items()}
    scaled |= {"ann_id": np.arange(rows), "file_name": np.array(names)}
    (out / "annotations").mkdir(parents=True)
    joblib.dump(scaled, out / DUMP)
    texts = [json.dumps(fits[str(IDS[k])]) for k in KEPT]
    _write_entries(out / FITS, texts, rows)
    image = next((root / "images").rglob("*.jpg"))
    for folder in sorted({name.rpartition("/")[0] for name in names}):
        (out / "images" / folder).mkdir(parents=True)
    for name in names:
        (out / "images" / name).symlink_to(image)


def _write_entries(path: Path, texts: Sequence[str], rows: int) -> None:
    with path.open("w") as file:
        file.write("{")
        for i in range(rows):
            file.write(f'{", " if i else ""}"{i}": {texts[i % len(texts)]}')
        file.write("}")
