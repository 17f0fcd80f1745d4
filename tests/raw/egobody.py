"""An EgoBody tree with everything that its recordings hold against a reader."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.demo.raw import egobody
from ehps.demo.raw.egobody import DATE
from ehps.demo.raw.stage import Look, PaintedView, Truth
from tests.raw.checks import blank

LOOK = Look(style="sports", scene="indoor", tilt=12, spread=25)
NEAR = Look(style="sports", scene="indoor", tilt=12, spread=25, share=(1.1, 1.3))
VIEW = PaintedView(540, 960, 760.0, (470.5, 281.0))
FIRST, SECOND, TEST = "recording_20210907_S02_S01_01", "recording_20210911_S05_S06_02", "recording_20220315_S21_S30_03"
KEPT = {FIRST: (110, 112, 114), SECOND: (300, 302, 304), TEST: (40, 42)}


@dataclass
class Recordings:
    """A raw tree, and for each split the people that must be found, in the order of the rows."""

    root: Path
    truth: dict[str, Truth]
    dropped: dict[str, int]  # of train


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Recordings:
    """Three recordings.

    ``FIRST``: the interactee is body 0, a woman, whom the csv calls a man; ten images, of which 5 6 7 can be used:
    0 before the first usable frame, 1 not marked as valid, 2 without a fit, 3 without its jpg, 4 with a pose of
    zeros, 8 without a detection, 9 after the last usable frame. ``SECOND``: body 1, a man, whose legs are below the
    image; Windows' paths, frames out of order, commas at line ends, a fit that does not name its gender.
    ``TEST``: of the split test, a man, two images.
    """
    truth = {
        name: egobody.write(
            root,
            models,
            rng,
            look=look,
            images=images,
            split=split,
            recording=name,
            interactee=idx,
            gender=gender,
            first=first,
            view=VIEW,
            painted=False,
        )
        for name, look, images, split, idx, gender, first in (
            (FIRST, LOOK, 10, "train", 0, "female", 100),
            (SECOND, NEAR, 3, "train", 1, "male", 300),
            (TEST, LOOK, 2, "test", 0, "male", 40),
        )
    }
    for people in truth.values():
        blank(root, people.image_path, VIEW.height, VIEW.width)
    _spoil_first(root, truth[FIRST])
    _write_second_otherwise(root)
    _change_lists(root)
    return Recordings(
        root,
        {"train": Truth.concat([truth[FIRST][[5, 6, 7]], truth[SECOND]]), "test": truth[TEST]},
        {
            "outside the usable range of frames": 2,
            "interactee not visible": 2,
            "no camera pose": 1,
            "no SMPL-X fit": 1,
            "image missing": 1,
        },
    )


def _spoil_first(root: Path, people: Truth) -> None:
    folder = colour(root, FIRST)
    with np.load(folder / "valid_frame.npz") as flags:
        content = dict(flags)
    content["valid"][1] = False
    np.savez(folder / "valid_frame.npz", **content)
    fit(root, FIRST, 104).unlink()
    (root / people.image_path[3]).unlink()
    edit_pv(root, FIRST, lambda k, fields: [*fields[:3], *["0"] * 16] if k == 4 else fields)
    _insert_pv(root, FIRST)
    with np.load(folder / "keypoints.npz") as points:
        content = dict(points)
    seen = content["imgname"] != people.image_path[8]
    np.savez(folder / "keypoints.npz", **{key: value[seen] for key, value in content.items()})


def _insert_pv(root: Path, recording: str) -> None:
    """A camera pose, of an image that is not there, between those of the others."""
    path = colour(root, recording) / f"{DATE}_pv.txt"
    lines = path.read_text().splitlines()
    lines.insert(3, lines[2].replace(lines[2].split(",")[0], "132754800000009999", 1))
    path.write_text("\n".join(lines) + "\n")


def _write_second_otherwise(root: Path) -> None:
    folder = colour(root, SECOND)
    for name in ("keypoints.npz", "valid_frame.npz"):
        with np.load(folder / name) as file:
            order = np.argsort(file["imgname"])[[2, 0, 1]]
            content = {key: value[order] for key, value in file.items()}
        content["imgname"] = np.array([path.replace("/", "\\") for path in content["imgname"]])
        np.savez(folder / name, **content)
    edit_pv(root, SECOND, lambda k, fields: [*fields, ""])
    edit_fit(root, SECOND, 302, lambda values: values.pop("gender"))


def _change_lists(root: Path) -> None:
    """Columns in another order, a gender that the fits contradict, blanks of two kinds in short columns."""
    info = pd.read_csv(root / "data_info_release.csv")
    own = info["recording_name"] == FIRST
    info.loc[own, ["start_frame", "end_frame"]] = [102, 116]
    info.loc[own, ["body_idx_0", "body_idx_fpv"]] = ["0 male", "0 male"]
    info[info.columns[::-1]].to_csv(root / "data_info_release.csv", index=False)
    (root / "data_splits.csv").write_text(f"train,val,test\n{FIRST},,{TEST}\n{SECOND}, ,\n")


def colour(root: Path, recording: str) -> Path:
    """Folder with what the head-mounted camera saw."""
    return root / "egocentric_color" / recording / DATE


def fit(root: Path, recording: str, frame: int) -> Path:
    (path,) = root.glob(f"smplx_interactee_*/{recording}/body_idx_*/results/frame_{frame:05d}/000.pkl")
    return path


def edit_fit(root: Path, recording: str, frame: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of a fit, which this module has written."""
    path = fit(root, recording, frame)
    content: dict[str, Any] = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content))


def edit_pv(root: Path, recording: str, change: Callable[[int, list[str]], list[str]]) -> None:
    """Change the fields of each camera pose of a recording."""
    path = colour(root, recording) / f"{DATE}_pv.txt"
    head, *lines = path.read_text().splitlines()
    changed = [",".join(change(k, line.split(","))) for k, line in enumerate(lines)]
    path.write_text("\n".join([head, *changed]) + "\n")
