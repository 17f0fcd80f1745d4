"""The original release of Human3.6M: joints of CDF files and cameras, no bodies."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ehps.converters.datasets.h36m import H36M
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw.h36m import LENSES, Filmed, write_cdf, write_original
from tests.raw.trees import read, runner
from tests.raw.ubody import number_at, write_video

DATASET = "h36m"
TAKEN = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
FILES = ("S1/Directions 1.54138969", "S1/Directions 1.55011271", "S1/Directions.54138969", "S1/Directions.55011271")
run = runner(DATASET)
Tree = tuple[Path, dict[str, Filmed]]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    pytest.importorskip("cdflib")
    root = tmp_path / "h36m"
    return root, write_original(root, np.random.default_rng(5))


def test_joints_and_cameras_of_the_subjects_that_are_there(tree: Tree, tmp_path: Path) -> None:
    root, made = tree
    report = run(root, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    joints = np.concatenate([made[name].joints[::5, TAKEN] for name in FILES])
    points = np.concatenate([made[name].points[::5, TAKEN] for name in FILES])
    assert hd.keypoint_names["keypoints3d_original"] == point_names("h36m_mmpose")
    np.testing.assert_allclose(hd["keypoints3d_original"][..., :3], joints / 1000, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(hd["keypoints2d_original"][..., :2], points, rtol=1e-6)
    lenses = np.array([LENSES[name.rpartition(".")[2]] for name in FILES for _ in range(2)])
    np.testing.assert_allclose(hd["meta/focal_length"], lenses[:, :2])
    np.testing.assert_allclose(hd["meta/principal_point"], lenses[:, 2:4])
    np.testing.assert_allclose(hd["meta/h36m_dist_coeffs"], lenses[:, [4, 5, 7, 8, 6]], rtol=1e-6)
    assert hd["meta/height"].tolist() == [1002, 1002, 1000, 1000] * 2
    assert hd["meta/frame_id"].tolist() == [0, 5] * 4
    assert hd["image_path"][1] == "S1/images/S1_Directions_1.54138969/S1_Directions_1.54138969_000006.jpg"
    assert hd["meta/sequence_name"][4] == "S1_Directions"
    assert hd.body_model is None
    assert report.left_out == {"subject not there": [f"subject {s}" for s in (5, 6, 7, 8)]}
    assert report.problems == []
    assert "the original release has no fits: keypoints and boxes only" in report.notes


def test_cameras_and_stride_hold_for_the_original_release_too(tree: Tree) -> None:
    root, made = tree
    units = [rows for rows in read(DATASET, root, cameras="2", interval="3") if len(rows)]
    assert [rows.meta["frame_id"].tolist() for rows in units] == [[0, 3, 6]] * 2
    assert units[0].keypoints3d is not None
    np.testing.assert_allclose(units[0].keypoints3d.points, made[FILES[1]].joints[::3, TAKEN] / 1000)


def test_the_video_that_is_broken_in_the_release_is_left_out(tree: Tree, tmp_path: Path) -> None:
    root, _ = tree
    with pytest.raises(DataError, match="1 subject not there, 1 its video cannot be decoded, as released"):
        run(root, tmp_path / "x.h5", None, split="test", options={"cameras": "1"})
    with pytest.raises(DataError, match="1 subject not there"):
        run(root, tmp_path / "x.h5", None, split="test")


def test_frames_are_cut_out_of_the_videos(tree: Tree, tmp_path: Path) -> None:
    root, _ = tree
    write_video(root / "S1/Videos/Directions 1.54138969.mp4", 8, 50)
    converter = H36M(root, "train")
    unit = converter.units()[0]
    converter.extract_frames(unit, converter.read(unit).image_path, tmp_path / "frames")
    found = {path.name: number_at(path) for path in (tmp_path / "frames").rglob("*.jpg")}
    assert found == {"S1_Directions_1.54138969_000001.jpg": 0, "S1_Directions_1.54138969_000006.jpg": 5}


def test_files_that_are_not_there_or_of_another_kind_are_named(tree: Tree, tmp_path: Path) -> None:
    root, made = tree
    own = root / "S1/MyPoseFeatures"
    name = "Directions 1.54138969.cdf"
    points = made[FILES[0]].points.reshape(1, 7, 64)
    for values, variable, words in (
        (points[:, :5], "Pose", "has 5 frames, .* has 7"),
        (points[..., :34], "Pose", r"Pose is \(.*34\), not \(F, 64\)"),
        (points, "Other", "has no variable Pose .it has Other"),
    ):
        (own / "D2_Positions" / name).unlink()
        write_cdf(own / "D2_Positions" / name, values, variable)
        with pytest.raises(DataError, match=words) as error:
            read(DATASET, root)
        assert str(own / "D2_Positions" / name) in str(error.value)
    (own / "D2_Positions" / name).write_bytes(b"no cdf file")
    with pytest.raises(DataError, match=r"D2_Positions/Directions 1\.54138969\.cdf: is no CDF file"):
        read(DATASET, root)
    (own / "D2_Positions" / name).unlink()
    with pytest.raises(DataError, match=r"D2_Positions/Directions 1\.54138969\.cdf: no such file"):
        read(DATASET, root)
    (root / "metadata.xml").write_text("<metadata><w0>[1 2 three]</w0></metadata>")
    with pytest.raises(DataError, match=r"metadata\.xml: w0 has 0 numbers where 300"):
        read(DATASET, root)
    (root / "metadata.xml").unlink()
    with pytest.raises(DataError, match=r"has no metadata\.xml"):
        read(DATASET, root)


def test_without_cdflib_it_is_said_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cdflib", None)
    folder = tmp_path / "S1/MyPoseFeatures/D3_Positions_mono"
    folder.mkdir(parents=True)
    (folder / "Directions.54138969.cdf").touch()
    text = " ".join(["0.5"] * 300)
    (tmp_path / "metadata.xml").write_text(f"<metadata><w0>[{text}]</w0></metadata>")
    with pytest.raises(DataError, match=r"cdflib, which is not installed.*Pip install 'ehps\[cdf\]'"):
        read(DATASET, tmp_path)
