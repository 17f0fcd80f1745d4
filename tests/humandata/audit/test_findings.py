"""The audit flags the instances that are wrong, says why, and writes a list that finds them again."""

import json

import cv2
import numpy as np
import pytest

from ehps.errors import UsageError
from ehps.humandata import HumanData, Passport
from ehps.humandata.audit import audit, percentiles
from ehps.humandata.instance_ids import instance_ids, place_in_image, rows_with_ids
from ehps.humandata.keypoints import point_names


def people(n=20, seed=0, **quality):
    """n sound instances, two in an image; quality columns can be replaced."""
    rng = np.random.default_rng(seed)
    columns = {
        "image_path": [f"train/{i // 2}.png" for i in range(n)],
        "bbox_xywh": np.concatenate([rng.uniform(5, 10, (n, 2)), np.full((n, 2), (60, 100)), np.ones((n, 1))], 1),
        "smplx/betas": rng.normal(0, 1, (n, 10)).clip(-2, 2),
        "smplx/transl": rng.normal(0, 1, (n, 3)),
        "quality/reprojection_px": np.full(n, 2.0, np.float32),
        "quality/height_m": rng.uniform(1.5, 1.9, n).astype(np.float32),
        "quality/betas_norm": np.full(n, 3.0, np.float32),
        "quality/world_to_camera_m": np.full(n, 1e-6, np.float32),
        "quality/behind_camera": np.zeros(n, np.int16),
        "quality/joints_in_box": np.full(n, 0.95, np.float32),
        "quality/finite": np.ones(n, bool),
    }
    return HumanData(columns | {f"quality/{k}": v for k, v in quality.items()}, passport=Passport(dataset="toy"))


def with_value(name, row, value, n=20):
    column = np.array(people(n)[f"quality/{name}"])
    column[row] = value
    return people(n, **{name: column})


def test_a_sound_file_has_no_flags():
    found = audit(people())
    assert found.flagged == []
    assert set(found.counts.values()) == {0}
    assert {"reprojection_of_box", "height_m", "height_m_low", "duplicate", "finite"} <= set(found.counts)


@pytest.mark.parametrize(
    ("measure", "value", "check", "reason"),
    [
        ("reprojection_px", 30.0, "reprojection_of_box", "30% of the box (30.0 px)"),
        ("height_m", 2.6, "height_m", "height 2.60 m"),
        ("height_m", 0.2, "height_m_low", "height 0.20 m"),
        ("betas_norm", 113.0, "betas_norm", "norm of betas 113.0"),
        ("world_to_camera_m", 0.35, "world_to_camera_m", "miss the joints moved there by 0.350 m"),
        ("behind_camera", 4, "behind_camera", "4 joints behind the camera"),
        ("joints_in_box", 0.1, "joints_in_box", "10% of the joints in the box"),
        ("finite", False, "finite", "not finite"),
    ],
)
def test_each_fault_is_flagged_with_its_reason_and_ranked_worst(measure, value, check, reason):
    found = audit(with_value(measure, 7, value))
    assert [flag.row for flag in found.flagged] == [7]
    assert found.flagged[0].checks == (check,)
    assert reason in found.flagged[0].reasons[0]
    assert found.counts[check] == 1
    assert found.worst[0] == 7


def test_a_single_huge_beta_is_flagged_even_when_the_norm_is_not():
    hd = people()
    hd["smplx/betas"][3] = 0
    hd["smplx/betas"][3, 9] = -6
    assert [(flag.row, flag.checks) for flag in audit(hd).flagged] == [(3, ("beta",))]


def test_rows_within_the_limits_are_ranked_by_how_near_they_are():
    pixels = np.linspace(0, 9, 20).astype(np.float32)
    assert audit(people(reprojection_px=pixels, joints_in_box=np.ones(20, np.float32)), worst=3).worst == [19, 18, 17]


def test_rows_without_a_measure_are_not_flagged():
    found = audit(people(reprojection_px=np.full(20, np.nan, np.float32)))
    assert found.flagged == []
    assert "reprojection_px" not in found.percentiles


def test_exact_datasets_have_a_tighter_limit():
    hd = people(reprojection_px=np.full(20, 5.0, np.float32))
    assert audit(hd).flagged == []
    hd.quality["reprojection"] = "exact"
    assert len(audit(hd).flagged) == 20


def test_exchanged_sides_are_named():
    hd = people(reprojection_px=np.full(20, 12.0, np.float32), reprojection_swapped_px=np.full(20, 1.0, np.float32))
    found = audit(hd)
    assert found.counts["left_right"] == 20
    assert "left and right exchanged" in found.flagged[0].reasons[-1]


def test_a_repeated_row_is_flagged_once_and_neighbours_are_not():
    hd = people()
    doubled = HumanData.concat([hd, hd[[4]]])
    found = audit(doubled)
    assert [(flag.row, flag.checks) for flag in found.flagged] == [(20, ("duplicate",))]


def test_limits_can_be_replaced_by_name_and_unknown_ones_are_refused():
    hd = people()
    assert len(audit(hd, limits={"height_max_m": 0.5}).flagged) == 20
    assert audit(hd, limits={"height_max_m": 0.5}).limits["height_max_m"] == 0.5
    with pytest.raises(UsageError, match="height_max_m"):
        audit(hd, limits={"hight": 2})


def test_percentiles_are_those_of_the_finite_values():
    values = np.random.default_rng(1).normal(size=1001)
    found = percentiles(np.concatenate([values, [np.nan, np.inf]]))
    ranked = np.sort(values)
    assert found["n"] == 1001
    expected = {"p5": ranked[50], "p50": ranked[500], "p95": ranked[950], "min": ranked[0], "max": ranked[-1]}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert percentiles(np.full(3, np.nan)) == {}


