from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.datasets import rich_files
from ehps.converters.datasets.rich import GENDER as SHIPPED
from ehps.converters.datasets.rich import RICH
from ehps.converters.datasets.rich_files import read_view
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import hand_components
from ehps.errors import DataError
from ehps.humandata import HumanData
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    nearest,
    package_joints,
    truncate,
)
from tests.raw.rich import (
    DISTORTION,
    EYES,
    GENDER,
    GYM,
    PARK,
    ROWS,
    TOSS,
    Tree,
    body_path,
    calibration_path,
    edit_body,
    image_path,
    rearrange,
    truth_of,
)
from tests.raw.trees import Raw, runner
from tests.samples import samples

Pair = tuple[HumanData, Report]
PLACE = {row: k for k, row in enumerate(ROWS)}

DATASET = "rich"
run = runner(DATASET)


def lists(root: Path, lines: list[str]) -> None:
    """The toolkit's list of train, as it is laid out."""
    head = "sequence_name\tcapture_name\tscan_name\tid\tmoving_cam\tgender\tview_id"
    (root / "resource/meta").mkdir(parents=True, exist_ok=True)
    (root / "resource/meta/train.txt").write_text("\n".join([head, *lines]) + "\n")


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_world_moved_by_each_camera(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth["train"], body_models)
    world = np.stack([tree.world[name, frame, subject] for name, _, frame, subject in ROWS])
    back = np.linalg.inv(hd["meta/RT"].astype(float))
    found = package_joints(hd, body_models) @ back[:, :3, :3].transpose(0, 2, 1) + back[:, None, :3, 3]
    np.testing.assert_allclose(found[:, :127], world[:, :127], atol=1e-3)


