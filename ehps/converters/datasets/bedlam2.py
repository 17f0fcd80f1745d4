"""BEDLAM2.0: synthetic videos of 1 to 10 simulated people before cameras that move and zoom; locked-head SMPL-X.

Two forms, told apart by what is there. (B) the scenes' full ground truth, see
:mod:`ehps.converters.datasets.bedlam_scenes`, with images or with movies in their place. (A) labels that others made of
it, see :mod:`ehps.converters.datasets.bedlam_labels`; (B) is read where both are.
Rows are for the images as they are stored. Those of portrait scenes lie on the side, which needs no list of scenes to
be exact: Rz(-90) Rz(-roll + 90) = Rz(-roll). Movies of portrait scenes were turned upright when they were made.
Source: Tesch et al., "BEDLAM2.0: Synthetic Humans and Cameras in Motion", NeurIPS 2025; the official processing and
rendering scripts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.converters import options
from ehps.converters.base import Converter, DatasetCard, Instances, Unit, concat, drop, no_instances
from ehps.converters.datasets import bedlam_labels
from ehps.converters.datasets.bedlam2_files import (
    CAMERAS,
    SequenceImages,
    check_cameras,
    check_distinct,
    contradiction,
    images_without_camera,
    is_portrait,
    rolled,
    sequence_images,
)
from ehps.converters.datasets.bedlam_labels import JOINTS
from ehps.converters.datasets.bedlam_scenes import (
    CAMERA,
    EVERY,
    Body,
    Views,
    body_rows,
    read_sequences,
    read_views,
    row_names,
)
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import numbers, texts
from ehps.converters.readers.images import is_image_folder
from ehps.errors import DataError, UsageError
from ehps.genders import BY_WORD

CARD = DatasetCard(
    id="bedlam2",
    name="BEDLAM2.0",
    homepage="https://bedlam2.is.tuebingen.mpg.de",
    licence="non-commercial research, after registration",
    commercial_use=False,
    paper="Tesch et al., BEDLAM2.0: Synthetic Humans and Cameras in Motion, NeurIPS 2025",
    annotation="exact render",
    annotation_note="SMPL-X with a locked head, neutral model, 16 betas, exact",
    body_model="smplx",
    locked_head=True,
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": None},
    layout="""
bedlam_data/                                                     (B) full ground truth
  bedlam_v2/<scene>/be_seq.csv                                   (scenes may lie in the root as well)
  bedlam_v2/<scene>/ground_truth/meta_exr_csv/seq_000000_camera.csv
  bedlam_v2/<scene>/png/seq_000000/seq_000000_0000.png           (or mp4/seq_000000.mp4)
  motions_npz_training/<body>.npz
  bedlam2_scene_names.csv                                        (not needed: which scenes are portrait)
data/                                                            (A) preprocessed labels
  training-labels/bedlam_v2/<scene>.npz
  training-images/bedlam_v2/<scene>/png/seq_000000/seq_000000_0005.png
