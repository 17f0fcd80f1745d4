"""Files of MOYO: which sequences there are, bodies on the subject's template, cameras of a day."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams, smplx_params
from ehps.body.ply import read_vertices
from ehps.converters import ranges
from ehps.converters.readers import OTHER, UNPACK, fields, opened, raw_files
from ehps.converters.readers.fields import numbers, texts
from ehps.converters.readers.images import image_folders
from ehps.errors import DataError

HANDS = {"20220923_20220926_with_hands": True, "20221004_with_com": False}
"""Session -> whether it has markers on the hands."""

TOPS = ("MOYO", "moyo")
STAGE_II = "_stageii.pkl"
TEMPLATE = "220923_yogi_03596_minimal_simple_female"
SUBJECT = "03596"
VERTICES = 10_475
TALLEST = 3.0  # metres
GENDER = "female"
BODIES = {
    "fullpose": numbers("N", 165),
    "trans": numbers("N", 3),
    "betas": numbers("B", optional=True),
    "v_template_fname": texts(optional=True),
}
CAMERA = {"focal": numbers(), "princpt": numbers(2), "rotation": numbers(3, 3), "position": numbers(3)}
MILLIMETRES = 1000


@dataclass(frozen=True)
class Sequence:
    """A sequence of a session.

    Attributes
    ----------
    session : name of its folder.
    folder : the session's, below the root.
    name : of the images' folder or archive, where there are images.
    images : folder below the root that its images are in, or would be when they are unpacked.
    bodies : file of its bodies, whether it is there or not.
    has_bodies : whether it is there.
    renamed : its bodies have another name than its images.
    """

    session: str
    folder: str
    name: str
    images: str
    bodies: Path
    has_bodies: bool
    renamed: bool = False


@dataclass(frozen=True)
class Lens:
    """A camera, for images of full size: focal length and principal point, (2,) pixels; world to camera, metres."""

    focal: Array
    principal_point: Array
    rotation: Array
    translation: Array


def sequences(root: Path, split: str) -> list[Sequence]:
    """All sequences of a split that have images or bodies, session by session.

    Raises
    ------
    DataError : no session has any.
    """
    found = []
    for session in HANDS:
        top = next((top for top in TOPS if raw_files.is_folder(root / top / session)), None)
        if top is None:
            continue
        folder = f"{top}/{session}"
        images = [path.rpartition("/")[2] for path in image_folders(root, f"{folder}/images/{split}/*")]
        mosh = root / folder / "mosh" / split
        bodies = [name.removesuffix(STAGE_II) for name in raw_files.listing(mosh) if name.endswith(STAGE_II)]
        pairs = paired(images, bodies)
        for name in sorted({*images, *bodies} - set(pairs.values()) | pairs.keys()):
            own = pairs.get(name, name)
            found.append(
                Sequence(
                    session,
                    folder,
                    name,
                    f"{folder}/images/{split}/{name}",
                    mosh / f"{own}{STAGE_II}",
                    own in bodies,
                    own != name,
                )
            )
    if not found:
        raise DataError(f"has no sequence of {split} in {' or '.join(HANDS)}", path=root, fix=UNPACK)
    return found


def paired(images: list[str], bodies: list[str]) -> dict[str, str]:
    """Name of the images -> name of the bodies, of sequences that have both. A pose whose name was changed between the
    two has one that begins as the other, and the same letter at the end."""
    pairs = {name: name for name in images if name in bodies}
    left = [name for name in bodies if name not in pairs]
    alike = {name: [other for other in left if _renamed(name, other)] for name in images if name not in pairs}
    for name, others in alike.items():
        if len(others) == 1 and sum(others[0] in found for found in alike.values()) == 1:
            pairs[name] = others[0]
    return pairs


def _renamed(one: str, other: str) -> bool:
    (pose, _, letter), (other_pose, _, other_letter) = one.rpartition("-"), other.rpartition("-")
    short, long = sorted((pose, other_pose), key=len)
    if letter != other_letter or not short or not long.startswith(short):
        return False
    return short.endswith("_") or long[len(short) :].startswith("_")


def read_bodies(path: Path, root: Path) -> tuple[BodyParams, Array]:
    """(F,) bodies in the world, betas 0, and the (10475, 3) template that they are on, metres.

    Raises
    ------
    DataError : the file or the template is absent or broken, or the bodies are not on the template alone.
    """
    content = fields.values(raw_files.load_pkl(path), BODIES, path)
    if "betas" in content and np.any(content["betas"]):
        raise DataError("has betas besides the template, which the release has not", path=path, fix=OTHER)
    pose = content["fullpose"].astype(float)
    body = smplx_params(
        gender=GENDER,
        betas=np.zeros((len(pose), 10)),
        global_orient=pose[:, :3],
        body_pose=pose[:, 3:66],
        jaw_pose=pose[:, 66:69],
        leye_pose=pose[:, 69:72],
        reye_pose=pose[:, 72:75],
        left_hand_pose=pose[:, 75:120],
        right_hand_pose=pose[:, 120:],
        transl=content["trans"],
        flat_hand_mean=True,
    )
    named = str(content["v_template_fname"]) if "v_template_fname" in content else ""
    return body, read_template(root, _template_name(named))


def _template_name(stated: str) -> str:
    """Folder of the template that a file of bodies names; the subject's known one where it names none of hers."""
    folder = PurePosixPath(stated.replace("\\", "/")).parent.name
    return folder if SUBJECT in folder else TEMPLATE