def test_files_without_quality_are_measured_here():
    n, points = 6, point_names("smplx")
    joints2d = np.full((n, 144, 3), (30, 30, 1.0))
    joints3d = np.full((n, 144, 4), (0, 0, 3.0, 1))
    joints2d[1, :130, 0] = 500
    joints3d[2, 5, 2] = -1
    betas = np.zeros((n, 10))
    betas[3] = 40
    betas[4, 0] = np.nan
    hd = HumanData(
        {
            "image_path": [f"{i}.jpg" for i in range(n)],
            "bbox_xywh": np.full((n, 5), (10, 10, 50, 50, 1.0)),
            "meta/height": np.full(n, 480, np.int32),
            "meta/width": np.full(n, 640, np.int32),
            "keypoints2d_smplx": joints2d,
            "keypoints3d_smplx": joints3d,
            "smplx/betas": betas,
        },
        keypoint_names={"keypoints2d_smplx": points, "keypoints3d_smplx": points},
    )
    found = {flag.row: flag.checks for flag in audit(hd).flagged}
    assert found == {1: ("joints_in_box",), 2: ("behind_camera",), 3: ("betas_norm", "beta"), 4: ("finite",)}


def test_the_exclusion_list_finds_the_same_rows_in_a_shuffled_copy(tmp_path):
    hd = with_value("betas_norm", 7, 50.0)
    hd = hd.with_columns({"meta/annotation_id": np.arange(100, 120)})
    audit(hd, out=tmp_path)
    listed = json.loads((tmp_path / "exclude.json").read_text())
    assert listed == [{"dataset": "toy", "id": "train/3.png#annotation_id=107", "reason": "norm of betas 50.0"}]
    order = np.random.default_rng(0).permutation(20)
    rows = rows_with_ids(hd[order], [entry["id"] for entry in listed])
    np.testing.assert_array_equal(order[rows], [7])


def test_ids_count_the_persons_of_an_image_where_the_dataset_has_no_ids():
    hd = HumanData({"image_path": ["b", "a", "b", "b", "a#x"]})
    ids = instance_ids(hd)
    assert ids == ["b#0", "a#0", "b#1", "b#2", "a#x#0"]
    for row, word in enumerate(ids):
        np.testing.assert_array_equal(rows_with_ids(hd, [word]), [row])
    np.testing.assert_array_equal(rows_with_ids(hd, ["b"]), [0, 2, 3])
    np.testing.assert_array_equal(rows_with_ids(hd, ["a#x", "nowhere", "b#7"]), [4])


def test_ids_that_repeat_within_an_image_are_not_used():
    hd = HumanData({"image_path": ["a", "a"], "meta/annotation_id": np.array([5, 5]), "meta/track_id": ["x", "y"]})
    assert instance_ids(hd) == ["a#track_id=x", "a#track_id=y"]
    np.testing.assert_array_equal(rows_with_ids(hd, ["a#track_id=y"]), [1])


def test_place_in_image_counts_like_a_loop():
    codes = np.random.default_rng(2).integers(0, 9, 100)
    seen, expected = {}, []
    for code in codes.tolist():
        expected.append(seen.get(code, 0))
        seen[code] = expected[-1] + 1
    np.testing.assert_array_equal(place_in_image(codes), expected)


def test_written_files_hold_the_numbers(tmp_path):
    found = audit(with_value("height_m", 2, 3.0), out=tmp_path)
    stored = json.loads((tmp_path / "audit.json").read_text())
    assert stored == json.loads(found.to_json())
    assert stored["flagged"] == 1
    assert stored["percentiles"]["height_m"]["max"] == 3.0
    table = (tmp_path / "percentiles.csv").read_text().splitlines()
    assert table[0] == "measure,n,mean,p1,p5,p50,p95,p99,min,max"
    assert any(line.startswith("height_m,20,") for line in table)


def test_the_worst_are_drawn_and_missing_images_named(tmp_path):
    (tmp_path / "train").mkdir()
    for i in range(10):
        if i != 3:
            cv2.imwrite(str(tmp_path / f"train/{i}.png"), np.full((120, 90, 3), 128, np.uint8))
    found = audit(with_value("betas_norm", 4, 50.0), images=tmp_path, out=tmp_path / "out", worst=4)
    assert set(found.worst[:3]) == {4, 6, 7}
    assert found.counts["image_missing"] == 2
    assert [flag.reasons for flag in found.flagged if flag.row == 6] == [("no such image",)]
    assert found.images_missing == ["train/3.png"]
    assert all(cv2.imread(str(page)) is not None for page in found.pages)
    assert found.pages[0].parent == tmp_path / "out" / "worst"


def test_nothing_is_written_without_a_folder(tmp_path):
    assert audit(people(), images=tmp_path).counts["image_missing"] == 20
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_can_be_audited():
    found = audit(people(0))
    assert (found.rows, found.flagged, found.worst) == (0, [], [])


def test_what_was_measured_on_no_row_is_not_counted_as_passed():
    unmeasured = audit(people(20, reprojection_px=np.full(20, np.nan)))
    assert "reprojection_of_box" not in unmeasured.counts
    assert unmeasured.counts["height_m"] == 0
    assert audit(with_value("reprojection_px", slice(1, None), np.nan)).counts["reprojection_of_box"] == 0


def test_joints_that_are_not_there_are_not_in_front_of_the_camera():
    assert audit(people(20, depth_m=np.full(20, 3.0))).counts["behind_camera"] == 0
    assert "behind_camera" not in audit(people(20, depth_m=np.full(20, np.nan))).counts
