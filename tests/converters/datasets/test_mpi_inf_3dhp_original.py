"""The original training release of MPI-INF-3DHP: joints of ``annot.mat`` and cameras, no bodies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from ehps.converters.datasets.mpi_inf_3dhp import MPIINF3DHP
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw.mpi_inf_3dhp import Filmed, write_original
from tests.raw.trees import read, runner
from tests.raw.ubody import number_at, write_video

DATASET = "mpi_inf_3dhp"
run = runner(DATASET)
Tree = tuple[Path, Filmed]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return tmp_path / "3dhp", write_original(tmp_path / "3dhp", np.random.default_rng(6))


def test_joints_and_cameras_of_every_camera(tree: Tree, tmp_path: Path) -> None:
    root, made = tree
    report = run(root, tmp_path / "x.h5", None, options={"cameras": "0,8", "interval": "2"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/camera"].tolist() == [0] * 3 + [8] * 3
    assert hd["meta/frame"].tolist() == [0, 2, 4] * 2
    assert hd.keypoint_names["keypoints3d_original"] == point_names("mpi_inf_3dhp")
    for rows, camera in ((slice(3), 0), (slice(3, 6), 8)):
        np.testing.assert_allclose(
            hd["keypoints3d_original"][rows, :, :3], made.joints[camera][::2] / 1000, rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(hd["keypoints2d_original"][rows, :, :2], made.points[camera][::2], rtol=1e-6)
        assert (hd["meta/focal_length"][rows] == np.float32(made.focal[camera])).all()
        assert (hd["meta/principal_point"][rows] == np.float32(made.centre[camera])).all()
    assert set(zip(hd["meta/height"].tolist(), hd["meta/width"].tolist(), strict=True)) == {(2048, 2048)}
    assert hd["image_path"][5] == "S1/Seq1/video_8/000005.jpg"
    assert set(zip(hd["meta/subject"].tolist(), hd["meta/seq"].tolist(), strict=True)) == {("S1", "Seq1")}
    assert hd.body_model is None
    assert report.problems == []
    assert "the original release has no fits: keypoints and boxes only" in report.notes


def test_frames_are_looked_for_where_others_cut_them_to(tree: Tree) -> None:
    root, _ = tree
    (root / "S1/Seq1/imageFrames/video_4").mkdir(parents=True)
    (rows,) = read(DATASET, root, cameras="4")
    assert rows.image_path[0] == "S1/Seq1/imageFrames/video_4/frame_000001.jpg"


@pytest.mark.parametrize("fps", [25, 50])
def test_frames_are_cut_out_of_the_videos_whatever_their_rate(tree: Tree, tmp_path: Path, fps: int) -> None:
    root, _ = tree
    write_video(root / "S1/Seq1/imageSequence/video_2.avi", 6, fps)
    converter = MPIINF3DHP(root, "train", {"cameras": "2", "interval": "4"})
    (unit,) = converter.units()
    converter.extract_frames(unit, converter.read(unit).image_path, tmp_path / "frames")
    found = {path.name: number_at(path) for path in (tmp_path / "frames/S1/Seq1/video_2").iterdir()}
    assert found == {"000001.jpg": 0, "000005.jpg": 4}


def change(path: Path, edit: Callable[[dict[str, np.ndarray]], object]) -> None:
    content = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    edit(content)
    savemat(path, content)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda cells: cells.pop("annot3"), "has no annot3"),
        (lambda cells: cells.update(annot2=cells["annot2"][:1]), "annot2 has 1 cells, and none of camera 2"),
        (lambda cells: cells["annot2"][2].__setitem__(0, np.zeros((5, 34))), r"annot2 of camera 2 is \(5, 34\)"),
        (lambda cells: cells["annot2"][2].__setitem__(0, np.zeros((4, 56))), "has 4 frames, annot3 has 5"),
        (lambda cells: cells["annot3"][2].__setitem__(0, "none"), "annot3 of camera 2 is "),
    ],
)
def test_joints_of_another_form_are_named(
    tree: Tree, edit: Callable[[dict[str, np.ndarray]], object], words: str
) -> None:
    path = tree[0] / "S1/Seq1/annot.mat"
    change(path, edit)
    with pytest.raises(DataError, match=words) as error:
        read(DATASET, tree[0], cameras="2")
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("1492.0", "", "intrinsic of camera 2 is '0.0 .*not 16 numbers"),
        ("1492.0", "f", "not 16 numbers"),
        ("1492.0", "nan", "not 16 numbers"),
        ("name          2\n", "nickname 2\n", "camera 1 has sensor twice"),
        ("name          2\n", "name          x\n", "has no camera 2, but 0, 1, x, 3"),
        ("name          2\n", "name          3\n", "has camera 3 twice"),
    ],
)
def test_calibrations_of_another_form_are_named(tree: Tree, before: str, after: str, words: str) -> None:
    path = tree[0] / "S1/Seq1/camera.calibration"
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(DataError, match=words) as error:
        read(DATASET, tree[0], cameras="2")
    assert str(path) in str(error.value)
