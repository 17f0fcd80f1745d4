"""A UP-3D tree with everything that its files hold against a reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.pw3d import save
from ehps.demo.raw.stage import Cast, PaintedView, Truth
from ehps.humandata import keypoints
from tests.raw.checks import blank


@dataclass
class Photo:
    """One image: its size, what part of it was fitted (y0, y1, x0, x1), and at what size."""

    id: str
    size: tuple[int, int]
    part: tuple[int, int, int, int]
    fitted: tuple[int, int]

    def in_photo(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(J, 2) pixels of the fit's image, in the image."""
        y0, y1, x0, x1 = self.part
        scale = np.array([(x1 - x0) / self.fitted[1], (y1 - y0) / self.fitted[0]])
        return np.array([x0, y0]) + points * scale


PHOTOS = (
    Photo("00003", (460, 520), (20, 440, 100, 400), (600, 429)),  # cropped and scaled: the page's example
    Photo("00000", (187, 184), (0, 187, 0, 184), (187, 184)),  # as it is
    Photo("00001", (300, 260), (10, 290, 30, 230), (280, 200)),  # cropped
    Photo("00002", (240, 200), (0, 240, 0, 200), (480, 400)),  # scaled
)
LISTS = {"train": ("00003", "00000", "00007", "00005"), "val": ("00001",), "test": ("00002",)}
PLACED = 3  # whose fit has rt and trans


@dataclass
class Tree:
    """A raw tree, the people of :data:`PHOTOS` in that order, and their 14 joints as written (3, 14)."""

    root: Path
    truth: Truth
    joints: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def rows(self, *ids: str) -> Truth:
        order = [photo.id for photo in PHOTOS]
        return self.truth[[order.index(i) for i in ids]]


def write_fixture(root: Path, models: Path, rng: np.random.Generator, *, painted: bool = False) -> Tree:
    """00000 as it is, the others cut or scaled; 00001 has joints without a third row and no facts of its source,
    00003 an unseen joint and medium quality, 00002 a fit with rt and trans; 00007 has no fit, 00005 no image.

    The lists have a carriage return, a second column and an empty last line.
    """
    n = len(PHOTOS)
    facing = stage.orientations(rng, n, tilt=5)
    turn = np.zeros((n, 3))
    turn[PLACED] = [0.5, -0.9, 0.7]
    shift = np.zeros((n, 3))
    shift[PLACED] = [0.3, -0.2, 6.0]
    pelvis = np.concatenate([stage.places(rng, [1], PaintedView(*photo.fitted, 5000.0))[1] for photo in PHOTOS])
    params = random_people(n, rng, style="sports", model_type="smpl", gender="neutral")
    move = Rigid(Rotation.from_rotvec(turn).as_matrix(), shift)
    cast = stage.cast(models, params, move, np.arange(n), pelvis, facing)
    points = np.stack(
        [p.in_photo(stage.project(cast.joints[k], PaintedView(*p.fitted, 5000.0))) for k, p in enumerate(PHOTOS)]
    )
    tree = Tree(root, Truth([f"{p.id}_image.png" for p in PHOTOS], cast.joints, points, cast.params.gender))
    root.mkdir(parents=True, exist_ok=True)
    for k, photo in enumerate(PHOTOS):
        tree.joints[photo.id] = joints_of(points[k])
        if photo.id == "00003":
            tree.joints[photo.id][:, 6] = 0
        _write(root, k, photo, cast, turn[k], shift[k], tree.joints[photo.id])
        _draw(root, k, photo, cast, models, rng, painted)
    for name in ("dataset_info", "quality_info"):
        (root / f"00001_{name}.txt").unlink()
    for other in ("00005", "00007"):
        for path in sorted(root.glob("00000_*")):
            if path.name not in ("00000_image.png" if other == "00005" else "00000_body.pkl"):
                (root / path.name.replace("00000", other)).write_bytes(path.read_bytes())
    lists = LISTS | {"trainval": LISTS["train"][:2] + LISTS["val"] + LISTS["train"][2:]}
    for split, ids in lists.items():
        text = "".join(f"/{i}_image.png 1.0\r\n" for i in ids)
        (root / f"{split}.txt").write_bytes(text.encode() + b"\n")
    return tree


def joints_of(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(3, 14) as LSP has them, of SMPL joints (45, 2); the top of the head is above the head joint."""
    full = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    lsp, found = keypoints.convert(full[None], "smpl_45", "lsp", approximate=True)
    assert found.sum() == 13
    lsp[0, 13] = [*(2 * points[15] - points[12]), 1]
    return np.asarray(lsp[0].T, float)


def _write(
    root: Path,
    k: int,
    photo: Photo,
    cast: Cast,
    turn: npt.ArrayLike,
    shift: npt.ArrayLike,
    joints: npt.NDArray[np.float64],
) -> None:
    raw = cast.params
    trans = raw.transl[k]
    fit: dict[str, object] = {
        "pose": np.concatenate([raw.global_orient[k], raw.body_pose[k].ravel()]),
        "betas": raw.betas[k],
        "trans": trans if k == PLACED else np.zeros(3),
        "rt": np.asarray(turn),
        "t": np.asarray(shift) if k == PLACED else trans,
        "f": 5000.0,
        "j2d": np.zeros((25, 2)),
    }
    save(root / f"{photo.id}_body.pkl", fit)
    np.save(root / f"{photo.id}_joints.npy", joints[:2] if photo.id == "00001" else joints)
    texts = {
        "fit_crop_info": " ".join(map(str, (*photo.fitted, *photo.part))),
        "dataset_info": f"lsp {1000 + k}",
        "quality_info": "medium" if photo.id == "00003" else "high",
    }
    for name, text in texts.items():
        (root / f"{photo.id}_{name}.txt").write_text(text)


def _draw(root: Path, k: int, photo: Photo, cast: Cast, models: Path, rng: np.random.Generator, painted: bool) -> None:
    """The image, and the fit's vertices on white."""
    view = PaintedView(*photo.fitted, 5000.0)
    drawing = np.full((*photo.size, 3), 255, np.uint8)
    x, y = photo.in_photo(stage.project(cast.vertices[k], view)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < photo.size[1]) & (y < photo.size[0])
    drawing[y[inside], x[inside]] = (255, 200, 90)
    assert cv2.imwrite(str(root / f"{photo.id}_render_light.png"), drawing)
    path = f"{photo.id}_image.png"
    blank(root, [path], *photo.size)
    if painted:
        stage.paint(root, ["fitted.png"], cast.only(k), view, models, rng, scene="outdoor")
        fitted = cv2.imread(str(root / "fitted.png"))
        (root / "fitted.png").unlink()
        y0, y1, x0, x1 = photo.part
        whole = cv2.imread(str(root / path))
        assert fitted is not None
        assert whole is not None
        whole[y0:y1, x0:x1] = cv2.resize(fitted, (x1 - x0, y1 - y0))
        assert cv2.imwrite(str(root / path), whole)