""",
    needs=(
        "training-labels/bedlam_v2/*.npz | motions_npz_training",
        "training-images/bedlam_v2/*/png | */ground_truth/meta_exr_csv | */*/ground_truth/meta_exr_csv",
    ),
    get="register on the homepage; the scenes' ground truth, their images or movies, and b2_motions_npz_training.tar "
    "(also Hugging Face, Intelligent-Systems/BEDLAM2); bodies need smplx_lockedhead_20230207.zip of the SMPL-X site",
    variants=dict.fromkeys(
        ("bedlam-labels-v2-format", "training-labels/bedlam-labels-v2-format"),
        "the first BEDLAM with locked-head bodies, in the form of labels of BEDLAM2.0; the scenes of BEDLAM2.0, or "
        "their labels, are needed",
    ),
    options=(
        options.interval(
            "keeps the frames of the 30 fps video whose number is a multiple of N; preprocessed labels (A) have every "
            "fifth already, so that N is 5 or a multiple of it",
            str(EVERY),
        ),
    ),
    reprojection="exact",
    fps=30,
    sampling=EVERY,
    notes=(
        "The bodies are those of the locked-head release of SMPL-X: all 16 betas are in smplx/betas, and neither they "
        "nor joints and meshes may be evaluated with SMPL-X 1.1.",
        "Portrait scenes (meta/portrait) are stored as 1280 x 720 pixels with people on their side; rows are for the "
        "image as it is stored, which is exact, and not for the one turned 90 degrees clockwise, for which the "
        "preprocessed labels are. Movies of these scenes stand upright, and so do their rows (720 x 1280).",
        "Where a sequence has no folder in png, its movie in mp4 stands in (the extra `video`): frame k of it is line "
        "k of the camera file, and meta/frame_id the number in the image's name. Movies of another number of frames "
        "than the camera file has lines are left out and counted.",
        "The focal length changes from frame to frame.",
        "Bodies without a motion file, as those of the test subjects, are left out and counted.",
        "People with fewer than 8 of the first 22 joints in the image, or with a joint or vertex behind the camera, "
        "are left out of the full ground truth, as they were of the preprocessed labels.",
        "The full ground truth has no 2D points to check the bodies against; preprocessed labels have the 127 joints.",
        "Files of preprocessed labels by other programs may have another cam_ext under the same name; their joints "
        "are then far from the 2D points, which the quality says.",
    ),
)
MOTIONS = "motions_npz_training"
LABELS, IMAGES = "training-labels/bedlam_v2", "training-images/bedlam_v2"
BETAS, MOYO_BETAS = 16, 300  # of which the first 16 count
POINTS, FIRST_JOINT = 171, 44  # 25 of OpenPose and 19 more come before SMPL-X's own
ROWS = 1 << 14  # of preprocessed labels in a unit
AT_ONCE = 16  # sequences of a unit: up to 10 people each, in up to 250 frames and more
MOTION = {
    "poses": numbers("N", 165),
    "trans": numbers("N", 3),
    "betas": numbers("betas"),
    "gender": texts(words=BY_WORD),
}


class BEDLAM2(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        scenes = [
            path.parents[len(Path(name).parts) - 1]
            for depth in ("*", "*/*")
            for name in ("be_seq.csv", CAMERAS)
            for path in self.root.glob(f"{depth}/{name}")
        ]
        labels = sorted((self.root / LABELS).glob("*.npz"))
        if scenes and ((self.root / MOTIONS).is_dir() or not labels):
            check_distinct(sorted(set(scenes)))
            return [unit for scene in sorted(set(scenes)) for unit in self._units_of(scene)]
        if self.sampling % EVERY:
            what = f"interval={self.sampling}: the preprocessed labels are of every fifth frame"
            raise UsageError(what, fix=f"give a multiple of {EVERY}, or convert the full ground truth")
        return [unit for path in labels for unit in self._blocks_of(path)]

    def _blocks_of(self, path: Path) -> list[Unit]:
        """Some rows of a label file each; a file that cannot be read is told when the first are."""
        try:
            count = raw_files.npz_length(path, "imgname")
        except DataError:
            count = 0
        if count <= ROWS:
            return [Unit(path.stem, path, (0, ROWS))]
        firsts = range(0, count, ROWS)
        return [Unit(f"{path.stem} from row {first + 1} on", path, (first, first + ROWS)) for first in firsts]

    def _units_of(self, scene: Path) -> list[Unit]:
        """Some sequences each; a table that cannot be read is told when the first is."""
        try:
            count = sum("Group" in line for line in raw_files.read_lines(scene / "be_seq.csv"))
        except DataError:
            count = 0
        name = scene.relative_to(self.root).as_posix()
        if count <= AT_ONCE:
            return [Unit(name, scene, (0, count))]
        firsts = range(0, count, AT_ONCE)
        return [Unit(f"{name} from sequence {first + 1} on", scene, (first, first + AT_ONCE)) for first in firsts]

    def read(self, unit: Unit) -> Instances:
        return self._labels(unit) if unit.path.suffix == ".npz" else self._scene(unit)

    # -- (B) ----------------------------------------------------------------------------------------------

    def _scene(self, unit: Unit) -> Instances:
        scene, (first, end) = unit.path, unit.data
        sequences = read_sequences(scene / "be_seq.csv")
        check_cameras(scene, sequences)
        motions = raw_files.first_existing(self.root, [MOTIONS])
        portrait = is_portrait(self.root, scene.name)
        parts: list[Instances] = []
        notes: dict[str, None] = {}
        unseen: list[str] = []
        for sequence, bodies in list(sequences.items())[first:end]:
            views = read_views(scene / CAMERAS / f"{sequence}{CAMERA}", self.sampling)
            if len(views) and rolled(views) != portrait:
                notes[contradiction(scene.name, portrait)] = None
            seen = sequence_images(self.root, scene, sequence, views)
            lost = images_without_camera(self.root, scene, sequence, views, self.sampling)
            unseen += [path for path in lost for _ in bodies]
            parts += [self._person(scene, body, views, seen, motions) for body in bodies]
        rows = concat(parts) if parts else no_instances()
        drop(rows.dropped, "no line of the frame in the camera file", unseen)
        if len(rows):
            rows.meta["portrait"] = np.full(len(rows), portrait)
        if raw_files.is_file(scene / "blacklist.txt"):
            notes[f"{scene.name} has a blacklist.txt, of which it is not known what it says: all is converted"] = None
        rows.notes = list(notes)
        return rows

    def _person(self, scene: Path, body: Body, views: Views, seen: SequenceImages, motions: Path) -> Instances:
        path = motions / f"{body.name}.npz"
        there = raw_files.is_file(path)
        if seen.left_out or not there:
            dropped: dict[str, list[str]] = {}
            reason = seen.left_out if there else "no motion file"
            drop(dropped, reason, row_names(scene.name, body, views.frame))
            return no_instances(dropped)
        motion = fields.values(raw_files.load_npz(path, list(MOTION)), MOTION, path)
        check_gender([str(motion["gender"])], path)
        if (found := len(motion["betas"])) not in (BETAS, MOYO_BETAS):
            raise other_betas(found, path)
        rows = body_rows(
            scene.name,
            body,
            views,
            seen.images,
            poses=motion["poses"],
            trans=motion["trans"],
            betas=motion["betas"][:BETAS],
            gender="neutral",
            upright=seen.upright,
        )
        if rows.body is not None:
            rows.body = rows.body.with_(locked_head=True)
        return rows

    # -- (A) ----------------------------------------------------------------------------------------------

    def _labels(self, unit: Unit) -> Instances:
        scene, rows_of = unit.path.stem, bedlam_labels.read_labels(unit.path, unit.data)
        if not rows_of:
            return no_instances()
        if (found := rows_of["gtkps"].shape[1]) != POINTS:
            raise DataError(f"gtkps has {found} points, expected {POINTS}", path=unit.path, fix=OTHER)
        if (betas := rows_of["shape"].shape[1]) != BETAS:
            raise other_betas(betas, unit.path)
        check_gender(rows_of["gender"].tolist(), unit.path)
        folder = f"{IMAGES}/{scene}/png"
        if not is_image_folder(self.root, folder):
            return no_instances({"scene without image folder": bedlam_labels.named(rows_of, scene)})
        dropped: dict[str, list[str]] = {}
        rows_of = bedlam_labels.usable(rows_of, scene, dropped)
        every = self.sampling // EVERY
        rows_of = bedlam_labels.taken(rows_of, np.rint(bedlam_labels.frames(rows_of) / EVERY) % every == 0)
        if not len(rows_of["shape"]):
            return no_instances(dropped)
        portrait = {"portrait": bedlam_labels.upright(rows_of)}
        joints = slice(FIRST_JOINT, FIRST_JOINT + JOINTS)
        rows = bedlam_labels.labelled_rows(
            rows_of, scene, folder, joints, portrait, betas=rows_of["shape"], gender="neutral"
        )
        assert rows.body is not None
        rows.body = rows.body.with_(locked_head=True)
        rows.dropped = dropped
        return rows


def check_gender(words: list[str], path: Path) -> None:
    """Raise unless all bodies are of the neutral model.

    Raises
    ------
    DataError : some are of another, which the release is not known to have.
    """
    if other := sorted({word for word in map(str, words) if BY_WORD[word.strip().lower()] != "neutral"}):
        raise DataError(
            f"has bodies of the {other[0]} model; those of BEDLAM2.0 are known as neutral ones",
            path=path,
            fix=OTHER,
        )


def other_betas(count: int, path: Path) -> DataError:
    """The error of bodies that are not of the locked-head model."""
    what = (
        f"has {count} betas, expected {BETAS}, or {MOYO_BETAS} in a motion of MOYO: not bodies of the locked-head model"
    )
    return DataError(what, path=path, fix=OTHER)
