"""Protocols that compare with joints and labels of datasets, against a second computation, on generated people."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.benchmark.protocols import catalogue, image_labels
from ehps.benchmark.protocols.fitting import fitting, require_fit
from ehps.benchmark.protocols.points import unposed
from ehps.benchmark.protocols.scoring import Score, score
from ehps.body.models import BodyModels
from ehps.body.params import smpl_params
from ehps.errors import DataError, UsageError
from ehps.humandata import keypoints
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.benchmark.protocols import reference
from tests.benchmark.protocols import reference_labels as second
from tests.drawn_people import FOCAL, SIZE, Style, people

N = 4
CENTRE = np.array([60.0, 80.0])
NAMES = {
    "keypoints3d_original": keypoints.point_names("h36m_mmpose"),
    "keypoints2d_original": keypoints.point_names("coco"),
}


@dataclass(frozen=True)
class World:
    """Test set and predictions of its rows in another order, and what a second computation needs."""

    truth: HumanData
    made: HumanData
    folder: Path
    models: BodyModels
    bodies: reference.Bodies
    masks: list[np.ndarray]
    parts: list[np.ndarray]

    def score(self, spec: str, truth: HumanData | None = None, made: HumanData | None = None) -> Score:
        return score(made or self.made, truth or self.truth, catalogue.get(spec), self.models, images=self.folder)

    def body(self, row: int) -> reference.Body:
        """The predicted one of a row of the truth."""
        return self.bodies.prediction(self.made, int(np.flatnonzero(self.made["meta/truth_row"] == row)[0]), "smpl")

    def pixels(self, row: int) -> np.ndarray:
        points = second.coco_points(self.bodies, self.body(row))
        return np.asarray(points[:, :2] / points[:, 2:] * FOCAL + CENTRE)


@pytest.fixture(scope="module")
def world(models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> World:
    rng, folder, bodies = np.random.default_rng(3), tmp_path_factory.mktemp("labels"), reference.Bodies(models)
    gender = ["male", "female", "female", "male"]
    whole = people(N, rng, Style(0.4, 0.5))
    pose = np.concatenate([whole.global_orient[:, None], whole.body_pose, np.zeros((N, 2, 3))], axis=1)
    smpl = smpl_params(gender=gender, betas=rng.normal(0, 1, (N, 10)), pose=pose, transl=whole.transl)
    other = smpl.with_(
        betas=smpl.betas + rng.normal(0, 0.5, (N, 10)),
        body_pose=smpl.body_pose + rng.normal(0, 0.1, smpl.body_pose.shape),
        transl=smpl.transl + rng.normal(0, 0.02, (N, 3)),
        gender=np.full(N, "neutral"),
    )
    camera = {"meta/focal_length": np.full((N, 2), FOCAL), "meta/principal_point": np.tile(CENTRE, (N, 1))}
    order = np.array([2, 0, 3, 1])
    made = HumanData(
        {
            "image_path": [f"{i // 2}.jpg" for i in range(N)],
            **{f"smpl/{name}": value for name, value in other.arrays().items()},
            **{f"smplx/{name}": value for name, value in whole.arrays().items()},
            "meta/truth_row": np.arange(N),
            **camera,
        },
        passport=Passport(body_model="smpl", gender="neutral", flat_hand_mean=False, num_betas=10),
    )[order]
    masks, parts = [], []
    for i in range(N):
        mask, labels = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
        mask[40:130, 35 + i : 80] = 255
        labels[40:130, 35:80] = rng.integers(0, 7, (90, 45))
        labels[100:110, 30:60] = 255
        masks.append((mask > 0).astype(int))
        parts.append(labels.astype(int))
        cv2.imwrite(str(folder / f"mask{i}.png"), mask)
        cv2.imwrite(str(folder / f"parts{i}.png"), labels)
    joints = rng.normal(0, 0.3, (N, 17, 4)) + np.array([0, 0, 5, 0])
    joints[..., 3] = 1
    marked = np.ones((N, 17, 3))
    probe = World(made, made, folder, models, bodies, masks, parts)
    for i in range(N):
        marked[i, :, :2] = probe.pixels(i) + rng.normal(0, (0.5, 3.0, 1.5, 6.0)[i], (17, 2))
    marked[0, 3:6, 2] = 0
    marked[1, 16, 2] = 0
    truth = HumanData(
        {
            "image_path": [f"{i // 2}.jpg" for i in range(N)],
            "bbox_xywh": np.tile([20.0, 30.0, 60.0, 100.0, 1.0], (N, 1)),
            **{f"smpl/{name}": value for name, value in smpl.arrays().items()},
            "meta/gender": gender,
            "meta/height": np.full(N, SIZE[0]),
            "meta/width": np.full(N, SIZE[1]),
            "meta/action": ["Walking", "Eating", "Eating", "Eating"],
            "meta/camera_id": np.array([4, 4, 4, 1]),
            "meta/area": np.array([2000.0, 3000.0, 10000.0, 500.0]),
            "keypoints3d_original": joints,
            "keypoints2d_original": marked,
            "segmentation": [f"mask{i}.png" for i in range(N)],
            "part_segmentation": [f"parts{i}.png" for i in range(N)],
        },
        keypoint_names=NAMES,
        passport=Passport(body_model="smpl", gender="per row", num_betas=10),
    )
    return World(truth, made, folder, models, bodies, masks, parts)


def numbers(result: Score, row: int) -> dict[tuple[str, str], float]:
    mine = result.errors[result.errors.truth_row == row]
    return {(part, metric): value for part, metric, value in zip(mine.part, mine.metric, mine.value, strict=True)}


class TestGivenJoints:
    def test_human36m(self, world: World) -> None:
        right_first = np.asarray(world.truth["keypoints3d_original"])[..., :3]
        result = world.score("h36m-p1")
        for row in range(N):
            joints = right_first[row][[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]]
            expected = second.given_joints(joints, world.body(row).mesh, world.bodies.h36m)
            assert numbers(result, row) == pytest.approx(expected, abs=0.01)

    def test_smplx_predictions_have_a_regressor_with_the_right_leg_first(self, world: World) -> None:
        made = world.made.without([name for name in world.made.columns if name.startswith("smpl/")])
        result = world.score("h36m-p1", made=made)
        regressor = np.load(world.models.folder / "J_regressor_h36m_smplx.npy")
        template = world.models.get("smplx", "neutral").v_template
        assert (regressor @ template)[1, 0] < 0 < (regressor @ template)[4, 0]
        for i, row in enumerate(made["meta/truth_row"]):
            mesh = world.bodies.prediction(made, i, "smplx").mesh
            points = (regressor @ mesh)[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]]
            joints = np.asarray(world.truth["keypoints3d_original"])[row][[0, 4, 5, 6, 1, 2, 3, *range(7, 17)], :3]
            assert numbers(result, row) == pytest.approx(second.given_joints(joints, points, np.eye(17)), abs=0.01)

    def test_the_frontal_camera_and_actions(self, world: World) -> None:
        result, every = world.score("h36m-p2"), world.score("h36m-p1")
        values = [numbers(every, row)["body", "MPJPE"] for row in range(3)]  # the fourth is before another camera
        assert result.value("body", "MPJPE") == pytest.approx(np.mean(values))
        assert result.value("body Walking", "MPJPE") == pytest.approx(values[0])
        assert result.value("body Eating", "MPJPE") == pytest.approx(np.mean(values[1:]))
        by_action = world.score("h36m-p2[mean=groups]").value("body", "MPJPE")
        assert by_action == pytest.approx((values[0] + np.mean(values[1:])) / 2)

    @pytest.mark.parametrize(("spec", "count"), [("h36m-p2-mosh", 3), ("3doh50k", N)])
    def test_fits_beside_the_joints_have_meshes(self, world: World, spec: str, count: int) -> None:
        joints = np.array(world.truth["keypoints3d_original"])
        joints[0, 3, 3] = 0  # an ankle
        result = world.score(spec, world.truth.with_columns({"keypoints3d_original": joints}))
        places = np.asarray(world.truth["smpl/transl"])
        moved = np.asarray(world.made["smpl/transl"])
        errors = []
        for i, row in enumerate(world.made["meta/truth_row"].tolist()):
            betas = world.truth["smpl/betas"][row]
            true = world.bodies.of(world.truth, row, "smpl", gender="neutral", betas=betas).mesh - places[row]
            made = world.bodies.prediction(world.made, i, "smpl").mesh - moved[i]
            if row < count:
                mine, errors = numbers(result, row), [*errors, 1000 * np.linalg.norm(made - true, axis=1).mean()]
                assert mine["all", "PVE"] == pytest.approx(errors[-1], abs=0.01)
                assert (("body", "MPJPE") in mine) == (row != 0)
        assert result.value("all", "PVE") == pytest.approx(np.mean(errors), abs=0.01)
        if count < N:
            joints_alone = world.score("h36m-p2", world.truth.with_columns({"keypoints3d_original": joints}))
            assert result.value("body", "PA-MPJPE") == pytest.approx(joints_alone.value("body", "PA-MPJPE"))

    def test_people_who_lack_a_joint_are_counted_and_left_out(self, world: World) -> None:
        joints = np.array(world.truth["keypoints3d_original"])
        joints[1, 3, 3] = 0  # an ankle
        joints[2, 9, 3] = 0  # a nose, which only h36m17 compares
        truth = world.truth.with_columns({"keypoints3d_original": joints})
        for spec, missing in (("h36m-p1", 1), ("h36m-p1[joints=h36m17]", 2)):
            result = world.score(spec, truth)
            assert result.notes == {"joints_missing": missing}
            assert [line["skipped"] for line in result.metrics] == [missing] * 2
        joints[:, 3, 3] = 0
        with pytest.raises(DataError, match="has no right_ankle, which h36m-p1 compares"):
            world.score("h36m-p1", world.truth.with_columns({"keypoints3d_original": joints}))


class TestMasks:
    def test_ssp3d(self, world: World) -> None:
        result = world.score("ssp3d")
        faces = np.asarray(world.models.faces("smpl"))
        for row in range(N):
            i = int(np.flatnonzero(world.made["meta/truth_row"] == row)[0])
            seen = second.drawn(world.body(row).mesh, faces, [1] * len(faces), SIZE, FOCAL, CENTRE)
            mask = world.masks[row]
            iou = 100 * ((seen == 1) & (mask == 1)).sum() / ((seen == 1) | (mask == 1)).sum()
            own = numbers(result, row)
            assert own["silhouette", "mIoU"] == pytest.approx(iou, abs=0.05)
            expected = second.shape_error(world.bodies, world.made, i, world.truth, row)
            assert own["all", "PVE-T-SC"] == pytest.approx(expected, abs=0.01)
        values = [numbers(result, row)["silhouette", "mIoU"] for row in range(N)]
        assert result.primary == pytest.approx(np.mean(values))

    def test_lsp(self, world: World) -> None:
        result = world.score("lsp-segmentation")
        faces = np.asarray(world.models.faces("smpl"))
        parts = second.parts_of(world.bodies)
        assert set(parts) == set(range(1, 7))
        made = [second.drawn(world.body(row).mesh, faces, parts, SIZE, FOCAL, CENTRE) for row in range(N)]
        for part, true, drawn, classes in (
            ("silhouette", world.masks, [(one > 0).astype(int) for one in made], 2),
            ("parts", world.parts, made, 7),
        ):
            accuracy, f1 = second.segmentation(true, drawn, classes)
            assert result.value(part, "accuracy") == pytest.approx(accuracy, abs=0.02)
            assert result.value(part, "F1") == pytest.approx(f1, abs=5e-4)

    def test_the_rest_pose_has_flat_hands_whatever_hands_are_relative_to(self, world: World) -> None:
        params = people(1, np.random.default_rng(1), Style(0.4, 0.5))
        tips = np.array([5361, 8079])  # of the thumbs
        relative, absolute = (
            world.models.mesh(unposed(params.with_(flat_hand_mean=flat)), ids=tips) for flat in (False, True)
        )
        np.testing.assert_allclose(relative, absolute)

    def test_labels_of_sixteen_bits_are_read_as_they_are(self, tmp_path: Path) -> None:
        labels = np.arange(6, dtype=np.uint16).reshape(2, 3)
        cv2.imwrite(str(tmp_path / "parts.png"), labels)
        assert image_labels.read_mask(tmp_path / "parts.png", (2, 3), 7).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert image_labels.read_mask(tmp_path / "parts.png", (2, 3)).tolist() == [[0, 1, 1], [1, 1, 1]]

    def test_an_image_without_a_known_pixel_has_no_f1(self) -> None:
        table = np.zeros((8, 7), np.int64)
        table[-1] = 5
        assert np.isnan(image_labels.of_pixels("F1", table))

    def test_a_body_drawn_as_its_own_mask_has_no_error(self, world: World, tmp_path: Path) -> None:
        faces = np.asarray(world.models.faces("smpl"))
        for row in range(2):
            mask = second.drawn(world.body(row).mesh, faces, [1] * len(faces), SIZE, FOCAL, CENTRE)
            cv2.imwrite(str(tmp_path / f"mask{row}.png"), mask * 255)
        made = world.made[np.flatnonzero(np.asarray(world.made["meta/truth_row"]) < 2)]
        result = score(made, world.truth[:2], catalogue.get("ssp3d"), world.models, images=tmp_path)
        assert result.value("silhouette", "mIoU") > 99.9

    @pytest.mark.parametrize(
        ("name", "pixels", "said"),
        [
            ("mask0.png", np.zeros((10, 12), np.uint8), "is 12x10, its image 120x160"),
            ("parts0.png", np.full(SIZE, 9, np.uint8), r"pixels of colour \[9, 9, 9\]"),
        ],
    )
    def test_masks_that_are_none(self, name: str, pixels: np.ndarray, said: str, world: World, tmp_path: Path) -> None:
        for kind, i in (("mask", 0), ("parts", 0)):
            (tmp_path / f"{kind}{i}.png").write_bytes((world.folder / f"{kind}{i}.png").read_bytes())
        cv2.imwrite(str(tmp_path / name), pixels)
        made = world.made[np.flatnonzero(np.asarray(world.made["meta/truth_row"]) < 1)]
        with pytest.raises(DataError, match=said):
            score(made, world.truth[:1], catalogue.get("lsp-segmentation"), world.models, images=tmp_path)


class TestKeypoints:
    def test_similarity(self, world: World) -> None:
        result = world.score('coco-projection[metrics=["OKS"]]')
        for row in range(N):
            true = np.asarray(world.truth["keypoints2d_original"])[row]
            expected = second.oks(world.pixels(row), true, float(world.truth["meta/area"][row]))
            assert numbers(result, row)["body", "OKS"] == pytest.approx(expected, abs=1e-5)

    def test_average_precision(self, world: World) -> None:
        pytest.importorskip("pycocotools")
        result = world.score("coco-projection")
        made = np.stack([world.pixels(row) for row in range(N)])
        true, area = np.asarray(world.truth["keypoints2d_original"]), np.asarray(world.truth["meta/area"])
        images = world.truth["image_path"].tolist()
        ranges = {"": (0, np.inf), "-M": (32**2, 96**2), "-L": (96**2, 1e10)}
        for name, (low, high) in ranges.items():
            curve = second.average_precision(images, made, true, area, low, high)
            for metric, place in (("AP", 0), ("AR", 1)):
                expected = 100 * np.mean([values[place] for values in curve.values()])
                assert result.value("body", f"{metric}{name}") == pytest.approx(expected)
                for threshold in (50, 75) if not name else ():
                    assert result.value("body", f"{metric}{threshold}") == pytest.approx(
                        100 * curve[threshold / 100][place]
                    )
        assert 20 < result.primary < 80

    def test_many_people_in_many_images(self) -> None:
        """Crowds of predictions that may be taken for each other."""
        pytest.importorskip("pycocotools")
        rng, n = np.random.default_rng(6), 24
        base = rng.normal(0, 25, (1, 17, 2)) + rng.uniform(80, 130, (n, 1, 2))
        true = np.concatenate([base + rng.normal(0, 2, base.shape), rng.integers(0, 2, (n, 17, 1))], axis=-1)
        true[:, :3, 2] = 1
        made = base + rng.normal(0, 3, base.shape) * rng.uniform(0, 4, (n, 1, 1))
        area = rng.uniform(900, 14000, n)
        images = [f"{i // 4}" for i in range(n)]
        boxes, crowd = np.tile([0, 0, 9, 9], (n, 1)), np.zeros(n, bool)
        found = image_labels.average_precision(np.array(images), made, true, area, boxes, crowd)
        for name, (low, high) in {"": (0, np.inf), "-M": (32**2, 96**2), "-L": (96**2, 1e10)}.items():
            curve = second.average_precision(images, made, true, area, low, high)
            for metric, place in (("AP", 0), ("AR", 1)):
                assert found[f"{metric}{name}"] == pytest.approx(np.mean([v[place] for v in curve.values()]))

    def test_what_is_found_at_a_crowd_counts_for_nothing(self, world: World) -> None:
        pytest.importorskip("pycocotools")
        crowd = world.truth.with_columns({"meta/iscrowd": np.array([0, 0, 1, 0])})
        rest = np.flatnonzero(np.asarray(world.made["meta/truth_row"]) != 2)
        alone = world.score("coco-projection", world.truth[[0, 1, 3]], self._renumbered(world.made[rest]))
        result = world.score("coco-projection", crowd)
        lines = {line["metric"]: (line["n"], line["skipped"]) for line in result.metrics}
        assert lines["OKS"] == lines["AP"] == (3, 1)
        for metric in ("OKS", "AP", "AP50", "AR", "AP-M"):
            assert result.value("body", metric) == pytest.approx(alone.value("body", metric))

    @staticmethod
    def _renumbered(made: HumanData) -> HumanData:
        rows = np.asarray(made["meta/truth_row"])
        return made.with_columns({"meta/truth_row": np.searchsorted(np.sort(rows), rows)})

    def test_without_pycocotools(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pycocotools", None)
        with pytest.raises(UsageError, match=r"average precision needs pycocotools.*ehps\[coco\]"):
            world.score("coco-projection")


MISSING = [
    ("h36m-p1", "keypoints3d_original"),
    ("h36m-p2", "meta/action"),
    ("ssp3d", "segmentation"),
    ("lsp-segmentation", "part_segmentation"),
    ('coco-projection[metrics=["OKS"]]', "keypoints2d_original"),
    ('coco-projection[metrics=["OKS"]]', "meta/area"),
    ('coco-projection[metrics=["OKS"]]', "bbox_xywh"),
]


@pytest.mark.parametrize(("spec", "column"), MISSING)
def test_a_column_that_the_truth_lacks_is_named(spec: str, column: str, world: World) -> None:
    with pytest.raises(DataError, match=f"has no {column}"):
        world.score(spec, world.truth.without([column]))
    if column != "meta/action":
        with pytest.raises(UsageError, match=column):
            require_fit(catalogue.get(spec), world.truth.without([column]))
        assert spec.partition("[")[0] in fitting(world.truth)
        assert spec.partition("[")[0] not in fitting(world.truth.without([column]))


@pytest.mark.parametrize("spec", ["ssp3d", "lsp-segmentation", 'coco-projection[metrics=["OKS"]]'])
def test_predictions_must_say_through_which_camera_they_are_seen(spec: str, world: World) -> None:
    with pytest.raises(DataError, match="has no meta/focal_length"):
        world.score(spec, made=world.made.without(["meta/focal_length"]))
    with pytest.raises(DataError, match="has no smpl/transl"):
        world.score(spec, made=world.made.without(["smpl/transl"]))


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("meta/focal_length", np.full((N, 2), [[0.0, 900]]), "above 0 in 4 of 4 rows"),
        ("meta/focal_length", np.full(N, 900.0), "two numbers of pixels above 0 a row"),
        (
            "meta/principal_point",
            np.where(np.arange(N)[:, None] == 1, np.nan, CENTRE),
            r"in 1 of 4 rows \(first: row 1\)",
        ),
        ("meta/area", np.array([9.0, np.nan, 9, -9]), r"in 2 of 4 rows \(first: row 1\)"),
    ],
)
def test_cameras_and_areas_that_are_none_are_named(column: str, values: np.ndarray, said: str, world: World) -> None:
    truth, made = world.truth, world.made
    if column in made:
        made = made.with_columns({column: values})
    else:
        truth = truth.with_columns({column: values})
    with pytest.raises(DataError, match=f"{column} is not .*{said}"):
        world.score('coco-projection[metrics=["OKS"]]', truth, made)


def test_groups_are_of_one_value_a_row(world: World) -> None:
    with pytest.raises(DataError, match=r"keypoints is not one value a row, by which .* groups people"):
        world.score("h36m-p1[group_by=keypoints]", world.truth.with_columns({"meta/keypoints": np.zeros((N, 2))}))


def test_a_condition_that_the_file_cannot_meet_is_said(world: World) -> None:
    result = world.score("h36m-p2", world.truth.without(["meta/camera_id"]))
    assert result.remarks == ["the file has no meta/camera_id: no row is left out by it"]
