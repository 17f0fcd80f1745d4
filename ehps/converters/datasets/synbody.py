"""SynBody: layered synthetic people rendered in game-engine scenes; one npz a sequence, camera and person.

Parameters are in the camera frame (OpenCV axes, metres); all cameras of v1.0 look 90 degrees wide. The renderer starts
with a T-pose: images count from 1, and old archives hold that pose as an entry before the first.
Source: Yang et al., "SynBody", ICCV 2023; the viewer that comes with the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.body.params import smplx_params
from ehps.converters import options
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Unit, concat, drop, no_instances
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import numbers, texts
from ehps.converters.readers.images import image_folders, image_names
from ehps.errors import DataError
from ehps.genders import BY_WORD

IMAGES = ("*/*/*/rgb", "*/*/*/*/rgb")
CARD = DatasetCard(
    id="synbody",
    config="synbody_{split}",
    name="SynBody",
    homepage="https://synbody.github.io",
    licence="CC BY-NC-SA 4.0",
    commercial_use=False,
    redistribution=True,
    paper=(
        "Yang et al., SynBody: Synthetic Dataset with Layered Human Models for 3D Human Perception "
        "and Modeling, ICCV 2023"
    ),
    annotation="exact render",
    annotation_note="SMPL-X, gendered, exact",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 633_496},
    uncertain=("train",),
    layout="""
synbody_v1_0/                                           (this folder, or the one that holds it)
  <batch>/<place>/<sequence>_CAM002/rgb/0001.jpeg       <batch> is a date; _CAM002 is missing in older archives
  <batch>/<place>/<sequence>_CAM002/smplx/<actor>.npz   (or smplx_withJoints_inCamSpace[_noBUG]/)