@opened.remembered(4)
def read_template(root: Path, name: str) -> Array:
    """(10475, 3) vertices of the subject's template, metres, in the order and frame of the model's own.

    Raises
    ------
    DataError : there is none, or it is no mesh of SMPL-X in metres.
    """
    paths = [root / folder / name / "mesh.ply" for folder in ("moyo_toolkit/data/v_templates", "v_templates")]
    path = next((path for path in paths if raw_files.is_file(path)), None)
    if path is None:
        raise DataError(
            "no such template, without which the body is that of another woman",
            path=paths[0],
            fix="put the toolkit's repository beside the data: github.com/sha2nkt/moyo_toolkit",
        )
    raw_files.note(path)
    vertices = fields.value(read_vertices(path, VERTICES), numbers(VERTICES, 3), path, "the vertices")
    if np.ptp(vertices[:, 1]) > TALLEST:
        raise DataError(f"is {np.ptp(vertices[:, 1]):.0f} high: not in metres with y up", path=path, fix=OTHER)
    return vertices


def calibration(session: Path, sequence: str) -> Path:
    """The file with the cameras of the day on which a sequence was taken, which the first six digits of its name say.

    Raises
    ------
    DataError : there is none, or more than one.
    """
    day = f"20{sequence[:6]}"
    found = raw_files.matching(session / "cameras" / day, "*/cameras_param.json")
    if len(found) != 1:
        there = ", ".join(raw_files.listing(session / "cameras")) or "nothing"
        what = f"has {len(found)} files {day}/*/cameras_param.json for {sequence}, one is needed; it holds {there}"
        raise DataError(what, path=session / "cameras", fix="unpack cameras.zip of this session")
    return found[0]


@opened.remembered(4)
def read_cameras(path: Path) -> dict[str, Lens]:
    """Number -> camera, for images of full size.

    Raises
    ------
    DataError : the file is broken, or a camera is of another form.
    """
    lenses = {}
    for name, camera in fields.items(raw_files.read_json(path), path).items():
        if not name.startswith("cam_"):
            continue
        own = fields.values(camera, CAMERA, path, name)
        if not (ranges.within(own["princpt"].astype(float), ranges.PIXELS) > 0).all():
            what = f"{name}: princpt is {fields.described(camera['princpt'])}, which lies in no image"
            raise DataError(what, path=path, fix=OTHER)
        rotation = own["rotation"].astype(float)
        lenses[name.removeprefix("cam_")] = Lens(
            np.full(2, float(own["focal"])),
            own["princpt"].astype(float),
            rotation,
            -rotation @ own["position"].astype(float) / MILLIMETRES,
        )
    return lenses
