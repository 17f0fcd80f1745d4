"""An AGORA tree with everything that its tables hold against a reader, and its projection written out once more."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from ehps.body.params import smplx_params
from ehps.demo.raw import agora, stage
from ehps.demo.raw.stage import Look, Truth
from tests.raw.checks import blank
from tests.raw.streams import Global, Made, called

Array = npt.NDArray[Any]

LOOK = Look(people=(2, 2), share=(0.5, 0.6))
PER_PERSON = (
    "X",
    "Y",
    "Z",
    "Yaw",
    "gender",
    "kid",
    "age",
    "ethnicity",
    "occlusion",
    "isValid",
    "gt_path_smplx",
    "gt_joints_2d",
    "gt_joints_3d",
    "gt_verts",
)


@dataclass
class Tree:
    """A raw tree and what a conversion must make of it.

    Attributes
    ----------
    truth : people in the order of the rows.
    people : row of the table, and number in its lists, of each of them.
    dropped : reason -> how many.
    """

    root: Path
    truth: Truth
    people: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def column(self, name: str) -> list[Any]:
        """One column of the tables, of the people of the truth."""
        return [row[name][k] for row, k in self.people]

    def fits(self) -> list[dict[str, Any]]:
        """The raw parameters of the people of the truth."""
        return [load(self.root / Path(path).with_suffix(".pkl")) for path in self.column("gt_path_smplx")]

    @property
    def kids(self) -> list[int]:
        return [i for i, kid in enumerate(self.column("kid")) if kid]

    @property
    def adults(self) -> list[int]:
        return [i for i, kid in enumerate(self.column("kid")) if not kid]


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Tables 0 and 2 of train, nine usable people.

    Table 0: an image of each of two cameras, with everybody there can be; its second person in the second is hidden
    and has no joints; an image that is not on the disk; an image without people; one with hidden people only.
    Table 2: the camera's place is in the table; the fits of the first and fourth are missing and not a number.
    """
    first = write(root, models, rng, 0, "hdri", ("male", "female", "boy", "girl"))
    second = write(root, models, rng, 1, "cam02", ("girl", "female", "male"))
    write(root, models, rng, 3, "cam01", ("male",))
    last = write(root, models, rng, 2, "", ("male", "boy", "female", "male", "male"))
    (root / "train_3").rename(root / "elsewhere")
    hdri, cam02, absent, free = (load(table_path(root, k)).to_dict("records")[0] for k in (0, 1, 3, 2))
    cam02["isValid"][1], cam02["occlusion"][1] = False, 96.5
    cam02["gt_joints_2d"][1] = cam02["gt_joints_3d"][1] = np.zeros(0)
    hidden = {"isValid": [False, False], "gt_joints_2d": [], "gt_joints_3d": [], "gt_verts": np.zeros(0)}
    hidden = {name: list(cam02[name][:2]) for name in PER_PERSON} | hidden
    nobody = {name: np.zeros(0) for name in PER_PERSON}
    place = {"camX": 0.0, "camY": 0.0, "camZ": 0.0, "camYaw": 0.0}
    save(
        root,
        0,
        [
            hdri,
            absent,
            {"imgPath": "ag_x_hdri_0.png"} | place | nobody,
            cam02,
            {"imgPath": "ag_x_hdri_1.png"} | place | hidden,
        ],
    )
    for k in (1, 3):
        table_path(root, k).unlink()
    fit_path(root, free, 0).unlink()
    with fit(root, free, 3) as values:
        values["body_pose"][0, 5] = np.nan
    truth = Truth.concat([first, second[[0, 2]], last[[1, 2, 4]]])
    people = [(hdri, 0), (hdri, 1), (hdri, 2), (hdri, 3), (cam02, 0), (cam02, 2), (free, 1), (free, 2), (free, 4)]
    dropped = {
        "occluded beyond use (isValid)": 3,
        "SMPL-X fit missing": 1,
        "image missing": 1,
        "body parameters not finite": 1,
    }
    return Tree(root, truth, people, dropped)


def write(
    root: Path, models: Path, rng: np.random.Generator, table: int, camera: str, who: Sequence[str], **options: Any
) -> Truth:
    """A table of one blank image."""
    truth = agora.write(
        root, models, rng, look=LOOK, images=1, table=table, camera=camera, who=who, painted=False, **options
    )
    blank(root, truth.image_path[:1], 720, 1280)
    return truth


# -- files ----------------------------------------------------------------------------------------------------


def load(path: Path) -> Any:
    """A pickle that these tests have written."""
    return pickle.loads(path.read_bytes())


def table_path(root: Path, number: int) -> Path:
    return root / "SMPLX" / f"train_{number}_withjv.pkl"


