"""Raw trees of any size, one writer a dataset: some staged people, their rows tiled in the files of the dataset.

What a conversion costs depends on the number of rows, files and images, not on who is in them. So a few to 200
people are staged with the writers of the demo and of the tests (run from the repository's root with
``PYTHONPATH=.``), and their rows are repeated with new ids and new names. Images, and files of one person, are
links to the staged ones: a conversion looks whether images are there and reads a few headers, no more.
"""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import conversion
import joblib
import numpy as np

from ehps.demo.raw import agora, egobody, ehf, mscoco, pw3d, ubody
from ehps.demo.raw.stage import Look, PaintedView
from tests.raw import crowdpose, eft, lsp, mpii, mtp, muco, neural_annot, spec, ssp3d, up3d
from tests.raw.checks import blank

IMAGES = 50
PAIRS = Look(people=(2, 2), share=(0.4, 0.6))
ONE = Look(people=(1, 1))
CROWD = Look(people=(10, 10), share=(0.3, 0.4))
EHF_FRAMES = 1000  # ten times what the set has: all its meshes are in memory at once


# -- what the datasets share ------------------------------------------------------------------------------------


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def link(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system allows it no further name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copyfile(source, target)


def write_images(root: Path, names: Iterable[str], height: int, width: int) -> None:
    """One blank image under many names."""
    names = list(dict.fromkeys(names))
    blank(root, names[:1], height, width)
    for name in names[1:]:
        link(root / names[0], root / name)


def renamed(name: str, copy: int) -> str:
    """``a/b.jpg`` -> ``a/b_00007.jpg``."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}_{copy:05d}{dot}{suffix}"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def tile_coco(path: Path, fits_path: Path, folder: Path, n: int, people: Sequence[dict[str, Any]] = ()) -> None:
    """Repeat ``people`` (all by default) of a json in COCO's form, with their images in ``folder`` and their fits."""
    coco, fits = read_json(path), read_json(fits_path)
    people = people or coco["annotations"]
    images = {image["id"]: image for image in coco["images"]}
    known = sorted({a["image_id"] for a in people})
    place = {image_id: k for k, image_id in enumerate(known)}
    out: dict[str, Any] = {**coco, "images": [], "annotations": []}
    records = {}
    for copy in range(-(-n // len(people))):
        for image_id in known:
            image = images[image_id]
            name = renamed(image["file_name"], copy)
            out["images"].append(image | {"id": copy * len(known) + place[image_id], "file_name": name})
            link(folder / image["file_name"], folder / name)
        for k, a in enumerate(people[: n - copy * len(people)]):
            number = copy * len(people) + k
            out["annotations"].append(a | {"id": number, "image_id": copy * len(known) + place[a["image_id"]]})
            records[str(number)] = fits[str(a["id"])]
    path.write_text(json.dumps(out))
    fits_path.write_text(json.dumps(records))


def write_eft(path: Path, models: Path, names: Sequence[str]) -> None:
    """A list of EFT with one person for each of ``names``, in images of 480 x 640."""
    random = rng()
    seats = []
    for _ in range(2 * IMAGES):
        x, y, scale = random.uniform([260, 220, 140], [380, 260, 200])
        seats.append(eft.Seat(x, y, scale, (x, y), 2.2 * scale))
    records = eft.make(models, random, seats).records
    eft.dump(path, [records[k % len(records)] | {"imageName": name, "annotId": k} for k, name in enumerate(names)])


# -- one writer a dataset ---------------------------------------------------------------------------------------


def write_agora(root: Path, models: Path, n: int) -> None:
    """Ten tables, ten people an image; every scan stands in several images, as in the release."""
    import pandas as pd

    agora.write(root, models, rng(), look=CROWD, images=20, painted=False)
    staged = root / "SMPLX/train_0_withjv.pkl"
    rows = pickle.loads(staged.read_bytes()).to_dict("records")
    tables = 10
    for table in range(tables):
        tiled, paths = [], []
        for i in range(n // (tables * 10)):
            row = rows[i % len(rows)]
            name = f"ag_trainset_3dpeople_train{table}_hdri_5_{i:05d}"
            meshes = [mesh.copy() for mesh in row["gt_verts"]]  # stored once each, also where people repeat
            tiled.append(row | {"imgPath": f"{name}.png", "gt_verts": meshes})
            paths.append(f"train_{table}/{name}_1280x720.png")
        staged.with_name(f"train_{table}_withjv.pkl").write_bytes(pickle.dumps(pd.DataFrame(tiled)))
        write_images(root, paths, 720, 1280)


def write_bedlam(root: Path, models: Path, n: int) -> None:
    labels = conversion.stage(root / "staged", models)
    conversion.tile(root, labels, n)


def write_crowdpose(root: Path, models: Path, n: int) -> None:
    tree = crowdpose.write_fixture(root, models, rng())
    tile_coco(root / "crowdpose_train.json", root / crowdpose.FITS, root / "images", n, tree.annotations)


def write_egobody(root: Path, models: Path, n: int) -> None:
    """Copies of one recording, each with its own calibration and one file of a fit a frame."""
    name = "recording_0"
    truth = egobody.write(root, models, rng(), look=ONE, images=2 * IMAGES, recording=name, painted=False)
    write_images(root, truth.image_path, 540, 960)
    copy_recordings(root, name, -(-n // len(truth)), ("calibrations", "egocentric_color", "smplx_interactee_train"))


def copy_recordings(root: Path, name: str, count: int, trees: Sequence[str]) -> None:
    """``count`` recordings of EgoBody that are links to the only one that is there."""
    names = [name, *(f"recording_{k}" for k in range(1, count))]
    info = root / "data_info_release.csv"
    head, line = info.read_text().splitlines()
    info.write_text("\n".join([head, *(line.replace(name, other) for other in names)]) + "\n")
    with (root / "data_splits.csv").open("w") as file:
        csv.writer(file).writerows([["train", "val", "test"], *([other, "", ""] for other in names)])
    for tree in trees:
        for other in names[1:]:
            shutil.copytree(root / tree / name, root / tree / other, copy_function=os.link)


def write_ehf(root: Path, models: Path, n: int) -> None:
    truth = ehf.write(root, models, rng(), look=ONE, images=IMAGES, painted=False)
    write_images(root, truth.image_path, 1200, 1600)
    staged = [path.split("_")[0] for path in truth.image_path]
    for number in range(len(staged), min(n, EHF_FRAMES)):
        for ending in ("align.ply", "2Djnt.json", "img.jpg"):
            link(root / f"{staged[number % len(staged)]}_{ending}", root / f"{1000 + number}_{ending}")


def write_insta_variety(root: Path, models: Path, n: int) -> None:
    people = neural_annot.people(models, rng(), "smpl", PaintedView(224, 224, 250.0), [1] * 2 * IMAGES)
    names = [f"{k // 100:05d}/{k % 100:06d}.jpg" for k in range(n)]
    write_images(root / "images", names, 224, 224)
    boxes = np.array([people.box(k) for k in range(len(people))])
    points = np.array([people.labelled(k, "instavariety") for k in range(len(people))])
    database = {
        "ann_id": np.arange(n),
        "file_name": np.array(names),
        "img_shape": np.tile([224, 224], (n, 1)),
        "bbox": np.resize(boxes, (n, 4)),
        "joints2D": np.resize(points, (n, *points.shape[1:])),
    }
    (root / "annotations").mkdir()
    joblib.dump(database, root / "annotations/insta_train_db.pt")
    fits = [people.fit(k) for k in range(len(people))]
    neural_annot.dump(
        root / "annotations/InstaVariety_train_SMPL_NeuralAnnot.json", {str(k): fits[k % len(fits)] for k in range(n)}
    )


def write_lspet(root: Path, models: Path, n: int) -> None:
    names = [f"im{k + 1:05d}.png" for k in range(n)]
    write_images(root, names, 480, 640)
    write_eft(root / "eft_fit/LSPet_train_ver10.json", models, names)


def write_lsp(root: Path, models: Path, n: int) -> None:
    """At most the thousand people of the test half."""
    lsp.write_fixture(root, models, rng())
    first, names = f"im{lsp.NUMBERS[0]}", [f"im{number}" for number in range(1001, 1001 + min(n, 1000))]
    for name in names:
        for ending in ("_segmentation.png", "_part_segmentation.png"):
            link(root / f"upi-s1h/data/lsp/{first}{ending}", root / f"upi-s1h/data/lsp/{name}{ending}")
        link(root / f"images/{first}.jpg", root / f"images/{name}.jpg")


def write_mpii(root: Path, models: Path, n: int) -> None:
    tree = mpii.write_fixture(root, models, rng())
    tile_coco(root / "annotations/train.json", root / mpii.FITS, root, n, tree.annotations)


def write_mscoco(root: Path, models: Path, n: int) -> None:
    truth = mscoco.write(root, models, rng(), look=PAIRS, images=IMAGES, painted=False)
    write_images(root, truth.image_path, 480, 640)
    folder = root / "annotations"
    fits = folder / "MSCOCO_train_SMPLX_all_NeuralAnnot.json"
    tile_coco(folder / "coco_wholebody_train_v1.0.json", fits, root / "images/train2017", n)


def write_mtp(root: Path, models: Path, n: int) -> None:
    """An image, a fit with its mesh and OpenPose's file for each person."""
    mtp.write_fixture(root, models, rng())
    subjects = read_json(root / "subject_meta.json")
    staged = [person for person in mtp.PEOPLE if person[0].startswith(("b2", "c3", "d4"))]
    names = []
    for k in range(n):
        source, folder, *_ = staged[k % len(staged)]
        names.append(f"{source.split('_')[0]}{k}_{source.split('_', 1)[1]}")
        for tree, suffix in (
            ("images", ".png"),
            ("smplify-xmc/smplx/params", ".pkl"),
            ("keypoints/openpose", ".json"),
        ):
            link(root / tree / folder / (source + suffix), root / tree / folder / (names[-1] + suffix))
        subjects[names[-1]] = subjects[source]
    (root / "train_val_split.json").write_text(json.dumps({"train": names, "val": []}))
    (root / "subject_meta.json").write_text(json.dumps(subjects))


def write_muco(root: Path, models: Path, n: int) -> None:
    tree = muco.write_fixture(root, models, rng())
    data = root / "data"
    tile_coco(data / "MuCo-3DHP.json", data / "smpl_param.json", data, n, tree.annotations)


def write_ochuman(root: Path, models: Path, n: int) -> None:
    names = [f"{k // 2:06d}.jpg" for k in range(n)]
    write_images(root / "images", names, 480, 640)
    write_eft(root / "eft_fit/OCHuman_train_ver10.json", models, names)


def write_posetrack(root: Path, models: Path, n: int) -> None:
    names = [f"{k // 100:06d}_bonn_train/{k // 4 % 25:06d}.jpg" for k in range(n)]
    write_images(root / "images/train", names, 480, 640)
    write_eft(root / "eft_fit/PoseTrack_ver01.json", models, names)


def write_pw3d(root: Path, models: Path, n: int) -> None:
    """Copies of one sequence of two people."""
    truth = pw3d.write(root, models, rng(), look=ONE, images=2 * IMAGES, sequence="walk_0", painted=False)
    write_images(root, truth.image_path, 960, 540)
    staged = root / "sequenceFiles/train/walk_0.pkl"
    content = pickle.loads(staged.read_bytes(), encoding="latin1")
    for k in range(1, -(-n // len(truth))):
        pw3d.save(staged.with_name(f"walk_{k}.pkl"), content | {"sequence": f"walk_{k}"})
        shutil.copytree(root / "imageFiles/walk_0", root / f"imageFiles/walk_{k}", copy_function=os.link)


def write_spec(root: Path, models: Path, n: int) -> None:
    names = [f"images/train/{k:04d}.png" for k in range(IMAGES) for _ in (0, 1)]
    data = spec.people(models, rng(), names, "spec-syn/").data
    tiled = {key: np.resize(value, (n, *value.shape[1:])) for key, value in data.items()}
    tiled["imgname"] = np.array([renamed(names[k % len(names)], k // len(names)) for k in range(n)])
    write_images(root / "spec-syn", tiled["imgname"].tolist(), spec.HEIGHT, spec.WIDTH)
    spec.save(root / "spec-syn/annotations/train.npz", tiled)


def write_ssp3d(root: Path, models: Path, n: int) -> None:
    labels = ssp3d.write_fixture(root, models, rng()).labels
    tiled = {key: np.resize(value, (n, *value.shape[1:])) for key, value in labels.items()}
    tiled["fnames"] = np.array([f"ball_clip_{k // 50}_person_0_frame_{k}.png" for k in range(n)])
    np.savez(root / "labels.npz", allow_pickle=False, **tiled)
    for folder in ("images", "silhouettes"):
        write_images(root / folder, tiled["fnames"].tolist(), 512, 512)


def write_ubody(root: Path, models: Path, n: int) -> None:
    truth = ubody.write(root, models, rng(), look=PAIRS, images=IMAGES, painted=False)
    write_images(root, truth.image_path, 360, 640)
    folder = root / "annotations/Speech"
    tile_coco(folder / "keypoint_annotation.json", folder / "smplx_annotation.json", root / "images/Speech", n)


def write_up3d(root: Path, models: Path, n: int) -> None:
    """Six files for each person."""
    up3d.write_fixture(root, models, rng())
    staged = [photo.id for photo in up3d.PHOTOS if photo.id != up3d.PHOTOS[up3d.PLACED].id]
    files = {i: [path.name[5:] for path in root.glob(f"{i}_*")] for i in staged}
    ids = [f"{10_000 + k:05d}" for k in range(n)]
    for k, number in enumerate(ids):
        source = staged[k % len(staged)]
        for name in files[source]:
            link(root / (source + name), root / (number + name))
    (root / "trainval.txt").write_text("".join(f"/{i}_image.png\n" for i in ids))
