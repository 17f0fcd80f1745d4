"""Raw trees of any size of the datasets with several cameras: one recording is staged and linked under new names.

See :mod:`scaled`, whose writers of the other datasets are in :data:`WRITERS` too.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import scaled
import scaled_today
from scaled import copy_recordings, link, read_json, rng, write_images

FRAMES = 25


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_arctic(root: Path, models: Path, n: int) -> None:
    """Sequences of one person before eight cameras, of the length of the real ones."""
    from tests.raw import arctic

    arctic.write_fixture(root, models, rng())
    edge, views, offset = 10, tuple("12345678"), arctic.OFFSET[arctic.OTHER.split("/")[0]]
    count = min(625, -(-n // len(views)))
    staged = arctic.bodies(root, arctic.OTHER)
    content = np.load(staged, allow_pickle=True).item()
    longer = {key: np.resize(value, (count + 2 * edge, *value.shape[1:])) for key, value in content.items()}
    np.save(staged, np.array(longer, object), allow_pickle=True)
    names = [f"{arctic.OTHER}_{k}" for k in range(-(-n // (count * len(views))))]
    for name in names:
        link(staged, arctic.bodies(root, name))
    numbers = range(max(edge, offset), count + edge)
    write_images(root, [arctic.image_file(name, v, i) for name in names for v in views for i in numbers], *arctic.SIZE)
    lists = {"train": names, "val": [], "test": []}
    (root / "splits_json/protocol_p1.json").write_text(json.dumps(lists))


def write_behave(root: Path, models: Path, n: int) -> None:
    """Sequences of one person before four Kinects."""
    from tests.raw import behave

    times = tuple(f"t{k:04d}.000" for k in range(3, 3 + FRAMES))
    with patch.dict(behave.TIMES, {behave.MAN: times}):
        people, _ = behave.write_sequence(root, models, rng(), behave.MAN)
    names = [behave.MAN, *(f"{behave.MAN}_{k}" for k in range(1, -(-n // sum(map(len, people.values())))))]
    for name in names[1:]:
        shutil.copytree(root / "sequences" / behave.MAN, root / "sequences" / name, copy_function=os.link)
    (root / "split.json").write_text(json.dumps({"train": names, "test": []}))


def write_egobody_kinect(root: Path, models: Path, n: int) -> None:
    """Recordings of two people before five cameras."""
    from tests.raw import egobody_kinect

    name = "recording_0"
    people = egobody_kinect.write_recording(
        root,
        models,
        rng(),
        name=name,
        split="train",
        interactee=0,
        genders=("female", "male"),
        frames=range(10, 10 + FRAMES),
        views=5,
    )
    rows = sum(map(len, people.values()))
    trees = ("calibrations", "kinect_color", "smplx_interactee_train", "smplx_camera_wearer_train")
    copy_recordings(root, name, -(-n // rows), trees)


def write_gta_human2(root: Path, models: Path, n: int) -> None:
    """Scenes of two people in fifty frames, a file a person."""
    from tests.raw import gta_human2

    staged = root / "staged"
    gta_human2.write_fixture(staged, models, rng())
    frames, people = 2 * FRAMES, ("100001", "100002")
    for person in people:
        path = gta_human2.person_path(staged, gta_human2.A, person)
        with np.load(path) as file:
            content = dict(file)
        longer = {key: np.resize(v, (frames, *v.shape[1:])) for key, v in content.items() if v.ndim > 1}
        np.savez(path, **{**content, **longer, "num_frames": frames})
    scenes = [f"seq_{k:08d}" for k in range(-(-n // (frames * len(people))))]
    for scene in scenes:
        for person in people:
            link(gta_human2.person_path(staged, gta_human2.A, person), gta_human2.person_path(root, scene, person))
    shutil.rmtree(staged)
    view = gta_human2.VIEW
    write_images(root / "images", [f"{s}/{k:08d}.jpeg" for s in scenes for k in range(frames)], view.height, view.width)


def write_h36m(root: Path, models: Path, n: int) -> None:
    """Five subjects before four cameras: all frames of the videos in the files, images of those that count."""
    from tests.raw import h36m

    staged, source = root / "staged", 5
    with patch.multiple(h36m, FRAMES=tuple(range(5 * FRAMES)), blank=lambda *_: None):
        h36m.write_fixture(staged, models, rng())
    data, joints, fits, cameras = (
        read_json(h36m.path_of(staged, source, name)) for name in ("data", "joint_3d", "SMPLX_NeuralAnnot", "camera")
    )
    for tree in (joints, fits):
        tree["2"]["1"] |= {"5": tree["2"]["1"]["0"], "10": tree["2"]["1"]["15"]}  # those that one of them lacks
    tiles = range(1, 1 + -(-n // (len(h36m.TRAIN) * len(h36m.HEIGHTS) * FRAMES)))
    size = len(data["images"])
    first = min(image["id"] for image in data["images"])
    for s in h36m.TRAIN:
        images, annotations = [], []
        for k in tiles:
            for image in data["images"]:
                name = image["file_name"].replace("s_05", f"s_{s:02d}").replace("subact_01", f"subact_{k:02d}")
                number = image["id"] - first + k * size
                images.append(image | {"id": number, "file_name": name, "subject": s, "subaction_idx": k})
            for a in data["annotations"]:
                number = a["id"] - first + k * size
                annotations.append(a | {"id": number, "image_id": number})
        content = {"images": images, "annotations": annotations}
        for name, value in (
            ("data", content),
            ("camera", cameras),
            ("joint_3d", {"2": {str(k): joints["2"]["1"] for k in tiles}}),
            ("SMPLX_NeuralAnnot", {"2": {str(k): fits["2"]["1"] for k in tiles}}),
        ):
            write_json(h36m.path_of(root, s, name), value)
        write_images(root / "images", [i["file_name"] for i in images if i["frame_idx"] % 5 == 0], 1002, 1000)
    shutil.rmtree(staged)


def write_imar(root: Path, models: Path, n: int, *, people: int) -> None:
    """Actions before two cameras."""
    from tests.raw import imar

    staged = imar.write_action(
        root, models, rng(), "s02", "Walk 0", people=people, frames=2 * FRAMES // people, axis=people > 1
    )
    names = list(dict.fromkeys(staged.truth().image_path))
    write_images(root, names, imar.VIEW.height, imar.VIEW.width)
    kinds = ["smplx", "joints3d_25", *(f"camera_parameters/{camera}" for camera in imar.CAMERAS)]
    for k in range(1, -(-n // (len(imar.CAMERAS) * len(staged.params)))):
        for kind in kinds:
            source = imar.file(root, staged, kind)
            link(source, source.with_stem(f"Walk {k}"))
        for name in names:
            link(root / name, root / name.replace("Walk 0", f"Walk {k}"))


def write_mpi_inf_3dhp(root: Path, models: Path, n: int) -> None:
    """Two subjects with two sequences each before two cameras; frames are repeated under later numbers."""
    from tests.raw import mpi_inf_3dhp as mpi

    odd, last = 5, 5 + FRAMES  # what the fixture holds against a reader is in the first frames
    with patch.multiple(mpi, FRAMES=tuple(range(last)), blank=lambda *_: None, write_test_set=lambda *_: {}):
        mpi.write_fixture(root, models, rng())
    path = root / "data/MPI-INF-3DHP_1k.json"
    staged = read_json(path)
    images = {image["id"]: image for image in staged["images"] if image["frame_idx"] >= odd}
    people = [a for a in staged["annotations"] if a["image_id"] in images]
    tiles = range(-(-n // len(people)))
    out: dict[str, list[Any]] = {"images": [], "annotations": []}
    for k in tiles:
        for a in people:
            image, number = images[a["image_id"]], len(out["images"])
            frame = image["frame_idx"] + k * last
            name = f"{image['file_name'][:-10]}{frame + 1:06d}.jpg"
            out["images"].append(image | {"id": number, "file_name": name, "frame_idx": frame})
            out["annotations"].append(a | {"id": number, "image_id": number})
    write_json(path, out)
    for name in ("joint_3d", "SMPLX_NeuralAnnot"):
        leaves = path.with_name(f"MPI-INF-3DHP_{name}.json")
        tree = {
            s: {
                q: {str(int(f) + k * last): leaf for k in tiles for f, leaf in frames.items()}
                for q, frames in v.items()
            }
            for s, v in read_json(leaves).items()
        }
        write_json(leaves, tree)
    names = [f"S{i['subject_idx']}/Seq{i['seq_idx']}/imageSequence/{i['file_name']}" for i in out["images"]]
    write_images(root / "data/images_1k", names, mpi.SIDE, mpi.SIDE)


def write_prox(root: Path, models: Path, n: int) -> None:
    """Recordings of 500 frames, a file of a fit and one of points for each; copies of the images are there."""
    from tests.raw import prox

    staged = root / "staged"
    prox.write_fixture(staged, models, rng())
    good = [0, 2, 3]
    for k in range(n):
        name, number = f"N3OpenArea_00157_{k // 500:02d}", k % 500
        source = good[k % len(good)]
        link(prox.fit(staged, prox.MAN, source), prox.fit(root, name, number))
        link(prox.points_path(staged, prox.MAN, source), prox.points_path(root, name, number))
        for folder in (root, root / "mirrored"):
            link(prox.image_file(staged, prox.MAN, source), prox.image_file(folder, name, number))
    shutil.copytree(staged / "calibration", root / "calibration")
    shutil.rmtree(staged)


def write_renbody(root: Path, models: Path, n: int, *, group: str, first: int) -> None:
    """Sequences of one person before ten cameras; images are both in the main files and taken out of them."""
    from tests.raw import dna_rendering as dna

    cameras = tuple(range(first, first + 10))
    view = dna.VIEWS[group]

    def blank(*_: Any) -> Any:
        return np.full((view.height, view.width, 3), 120, np.uint8)

    folder, staged = root / "dna_rendering_part2_main", "0000_01"
    with patch.multiple(dna, FRAMES=FRAMES, GROUPS={group: cameras}, marked=blank):
        people = dna.write_sequence(folder, staged, "female", models, rng())[staged, group]
    write_images(root, people.image_path, view.height, view.width)
    fits = dna.fits_file(root, staged)
    for k in range(1, -(-n // len(people))):
        name = f"{k:04d}_01"
        link(folder / f"{staged}.smc", folder / f"{name}.smc")
        link(fits, fits.with_name(f"{name}_annots.smc"))
        for path in people.image_path:
            link(root / path, root / path.replace(staged, name))


def write_rich(root: Path, models: Path, n: int) -> None:
    """Sequences of a man and a woman before two cameras, one of them portrait."""
    from tests.raw import rich

    staged = root / "staged"
    rich.write_fixture(staged, models, rng())
    (staged / "scan_calibration").rename(root / "scan_calibration")
    cameras, subjects, frames = (0, 3), rich.SUBJECTS[rich.TOSS], 2 * FRAMES
    for k in range(-(-n // (len(cameras) * len(subjects) * frames))):
        name = f"{rich.TOSS}{k}"
        for frame in range(frames):
            for subject in subjects:
                source = rich.body_path(staged, rich.TOSS, rich.FRAMES[rich.TOSS][0], subject)
                link(source, root / f"bodies/train/{name}/{frame:05d}/{subject}.pkl")
            for camera in cameras:
                source_image = staged / rich.image_path(rich.TOSS, camera, rich.FRAMES[rich.TOSS][0])
                link(source_image, root / f"images/train/{name}/cam_{camera:02d}/{frame:05d}_{camera:02d}.jpeg")
    shutil.rmtree(staged)


def write_synbody(root: Path, models: Path, n: int) -> None:
    """Sequences of two people in fifty images, a file a person."""
    from tests.raw import synbody

    staged, frames, people = root / "staged", 2 * FRAMES, synbody.ACTORS[synbody.PAIR]
    with patch.dict(synbody.IMAGES, {synbody.PAIR: frames}):
        synbody.write_fixture(staged, models, rng())
    names = [f"{synbody.PAIR}_{k}" for k in range(-(-n // (frames * len(people))))]
    for name in names:
        for actor in people:
            link(synbody.fit_path(staged, synbody.PAIR, actor), synbody.fit_path(root, name, actor))
    paths = [synbody.image_path(name, k + 1) for name in names for k in range(frames)]
    write_images(root, paths, synbody.VIEW.height, synbody.VIEW.width)
    shutil.rmtree(staged)


def write_talkshow(root: Path, models: Path, n: int) -> None:
    """Sequences of about three seconds, a file each."""
    from tests.raw import talkshow

    frames = 4 * FRAMES
    clips = [
        replace(talkshow.CLIPS[1], name=f"{k}-00_01_07-00_01_10", frames=frames, images=frames)
        for k in range(-(-n // frames))
    ]
    with patch.multiple(talkshow, CLIPS=(clips[0],), blank=lambda *_: None):
        talkshow.write_fixture(root, models, rng())
    for clip in clips[1:]:
        link(talkshow.pickle_of(root, clips[0]), talkshow.pickle_of(root, clip))
    paths = [f"{clip.folder}/{k + 1:06d}.jpg" for clip in clips for k in range(frames)]
    write_images(root, paths, clips[0].height, clips[0].width)


WRITERS: dict[str, Callable[[Path, Path, int], None]] = {
    "agora": scaled.write_agora,
    "arctic": write_arctic,
    "bedlam": scaled.write_bedlam,
    "bedlam2": scaled_today.write_bedlam2,
    "behave": write_behave,
    "chi3d": partial(write_imar, people=2),
    "crowdpose": scaled.write_crowdpose,
    "egobody_ego": scaled.write_egobody,
    "egobody_kinect": write_egobody_kinect,
    "ehf": scaled.write_ehf,
    "emdb": scaled_today.write_emdb,
    "fit3d": partial(write_imar, people=1),
    "gta_human2": write_gta_human2,
    "h36m": write_h36m,
    "harmony4d": scaled_today.write_harmony4d,
    "hi4d": scaled_today.write_hi4d,
    "humansc3d": partial(write_imar, people=1),
    "insta_variety": scaled.write_insta_variety,
    "lsp": scaled.write_lsp,
    "lspet": scaled.write_lspet,
    "moyo": scaled_today.write_moyo,
    "mpi_inf_3dhp": write_mpi_inf_3dhp,
    "mpii": scaled.write_mpii,
    "mscoco": scaled.write_mscoco,
    "mtp": scaled.write_mtp,
    "muco": scaled.write_muco,
    "ochuman": scaled.write_ochuman,
    "posetrack": scaled.write_posetrack,
    "prox": write_prox,
    "pw3d": scaled.write_pw3d,
    "renbody": partial(write_renbody, group="Camera_5mp", first=0),
    "renbody_hires": partial(write_renbody, group="Camera_12mp", first=48),
    "rich": write_rich,
    "sam3d_body": scaled_today.write_sam3d_body,
    "spec": scaled.write_spec,
    "ssp3d": scaled.write_ssp3d,
    "synbody": write_synbody,
    "talkshow": write_talkshow,
    "ubody": scaled.write_ubody,
    "up3d": scaled.write_up3d,
    "whac_a_mole": scaled_today.write_whac_a_mole,
}
"""Dataset -> writes a tree of about ``n`` people in its default split below a folder: (root, body models, n)."""