def save(root: Path, number: int, rows: list[dict[str, Any]]) -> None:
    table_path(root, number).write_bytes(pickle.dumps(pd.DataFrame(rows)))


def edit(root: Path, number: int, change: Callable[[pd.DataFrame], Any]) -> None:
    """Change a table: in place, or to what ``change`` returns."""
    table = load(table_path(root, number))
    changed = change(table)
    table_path(root, number).write_bytes(pickle.dumps(table if changed is None else changed))


def fit_path(root: Path, row: dict[str, Any], k: int) -> Path:
    return (root / row["gt_path_smplx"][k]).with_suffix(".pkl")


@contextmanager
def fit(root: Path, row: dict[str, Any], k: int) -> Iterator[dict[str, Array]]:
    """The parameters of one person, written back afterwards."""
    values = load(fit_path(root, row, k))
    yield values
    fit_path(root, row, k).write_bytes(pickle.dumps(values))


def frame_of_pandas_0_25(rows: list[dict[str, Any]]) -> Made:
    """A table as the pandas of AGORA's time pickled it, for :func:`tests.raw.streams.stream`."""

    def index(module: str, cls: str, data: Array) -> Made:
        return called("pandas.core.indexes.base._new_Index", Global(f"{module}.{cls}"), {"data": data, "name": None})

    def labels(words: list[str]) -> Made:
        return index("pandas.core.indexes.base", "Index", np.array(words, object))

    names = list(rows[0])
    numbers = [name for name in names if isinstance(rows[0][name], float)]
    others = [name for name in names if name not in numbers]
    floats = np.array([[row[name] for row in rows] for name in numbers])
    objects = np.empty((len(others), len(rows)), object)
    for i, name in enumerate(others):
        for j, row in enumerate(rows):
            objects[i, j] = row[name]
    axes = [labels(names), index("pandas.core.indexes.numeric", "Int64Index", np.arange(len(rows)))]
    blocks = [
        {"values": values, "mgr_locs": np.array([names.index(name) for name in members])}
        for values, members in ((floats, numbers), (objects, others))
    ]
    state = (axes, [floats, objects], [labels(numbers), labels(others)], {"0.14.1": {"axes": axes, "blocks": blocks}})
    manager = Made("pandas.core.internals.managers.BlockManager", (), state)
    return Made("pandas.core.frame.DataFrame", (), {"_data": manager, "_typ": "dataframe", "_metadata": []})


# -- projection -----------------------------------------------------------------------------------------------

CAMERAS = {  # marker -> place cm, yaw, pitch degrees, focal length in pixels at 1280 x 720, ground offset m
    "hdri": ((0, 0, 170), 0, 0, 1777.7778, (0, 0, 0)),
    "cam00": ((400, -275, 265), 135, 30, 640, (0, 0, 0)),
    "cam01": ((400, 225, 265), -135, 30, 640, (0, 0, 0)),
    "cam02": ((-490, 170, 265), -45, 30, 640, (0, 0, 0)),
    "cam03": ((-490, -275, 265), 45, 30, 640, (0, 0, 0)),
    "ag2": ((0, 0, 170), 0, 15, 995.5556, (0, 0, 0)),
}


def official_joints(root: Path, row: dict[str, Any], k: int, marker: str, models: Path) -> tuple[Array, float]:
    """(J, 3) joints of a raw fit in the camera, point by point, and the focal length.

    The scan turned upside down and by its yaw, put where it stands, the camera taken away, and its turns undone.
    """
    own = ((row["camX"], row["camY"], row["camZ"]), row["camYaw"], 0, 995.5556, (0, -1.7, 0))
    place, cam_yaw, pitch, focal, ground = CAMERAS.get(marker, own)
    values = load(fit_path(root, row, k))
    betas = values.pop("betas")
    gender = "neutral" if row["kid"][k] and row["gender"][k] == "female" else row["gender"][k]
    params = smplx_params(gender=gender, betas=betas[:, :10], **values)
    if betas.shape[1] == 11:
        params = params.with_(betas_extra=betas[:, 10:])
    points = stage.package(models, params)[0][0]
    points = points * [1, -1, -1] @ _about((0, row["Yaw"][k] - 90, 0)).T
    points = points + _unreal(row["X"][k], row["Y"][k], row["Z"][k]) - _unreal(*place) - ground
    return points @ _about((0, -cam_yaw, 0)).T @ _about((pitch, 0, 0)).T, focal


def _about(degrees: Sequence[float]) -> Array:
    return cv2.Rodrigues(np.radians(np.asarray(degrees, float)))[0]


def _unreal(x: float, y: float, z: float) -> Array:
    return np.array([y, -z, x]) / 100