def test_rows_go_by_sequence_camera_frame_and_person(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    columns = ("sequence_name", "camera", "frame_id", "subject")
    assert list(zip(*(hd[f"meta/{name}"].tolist() for name in columns), strict=True)) == ROWS
    assert nearest(hd, tree.truth["train"]) == list(range(len(ROWS)))
    assert hd["meta/track_id"].tolist() == [f"{name}_{subject}" for name, *_, subject in ROWS]
    assert hd["meta/scene"].tolist() == ["ParkingLot1"] * 3 + ["Pavallion"] * 6
    assert hd["image_path"].tolist()[:2] == [
        f"images/train/{PARK}/cam_00/00000_00.png",
        f"images/train/{PARK}/cam_00/00001_00.jpeg",
    ]


def test_the_gender_is_that_of_the_subject(converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/gender"].tolist() == [GENDER[subject] for *_, subject in ROWS]


def test_parameters_are_the_raw_ones_with_root_and_place_in_the_camera(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    for row, (name, number, frame, subject) in enumerate(ROWS):
        key = (name, frame, subject)
        params = tree.bodies[key].arrays()
        for part in ("betas", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "expression"):
            np.testing.assert_allclose(hd[f"smplx/{part}"][row].ravel(), params[part].ravel(), rtol=1e-5, atol=1e-6)
        turned = EYES[name, number].rotation @ Rotation.from_rotvec(params["global_orient"][0]).as_matrix()
        stored = Rotation.from_rotvec(hd["smplx/global_orient"][row]).as_matrix()
        np.testing.assert_allclose(stored, turned, atol=1e-5)
        for side, components in hand_components(body_models, GENDER[subject]).items():
            wanted = tree.coefficients[key][side] @ components[:12]
            np.testing.assert_allclose(hd[f"smplx/{side}_hand_pose"][row].ravel(), wanted, atol=1e-5)
    assert hd.passport.flat_hand_mean is False


# -- cameras, boxes, facts --------------------------------------------------------------------------------------


def test_cameras_are_scaled_to_the_size_of_their_own_images(converted: Pair) -> None:
    hd, _ = converted
    sizes = np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist()
    assert sizes == [[376, 514]] * 2 + [[752, 1028]] + [[376, 514]] * 3 + [[514, 376]] * 3
    for row, (name, number, *_) in enumerate(ROWS):
        eye = EYES[name, number]
        np.testing.assert_allclose(hd["meta/focal_length"][row], [eye.focal / eye.shrunk] * 2, rtol=1e-6)
        np.testing.assert_allclose(hd["meta/principal_point"][row], np.array(eye.centre) / eye.shrunk, rtol=1e-6)
        np.testing.assert_allclose(hd["meta/RT"][row, :3, :3], eye.rotation, atol=1e-6)
    np.testing.assert_allclose(hd["meta/distortion"], np.tile([*DISTORTION, *[0] * 9], (9, 1)), rtol=1e-6)


@pytest.mark.parametrize(("name", "number", "size"), [(PARK, 0, (3008, 4112)), (TOSS, 3, (4112, 3008))])
def test_full_size_images_have_the_camera_of_the_file(
    tree: Tree, name: str, number: int, size: tuple[int, int]
) -> None:
    view, eye = read_view(calibration_path(tree.root, name, number), "cam"), EYES[name, number]
    assert tuple(view.size) == size
    np.testing.assert_allclose(view.focal, [eye.focal] * 2)
    np.testing.assert_allclose(view.principal_point, eye.centre)
    np.testing.assert_allclose(view.rotation, eye.rotation)
    np.testing.assert_allclose(view.translation, eye.translation)


def test_boxes_hold_the_people_in_images_of_either_format(converted: Pair) -> None:
    assert_boxes_hold_the_visible_joints(converted[0])


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    expected = {
        "smplx_source": "original",
        "bbox_source": "keypoints2d_smplx",
        "cam_param_type": "perspective",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
        "distortion": "ignored",
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("rich", "train", "smplx")
    assert (passport.gender, passport.num_betas) == ("per-instance", 10)
    assert hd.validate() == []
    assert report.problems == []


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert report.dropped["camera without calibration"] == [image_path(PARK, 10, 0)]
    assert report.dropped["no SMPL-X fit"] == [image_path(PARK, 0, 2), image_path(PARK, 2, 2)]
    assert report.dropped["image missing"] == [image_path(PARK, *at) for at in ((0, 3), (2, 1), (2, 3))]
    assert (report.found, report.written) == (18, 9)


# -- splits, layouts, options -----------------------------------------------------------------------------------


def test_validation_is_the_folder_of_that_name(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, split="val")
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth["val"], body_models)
    assert hd["meta/sequence_name"].tolist() == [GYM]
    assert report.dropped == {}
    assert report.published is None
    with pytest.raises(DataError, match="bodies/test"):
        run(tree.root, tmp_path / "y.h5", body_models, split="test")


def test_test_is_the_folder_of_that_name(own: Path, tmp_path: Path, body_models: Path) -> None:
    for kind in ("images", "bodies"):
        (own / kind / "val").rename(own / kind / "test")
    run(own, tmp_path / "x.h5", body_models, split="test")
    assert HumanData.open(tmp_path / "x.h5")["meta/sequence_name"].tolist() == [GYM]


def test_the_layout_of_the_archives_holds_the_same(
    own: Path, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    rearrange(own)
    run(own, tmp_path / "x.h5", body_models, options={"contact": "smpl"})
    found, hd = HumanData.open(tmp_path / "x.h5"), converted[0]
    assert found["image_path"].tolist() == [path.removeprefix("images/") for path in hd["image_path"].tolist()]
    np.testing.assert_allclose(found["smplx/transl"], hd["smplx/transl"], rtol=1e-5)
    np.testing.assert_allclose(found["keypoints2d_smplx"], hd["keypoints2d_smplx"], rtol=1e-5, atol=1e-3)


def test_contact_is_an_option(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"contact": "smpl"})
    hd = HumanData.open(tmp_path / "x.h5")
    known = [(name, frame, subject) == (TOSS, 11, "003") for name, _, frame, subject in ROWS]
    assert hd["meta/contact_valid"].tolist() == known
    assert np.flatnonzero(hd["meta/contact"][PLACE[TOSS, 3, 11, "003"]]).tolist() == [3, 77, 6889]
    assert hd["meta/contact"].shape == (9, 6890)
    assert hd["meta/contact"].any(1).tolist() == known


def test_some_cameras_and_frames_can_be_chosen(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "2, 3", "interval": "2"})
    hd = HumanData.open(tmp_path / "x.h5")
    rows = [row for row in ROWS if row[1] in (2, 3) and row[2] % 2 == 0]
    assert_joints_are_the_truth(hd, truth_of(tree, rows), body_models)
    assert {reason: len(names) for reason, names in report.dropped.items()} == {"no SMPL-X fit": 1}


def test_views_of_the_toolkits_lists_can_be_chosen(own: Path, tmp_path: Path, body_models: Path) -> None:
    with pytest.raises(DataError, match=r"resource/meta/train\.txt"):
        run(own, tmp_path / "x.h5", body_models, options={"views": "listed"})
    lists(own, [f"{TOSS}\tPavallion\tscan\t003\tX\tmale\t0,3", f"{TOSS}\tPavallion\tscan\t018\tX\tfemale\t3"])
    run(own, tmp_path / "x.h5", body_models, options={"views": "listed"})
    hd = HumanData.open(tmp_path / "x.h5")
    found = zip(hd["meta/camera"].tolist(), hd["meta/frame_id"].tolist(), hd["meta/subject"].tolist(), strict=True)
    assert list(found) == [row[1:] for row in ROWS if row[0] == TOSS and row != (TOSS, 0, 11, "018")]
    lists(own, [f"{TOSS}\tPavallion\tscan\t003\tX\tmale\tall"])
    with pytest.raises(DataError, match="line of another kind"):
        run(own, tmp_path / "y.h5", body_models, options={"views": "listed"})


# -- real lists -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "rows", "sequences"), [("train", 64, 62), ("val", 28, 28), ("test", 53, 52)])
def test_the_real_lists_are_read(split: str, rows: int, sequences: int) -> None:
    sample = samples("rich")
    listed = RICH(sample, split, {"views": "listed"})._listed()
    assert listed is not None
    assert len(listed) == sequences
    assert sum(map(len, listed.values())) == rows
    lines = (sample / f"resource/meta/{split}.txt").read_text().splitlines()[1:]
    for line in lines:
        words = line.split("\t")
        assert listed[words[0]][words[3]] == tuple(map(int, words[-1].split(",")))
        assert words[3] in words[0].split("_")[1:-1]
        assert SHIPPED[str(int(words[3]))] == words[5]
        assert words[0].split("_")[0] == words[1]


def test_the_genders_are_those_of_the_toolkit() -> None:
    assert json.loads((samples("rich") / "resource/gender.json").read_text()) == SHIPPED


# -- without everything, and bad input ------------------------------------------------------------------------


def test_a_gender_json_overrides_the_known_genders(own: Path, tmp_path: Path, body_models: Path) -> None:
    (own / "gender.json").write_text(json.dumps({"5": "female", "3": "male", "18": "female"}))
    run(own, tmp_path / "x.h5", body_models)
    assert HumanData.open(tmp_path / "x.h5")["meta/gender"].tolist()[:4] == ["female"] * 3 + ["male"]
    (own / "gender.json").write_text(json.dumps({"5": "female", "3": "male"}))
    with pytest.raises(DataError, match="gender of subject 018"):
        run(own, tmp_path / "x.h5", body_models)


def test_a_sequence_without_images_is_said(own: Path, tmp_path: Path, body_models: Path) -> None:
    shutil.rmtree(own / "images/train" / TOSS)
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.written == 3
    assert any(note.startswith(f"{TOSS}: no row") for note in report.notes)


def test_without_body_models_there_are_no_rows_to_place(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert "rest pelvis" in report.absent["smplx/*"]
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    assert {"meta/focal_length", "meta/RT"} <= set(hd.columns)


@pytest.mark.parametrize(
    ("rows", "columns", "numbers", "right"),
    [
        ("3", "3", 9, True),
        ("", "", 9, True),
        ("3", "3", 8, False),
        ("3", "4", 9, False),
        ("3", "", 9, False),
        ("-3", "-3", 9, False),
        ("three", "3", 9, False),
    ],
)
def test_a_matrix_has_as_many_numbers_as_its_rows_and_columns_say(
    rows: str, columns: str, numbers: int, right: bool
) -> None:
    data = " ".join(map(str, range(numbers)))
    xml = f"<opencv_storage><K><rows>{rows}</rows><cols>{columns}</cols><data>\n{data}</data></K></opencv_storage>"
    tree = ElementTree.fromstring(xml)
    if right:
        assert rich_files._matrix(tree, "K", Path("000.xml")).tolist() == list(range(numbers))
    else:
        with pytest.raises(DataError, match=f"K has {numbers} numbers, but its rows and cols are {rows!r} and"):
            rich_files._matrix(tree, "K", Path("000.xml"))


def test_broken_files_are_named_and_their_sequences_can_be_left_out(
    own: Path, tmp_path: Path, body_models: Path
) -> None:
    truncate(body_path(own, PARK, 1, "005"))
    first, second = run(own, tmp_path / "x.h5", body_models).dropped["SMPL-X fit cannot be read"]  # of two cameras
    assert f"{PARK}/00001/005.pkl: is not a complete pickle" in first == second
    for path in body_path(own, PARK, 1, "005").parents[1].glob("*/005.pkl"):
        truncate(path)
    with pytest.raises(DataError, match=rf"{PARK}: .* \(3 of 3 such files cannot be used\).*/005\.pkl"):
        run(own, tmp_path / "x.h5", body_models)
    report = run(own, tmp_path / "x.h5", body_models, skip_bad=True)
    assert [unit.unit for unit in report.bad] == [PARK]
    assert report.written == 6
    path = calibration_path(own, TOSS, 3)
    path.write_text(path.read_text().replace("Intrinsics", "Others"))
    with pytest.raises(DataError, match=r"003\.xml|Intrinsics"):
        run(own, tmp_path / "x.h5", body_models)
    truncate(path)
    with pytest.raises(DataError, match="is no complete XML"):
        run(own, tmp_path / "x.h5", body_models)


def test_fits_and_cameras_that_are_no_numbers_are_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_body(own, (PARK, 0, "005"), lambda values: values["body_pose"].__setitem__((0, 4), np.nan))
    path = calibration_path(own, TOSS, 3)
    numbers = f"{EYES[TOSS, 3].rotation[0, 0]:.16e}"
    path.write_text(path.read_text().replace(numbers, "nan", 1))
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["body parameters not finite"]) == 2
    assert len(report.dropped["camera pose not finite"]) == 3
    assert report.written == 4


# -- planted faults ---------------------------------------------------------------------------------------------


MISTAKES = (
    faults.pelvis_forgotten,
    faults.other_gender,
    faults.sides_swapped,
    faults.neighbours,
    faults.hands_absolute,
)


@pytest.mark.parametrize("fault", MISTAKES)
def test_mistakes_are_away_from_the_truth(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(RICH, fault))
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == tree.truth["train"].image_path
    assert np.linalg.norm(hd["keypoints3d_smplx"][:, :55, :3] - tree.truth["train"].joints[:, :55], axis=2).max() > 0.01