""",
    needs=(" | ".join(IMAGES),),
    get="Hugging Face dataset caizhongang/SynBody: the SMPL-X subset; the parameters unpacked, the split archive of "
    "images joined and unpacked over them, or joined to synbody_v1_0.zip beside them",
    variants={
        "S100K_SMPL.npz": "SynBody-100K, which has SMPL only; the SMPL-X subset of v1.0 is needed",
        "openxdlab_synbody_2022_release1": "the first OpenXDLab release, whose bodies are not in camera space; the "
        "SMPL-X subset of v1.0 is needed",
    },
    options=(
        options.cameras((), "last words of the names of sequences, as CAM002, with commas between them"),
        options.interval("keeps images 1, N + 1, ...; SMPLer-X took all, SMPLest-X every 10th row"),
    ),
    reprojection="none",
    fps=30,
    notes=(
        "SMPLer-X used a random 4,000 sequences of an internal packing; all that is unpacked is converted.",
        "Hand poses are relative to the mean hand.",
        "People without a body joint in the image, or with one behind the camera, are left out.",
        "The first OpenXDLab release, whose bodies are in actor space, is refused.",
        "WHAC-A-Mole, in the same Hugging Face dataset, is the dataset whac_a_mole.",
    ),
)
FOLDERS = ("smplx_withJoints_inCamSpace_noBUG", "smplx_withJoints_inCamSpace", "smplx")
HEIGHT, WIDTH = 720, 1280
CAMERA = Camera(np.array([WIDTH / 2] * 2), np.array([WIDTH / 2, HEIGHT / 2]))
POSE = {
    "transl": numbers("N", 3),
    "global_orient": numbers("N", 3),
    "body_pose": numbers("N", 63),
    "left_hand_pose": numbers("N", 45),
    "right_hand_pose": numbers("N", 45),
    "jaw_pose": numbers("N", 3),
    "leye_pose": numbers("N", 3),
    "reye_pose": numbers("N", 3),
}
FIT = POSE | {"betas": numbers("bodies", 10), "expression": numbers("faces", 10)}


class SynBody(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        images = next(filter(None, (image_folders(self.root, pattern) for pattern in IMAGES)), [])
        folders = [(self.root / folder).parent for folder in images]
        chosen = self.option("cameras", sorted({camera_of(folder) for folder in folders}))
        return [
            Unit(folder.relative_to(self.root).as_posix(), folder) for folder in folders if camera_of(folder) in chosen
        ]

    def read(self, unit: Unit) -> Instances:
        names = image_names(self.root, f"{unit.name}/rgb")
        images = {int(stem): name for name in names if (stem := name.rpartition(".")[0]).isdecimal()}
        dropped: dict[str, list[str]] = {}
        first = images.pop(0, None)
        drop(dropped, "T-pose before the sequence", [f"{unit.name}/rgb/{first}"] if first else [])
        folder = next((unit.path / name for name in FOLDERS if raw_files.is_folder(unit.path / name)), None)
        if folder is not None and folder.name == "smplx" and raw_files.is_file(unit.path / "seq_data.json"):
            raise DataError(
                "bodies of the first OpenXDLab release are in actor space and cannot be converted",
                path=unit.path,
                fix="get the SMPL-X subset of v1.0",
            )
        if folder is None or not images:
            drop(dropped, "no SMPL-X fit", (f"{unit.name}/rgb/{name}" for name in images.values()))
            return no_instances(dropped)
        actors = [folder / name for name in raw_files.listing(folder) if name.endswith(".npz")]
        parts = [self._actor(unit, path, k, images) for k, path in enumerate(actors)]
        if not parts:
            return no_instances(dropped)
        rows = concat(parts)
        rows.notes = [note for part in parts for note in part.notes]
        rows.misc = {"smplx_source": "original", "image_shape": [HEIGHT, WIDTH]}
        if rows.keypoints2d is not None:
            rows.misc["reprojection"] = "exact"
        for reason, names in dropped.items():
            drop(rows.dropped, reason, names)
        rows.camera, rows.size = CAMERA, (HEIGHT, WIDTH)
        return rows

    def _actor(self, unit: Unit, path: Path, person: int, images: dict[int, str]) -> Instances:
        """One person in the images that are there."""
        data = raw_files.load_npz(path)
        raw_files.require(data, "smplx", path)
        fit = fields.values(inner(data, "smplx", path), FIT, path, "smplx")
        count, last = len(fit["transl"]), max(images)
        for key in ("betas", "expression"):
            if len(fit[key]) not in (1, count):
                what = f"smplx: {key} has {len(fit[key])} rows, expected 1 or {count}"
                raise DataError(what, path=path, fix=OTHER)
        skipped = int(count == last + 1 and not np.any(fit["body_pose"][0]))  # the T-pose
        notes = []
        if count - skipped != last:
            notes.append(f"{unit.name}: {path.name} has {count} entries for {last} images, taken from the first on")
        wanted = set(range(1, max(last, count - skipped) + 1, self.option("interval")))
        label = f"{unit.name}/rgb/{{}} {path.stem}".format
        dropped: dict[str, list[str]] = {}
        fitted = set(range(1, count - skipped + 1))
        drop(dropped, "image missing", (label(f"{n:04d}.jpeg") for n in sorted(fitted & wanted - set(images))))
        drop(dropped, "no SMPL-X fit", (label(images[n]) for n in sorted(wanted & set(images) - fitted)))
        numbers = np.array(sorted(fitted & wanted & set(images)), int)
        entries = numbers - 1 + skipped
        values = {name: fit[name].astype(float)[entries] for name in POSE}
        behind = values["transl"][:, 2] <= 0
        drop(dropped, "behind the camera", (label(images[n]) for n in numbers[behind]))
        entries, numbers = entries[~behind], numbers[~behind]
        n = len(entries)
        betas, expression = fit["betas"].astype(float), fit["expression"].astype(float)
        meta = inner(data, "meta", path) if "meta" in data else {}
        known = {"gender": texts(words=("", *BY_WORD))}
        gender = str(fields.values(meta, known, path, "meta")["gender"]).strip() if "gender" in meta else ""
        if not gender:
            notes.append(f"{unit.name}: {path.name} does not say its gender; taken for neutral")
        own = {
            name: Keypoints(data[name][entries], "smplx")
            for name in ("keypoints2d", "keypoints3d")
            if name in data and np.shape(data[name])[:2] == (count, 144)
        }
        return Instances(
            image_path=[f"{unit.name}/rgb/{images[k]}" for k in numbers],
            body=smplx_params(
                gender=gender or "neutral",
                betas=np.broadcast_to(betas, (count, 10))[entries],
                expression=np.broadcast_to(expression, (count, 10))[entries],
                **{name: value[~behind] for name, value in values.items()},
            ),
            keypoints2d=own.get("keypoints2d"),
            keypoints3d=own.get("keypoints3d"),
            meta={
                "sequence_name": [unit.name] * n,
                "frame_id": numbers,
                "person_id": np.full(n, person),
                "track_id": [f"{unit.name}/{path.stem}"] * n,
            },
            dropped=dropped,
            notes=notes,
            min_joints_inside=1,
        )


def camera_of(folder: Path) -> str:
    """The last word of the name of a sequence, ``CAM002`` where the archive says the camera."""
    return folder.name.rpartition("_")[2]


def inner(data: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    """The dictionary inside a 0-d array.

    Raises
    ------
    DataError : there is another thing.
    """
    content = np.asarray(data[name]).item() if np.ndim(data[name]) == 0 else None
    if not isinstance(content, dict):
        raise DataError(f"{name} is {fields.described(data[name])}, expected values by name", path=path, fix=OTHER)
    return content
