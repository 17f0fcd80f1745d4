"""Raw trees of any size of the datasets added last, their writers in the form of :mod:`scaled`.

See :mod:`scaled_videos`, whose :data:`~scaled_videos.WRITERS` name them with those of the other datasets.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from scaled import IMAGES, link, rng, write_images

LONG = 125  # frames of a sequence


def write_bedlam2(root: Path, models: Path, n: int) -> None:
    """Scenes of up to ten sequences of five seconds, five people each before a camera that moves and zooms."""
    from tests.raw import bedlam2

    random, people, frames = rng(), 5, range(LONG)
    kept = frames[::5]
    images: list[str] = []
    tables: dict[Path, list[str]] = {}
    for k in range(-(-n // (people * len(kept)))):
        scene, sequence = root / f"bedlam_v2/20240425_{k // 10}_171_citysample_dolly", f"seq_{k % 10:06d}"
        table = tables.setdefault(scene, [bedlam2.ABOVE])
        table.append(bedlam2.GROUP.format(sequence))
        yaw = float(random.uniform(-180, 180))
        track = [bedlam2.Pose((0.2 * f, 0.1 * f, 110.0), yaw + 0.02 * f, -3.0, 2.0, 24 + 0.05 * f) for f in frames]
        lines = [camera.line(f"{sequence}_{f:04d}.png") for f, camera in enumerate(track)]
        path = scene / "ground_truth/meta_exr_csv" / f"{sequence}_camera.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([bedlam2.CAMERAS, *lines]) + "\n")
        for i in range(people):
            actor = bedlam2.Actor(f"it_{people * k + i:04d}_M_2400", 5 + 0.3 * i, 0.6 * i - 1.2, lasts=LONG)
            table.append(actor.line(bedlam2.place_of(track[0], actor), float(random.uniform(-180, 180))))
            bedlam2.write_motion(root / "motions_npz_training", actor, random, {})
        images += [f"{scene.relative_to(root)}/png/{sequence}/{sequence}_{f:04d}.png" for f in kept]
    for scene, table in tables.items():
        bedlam2.write_table(scene / "be_seq.csv", table)
    write_images(root, images, 720, 1280)


def write_emdb(root: Path, models: Path, n: int) -> None:
    """Sequences of one person, shared out among ten participants."""
    from tests.raw import emdb

    first, *names = [f"P{k % 10}_{k:02d}_outdoor_walk" for k in range(-(-n // LONG))]
    emdb.write_sequence(root, models, rng(), first, LONG, "female", (True, False))
    staged, images = emdb.read(root, first), f"{emdb.folder(first)}/images"
    for name in names:
        shutil.copytree(root / images, root / emdb.folder(name) / "images", copy_function=os.link)
        emdb.file(root, name).write_bytes(pickle.dumps(staged | {"name": name}))


def write_harmony4d(root: Path, models: Path, n: int) -> None:
    """Sequences of two people before two cameras, a file of fits and one of points a frame."""
    from tests.raw import harmony4d

    cameras = harmony4d.CAMERAS[harmony4d.GRAPPLING]
    count = -(-n // (LONG * len(cameras) * len(harmony4d.PEOPLE)))
    first, *names = [f"03_grappling/{k:03d}_grappling" for k in range(count)]
    with (
        patch.dict(harmony4d.SPLIT, {first: "train"}),
        patch.dict(harmony4d.FRAMES, {first: LONG}),
        patch.dict(harmony4d.CAMERAS, {first: cameras}),
    ):
        harmony4d.write_sequence(harmony4d.Shots(root), models, rng(), first, glasses=False)
    for name in names:
        shutil.copytree(root / "train" / first, root / "train" / name, copy_function=os.link)


def write_hi4d(root: Path, models: Path, n: int) -> None:
    """Recordings of two people before two cameras, without masks."""
    from tests.raw import hi4d

    span = {"START": hi4d.START, "END": hi4d.START + LONG - 1}
    with patch.multiple(hi4d, **span, write_masks=lambda *_: None):
        hi4d.write_recording(hi4d.Scans(root), models, rng(), hi4d.DANCE)
    for k in range(1, -(-n // (LONG * len(hi4d.CAMERAS) * 2))):
        shutil.copytree(root / hi4d.DANCE, root / f"pair00/dance{k:02d}", copy_function=os.link)


def write_moyo(root: Path, models: Path, n: int) -> None:
    """Sequences before two cameras, images unpacked."""
    from tests.raw import moyo

    staged = root / "staged"
    tree = moyo.write_fixture(staged, models, rng())
    moyo.write_bodies(replace(tree, root=root), models, rng(), moyo.BOAT, 2 * LONG + 1)
    for path in (moyo.template_file, lambda folder: moyo.calibration_file(folder, "20220923")):
        link(path(staged), path(root))
    shutil.rmtree(staged)
    bodies = moyo.bodies_file(root, moyo.BOAT)
    names = [moyo.BOAT, *(f"{moyo.BOAT}{k}" for k in range(1, -(-n // (LONG * len(moyo.CAMERAS)))))]
    for name in names[1:]:
        link(bodies, bodies.with_name(bodies.name.replace(moyo.BOAT, name)))
    images = [moyo.image_file(moyo.BOAT, camera, k + 1) for camera in moyo.CAMERAS for k in range(LONG)]
    write_images(root, [image.replace(moyo.BOAT, name) for name in names for image in images], *moyo.SIZE)


def write_sam3d_body(root: Path, models: Path, n: int) -> None:
    """Shards of 1,000 people, two an image of COCO."""
    from tests.raw import sam3d_body

    random, shard = rng(), 1000
    staged = [sam3d_body.people(sam3d_body.COCO, 2, models, random) for _ in range(IMAGES)]
    records: list[dict[str, Any]] = []
    for k in range(-(-n // 2)):
        records += [record | {"image": f"COCO_train2014_{k:012d}.jpg"} for record in staged[k % len(staged)]]
    for k, start in enumerate(range(0, len(records), shard)):
        sam3d_body.write(root / f"coco_train/{k:06d}.parquet", records[start : start + shard])
    view = sam3d_body.VIEWS[sam3d_body.COCO]
    write_images(root, [sam3d_body.image_path(record) for record in records], view.height, view.width)


def write_whac_a_mole(root: Path, models: Path, n: int) -> None:
    """Both halves of train, of couples before two cameras, a hundred rows a sequence."""
    from tests.raw import whac_a_mole as whac

    with patch.object(whac, "IMAGES", 25):
        truth, *_ = whac.write_file(root, models, rng(), whac.TRAIN[0], ("Duet_000",), ("camera-000", "camera-001"))
    rows, path = len(truth), root / f"annotations/{whac.TRAIN[0]}.npz"
    with np.load(path, allow_pickle=True) as file:
        staged = {key: file[key].item() if file[key].dtype == object else file[key] for key in file}
    count = max(2, -(-n // rows))

    def tiled(value: Any, copies: int) -> Any:
        if isinstance(value, dict):
            return {key: tiled(column, copies) for key, column in value.items()}
        if np.ndim(value) == 0 or len(value) != rows:
            return value
        return value * copies if isinstance(value, list) else np.concatenate([value] * copies)

    def named(texts: Sequence[str], sequences: range) -> list[str]:
        return [text.replace("Duet_000", f"Duet_{k:03d}") for k in sequences for text in texts]

    for name, part in zip(whac.TRAIN, (range(count // 2), range(count // 2, count)), strict=True):
        members = tiled(staged, len(part))
        members["__data_len__"] = rows * len(part)
        members["image_path"] = np.array(named(staged["image_path"].tolist(), part))
        members["meta"]["sequence_name"] = named(staged["meta"]["sequence_name"], part)
        whac.save(path.with_stem(name), members)
    write_images(root, named(truth.image_path, range(count)), whac.VIEW.height, whac.VIEW.width)
