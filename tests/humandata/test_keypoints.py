"""Conventions convert by name exactly as the reference tables do, and keep types and leading axes."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from ehps.errors import DataError, UsageError
from ehps.humandata import keypoints as kp
from ehps.humandata.drawing import skeleton

PAIRS = json.loads((Path(__file__).parent / "keypoints_pairs.json").read_text())


def pair_id(pair):
    return f"{pair['source']}-{pair['destination']}{'-approximate' if pair['approximate'] else ''}"


@pytest.mark.parametrize("pair", PAIRS, ids=pair_id)
def test_conversion_equals_the_reference(pair):
    n_source = pair["source_len"]
    points = np.stack([np.arange(1, n_source + 1), np.full(n_source, 7), np.ones(n_source)], axis=1)[None]
    mask_in = np.ones(n_source)
    mask_in[pair.get("mask_in_zero_at", [])] = 0
    given = mask_in if "mask_in_zero_at" in pair else None
    out, mask = kp.convert(
        points.astype(float), pair["source"], pair["destination"], approximate=pair["approximate"], mask=given
    )
    expected = np.zeros((1, pair["destination_len"], 3))
    for into, taken in zip(pair["destination_indexes"], pair["source_indexes"], strict=True):
        expected[0, into] = (taken + 1, 7, 1)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(np.flatnonzero(mask == 1), pair["mask_one_at"])
    assert mask.dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_conversion_keeps_the_float_type(dtype):
    assert kp.convert(np.ones((2, 17, 3), dtype), "coco", "smplx")[0].dtype == dtype


def test_integers_become_float64():
    assert kp.convert(np.ones((17, 2), int), "coco", "smplx")[0].dtype == np.float64


@pytest.mark.parametrize("leading", [(), (4,), (3, 2), (0,)])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_leading_axes_and_channels_are_kept(leading, channels):
    points = np.random.default_rng(0).random((*leading, 133, channels))
    out, _ = kp.convert(points, "coco_wholebody", "human_data")
    assert out.shape == (*leading, 190, channels)
    elbow = kp.point_names("coco_wholebody").index("left_elbow")
    np.testing.assert_array_equal(out[..., 18, :], points[..., elbow, :])


def test_there_and_back_gives_the_points_that_have_a_slot():
    points = np.random.default_rng(1).random((5, 133, 3))
    hub, mask = kp.convert(points, "coco_wholebody", "human_data")
    back, _ = kp.convert(hub, "human_data", "coco_wholebody", mask=mask)
    roots = [91, 112]
    assert not back[:, roots].any()
    np.testing.assert_array_equal(np.delete(back, roots, 1), np.delete(points, roots, 1))


def test_same_convention_gives_the_input_itself():
    points = np.ones((2, 137, 3), np.float32)
    out, mask = kp.convert(points, "smplx_137", "smplx_137")
    assert out is points
    assert mask.dtype == np.uint8
    assert mask.all()


def test_fractional_masks_count_as_absent():
    mask = np.ones(17)
    mask[0] = 0.5
    _, out = kp.convert(np.ones((17, 3)), "coco", "human_data", mask=mask)
    assert out[55] == 0
    assert out[57] == 1


def test_an_exact_match_wins_over_an_approximate_one():
    points = np.array([[[1.0], [2.0]]])
    out, _ = kp.convert(points, ["nose_openpose", "nose"], ["nose", "nose_openpose"], approximate=True)
    np.testing.assert_array_equal(out[0, :, 0], [2, 1])


def test_alternatives_are_tried_in_the_listed_order():
    points = np.array([[1.0], [2.0]])
    out, _ = kp.convert(points, ["neck_extra", "neck_openpose"], ["neck"], approximate=True)
    assert out.item() == 2


def test_first_of_a_duplicated_source_name_is_used_and_every_duplicated_destination_filled():
    points = np.array([[1.0], [2.0]])
    out, _ = kp.convert(points, ["nose", "nose"], ["nose", "head", "nose"])
    np.testing.assert_array_equal(out[:, 0], [1, 0, 1])


def test_equal_lengths_with_other_names_are_not_confused():
    first = kp.convert(np.array([[1.0], [2.0]]), ["nose", "neck"], ["neck"])[0].item()
    second = kp.convert(np.array([[1.0], [2.0]]), ["neck", "nose"], ["neck"])[0].item()
    assert (first, second) == (2, 1)


def test_brows_of_openpose_137_are_lost_as_in_the_reference_unless_names_are_fixed():
    points = np.random.default_rng(2).random((137, 3))
    lost, mask = kp.convert(points, "openpose_137", "human_data")
    assert not lost[76:86].any()
    assert not mask[76:86].any()
    kept, _ = kp.convert(points, kp.point_names("openpose_137", fixed=True), "human_data")
    np.testing.assert_array_equal(kept[76:86], points[84:94])
    np.testing.assert_array_equal(np.delete(kept, range(76, 86), 0), np.delete(lost, range(76, 86), 0))


@pytest.mark.parametrize(
    ("convention", "count"),
    [
        ("human_data", 79),
        ("smplx", 63),
        ("agora", 55),
        ("coco_wholebody", 61),
        ("coco", 8),
        ("smpl", 9),
        ("h36m", 6),
        ("mpii", 6),
        ("smplx_137", 61),
    ],
)
def test_flip_pairs_are_as_many_as_the_reference_has(convention, count):
    assert len(kp.flip_pairs(convention)) == count


def test_flip_order_of_the_137_set_keeps_its_two_eye_pairs_apart():
    pairs = set(map(tuple, kp.flip_pairs("smplx_137").tolist()))
    assert {(22, 23), (67, 68), (14, 17), (69, 78), (127, 129)} <= pairs
    order = kp.flip_order("smplx_137")
    np.testing.assert_array_equal(order[order], np.arange(137))
    assert order[24] == 24


@pytest.mark.parametrize("convention", sorted(kp.CONVENTIONS))
def test_flipped_points_have_mirrored_names(convention):
    points = kp.point_names(convention)
    for i, j in enumerate(kp.flip_order(convention)):
        mirrored = points[i].replace("left_", "RIGHT_").replace("right_", "left_").replace("RIGHT_", "right_")
        assert points[j] in (mirrored, points[i])


def test_parts_split_the_hub_without_overlap():
    sizes = {part: len(kp.part_indices("human_data", part)) for part in kp.PARTS}
    assert sizes == {"head": 88, "left_hand": 22, "right_hand": 22, "shoulder": 4, "hip": 6, "body": 58}
    parts = [kp.part_indices("human_data", part) for part in ("head", "left_hand", "right_hand", "body")]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(190))
    np.testing.assert_array_equal(kp.part_indices("coco", "head"), range(5))


def test_limbs_join_points_that_belong_together():
    for convention in kp.CONVENTIONS:
        limbs = np.array(skeleton.limbs(kp.point_names(convention)), int).reshape(-1, 2)
        assert (limbs[:, 0] != limbs[:, 1]).all()
        assert len({tuple(sorted(pair)) for pair in limbs.tolist()}) == len(limbs), convention

    def joined(convention):
        points = kp.point_names(convention)
        return {frozenset((points[i], points[j])) for i, j in skeleton.limbs(kp.point_names(convention))}

    assert {"left_hip_extra", "left_knee"} in joined("coco")
    assert {"left_hip", "left_knee"} in joined("smplx")
    assert {"left_knee_openpose", "left_ankle_openpose"} in joined("smpl_49")
    assert {"left_knee", "left_ankle_openpose"} not in joined("smpl_49")
    assert {"pelvis_extra", "spine_extra"} in joined("h36m")
    assert {"right_eyebrow_1", "right_eyebrow_2"} in joined("smplx")
    assert {"left_index_3", "left_index"} in joined("coco_wholebody")


@pytest.mark.parametrize(
    "convention",
    [
        "smplx",
        "smpl",
        "smpl_45",
        "coco",
        "coco_wholebody",
        "mpii",
        "lsp",
        "h36m",
        "openpose_25",
        "posetrack",
        "crowdpose",
        "mpi_inf_3dhp",
        "instavariety",
        "pw3d",
    ],
)
def test_limbs_make_one_connected_body(convention):
    points = kp.point_names(convention)
    body = set(kp.part_indices(convention, "body").tolist())
    reached, todo = set(), [points.index(next(p for p in points if p.startswith("left_knee")))]
    neighbours = {}
    for i, j in np.array(skeleton.limbs(kp.point_names(convention))).tolist():
        neighbours.setdefault(i, []).append(j)
        neighbours.setdefault(j, []).append(i)
    while todo:
        here = todo.pop()
        if here not in reached:
            reached.add(here)
            todo += neighbours.get(here, [])
    assert body <= reached, [points[i] for i in body - reached]


def test_unknown_conventions_and_wrong_counts_are_named():
    with pytest.raises(UsageError, match=r"coco_wholebdy.*[Dd]id you mean coco_wholebody"):
        kp.point_names("coco_wholebdy")
    with pytest.raises(DataError, match="133 points"):
        kp.convert(np.zeros((2, 17, 3)), "coco_wholebody", "smplx")
    with pytest.raises(UsageError, match="left_hand"):
        kp.part_indices("coco", "tail")


def test_conversion_of_many_persons_is_fast():
    points = np.zeros((20_000, 144, 3), np.float32)
    start = time.perf_counter()
    kp.convert(points, "smplx", "human_data")
    assert time.perf_counter() - start < 1.0
