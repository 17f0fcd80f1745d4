"""Scores of predictions whose errors are known, through the whole evaluation."""

from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark.crop_boxes import virtual_camera, widen
from ehps.benchmark.protocols import catalogue, metrics, true_bodies
from ehps.benchmark.protocols.points import apply, recipe
from ehps.benchmark.protocols.scoring import score
from ehps.benchmark.protocols.summaries import printed
from ehps.benchmark.protocols.tables import Tables
from ehps.body import rotations
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.body.rigid_motion import to_camera
from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.drawn_people import SIZE, Style, people, write_set

N = 6


@pytest.fixture(scope="module")
def params() -> BodyParams:
    return people(N, np.random.default_rng(7), Style(0.3, 0.3))


@pytest.fixture(scope="module")
def true(params: BodyParams, models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> HumanData:
    path = write_set(tmp_path_factory.mktemp("truth"), params, models, name="truth")
    return HumanData.open(path)


@pytest.fixture(scope="module")
def tables(models: BodyModels) -> Tables:
    return Tables(models)


def predictions(params: BodyParams, hd: HumanData, rows: np.ndarray | None = None, **columns: object) -> HumanData:
    """``params`` as if a network had made them for ``rows`` of ``hd``."""
    rows = np.arange(len(params)) if rows is None else rows
    fields = {f"smplx/{key}": value for key, value in params.arrays().items() if not key.startswith("betas_")}
    return HumanData(
        {
            "image_path": hd["image_path"][rows],
            **fields,
            "meta/truth_row": rows,
            "meta/focal_length": hd["meta/focal_length"][rows],
            "meta/principal_point": hd["meta/principal_point"][rows],
            **columns,  # type: ignore[dict-item]
        },
        passport=Passport(body_model="smplx", gender="neutral", flat_hand_mean=False, num_betas=10),
    )


def turned(params: BodyParams, bodies: BodyModels, angle: float) -> BodyParams:
    """Everybody turned about the camera axis and moved."""
    R = rotations.to_matrix(np.array([[0, 0, angle]]))[0]
    return to_camera(params, R, np.array([0.1, -0.2, 0.5]), bodies.rest_pelvis(params))


def test_a_perfect_prediction_has_no_error(params: BodyParams, true: HumanData, models: BodyModels) -> None:
    result = score(predictions(params, true), true, catalogue.get("egobody-ego"), models)
    assert max(line["value"] for line in result.metrics) < 0.01
    assert {line["n"] for line in result.metrics} == {N}
    assert len(result.errors) == N * len(result.metrics)


def test_a_turned_body_has_plain_errors_and_no_procrustes_errors(
    params: BodyParams, true: HumanData, models: BodyModels, tables: Tables
) -> None:
    """PVE equals what follows from the rotation alone, computed from the mesh without the evaluation code."""
    moved = turned(params, models, 0.3)
    result = score(predictions(moved, true), true, catalogue.get("egobody-ego"), models, batch_size=4)
    mesh = models.mesh(params).astype(np.float64)
    R = rotations.to_matrix(np.array([[0, 0, 0.3]]))[0]
    J = models.get("smplx", "neutral").J_regressor
    hand, face = (tables.vertices("smplx", part) for part in ("left_hand", "face"))
    for part, row, ids in (("all", 0, slice(None)), ("left_hand", 20, hand), ("face", 12, face)):
        local = mesh[:, ids] - np.einsum("v,nvc->nc", J[row], mesh)[:, None]
        expected = np.linalg.norm(local @ R.T - local, axis=-1).mean(1) * 1000
        assert result.value(part, "PVE") == pytest.approx(expected.mean(), abs=0.02)
        mine = result.errors[(result.errors.part == part) & (result.errors.metric == "PVE")]
        np.testing.assert_allclose(mine.sort_values("truth_row").value, expected, atol=0.05)
    for part, metric in (("all", "PA-PVE"), ("hand", "PA-PVE"), ("face", "PA-PVE"), ("body", "PA-MPJPE")):
        assert result.value(part, metric) < 0.02
    hands = [result.value(side, "PVE") for side in ("left_hand", "right_hand")]
    assert result.value("hand", "PVE") == pytest.approx(np.mean(hands))


def test_names_as_the_original_prints_them(params: BodyParams, true: HumanData, models: BodyModels) -> None:
    result = score(predictions(params, true), true, catalogue.get("egobody-ego"), models)
    assert {"PA MPVPE (All)", "MPVPE (All)", "MPVPE (Hands)", "PA MPVPE (Face)", "PA MPJPE (Body)"} <= set(
        printed(result.metrics)
    )


def test_rows_are_paired_by_number_not_by_order(params: BodyParams, true: HumanData, models: BodyModels) -> None:
    order = np.array([3, 1, 5, 0, 4, 2])
    result = score(predictions(params[order], true, order), true, catalogue.get("egobody-ego"), models)
    assert result.primary < 0.01
    with pytest.raises(DataError, match="1 of the 6 rows"):
        score(predictions(params[order[1:]], true, order[1:]), true, catalogue.get("egobody-ego"), models)
    twice = np.r_[order, 3]
    with pytest.raises(DataError, match="holds row 3 2 times"):
        score(predictions(params[twice], true, twice), true, catalogue.get("egobody-ego"), models)


def test_extreme_shapes_are_compared_with_the_mean_shape(
    params: BodyParams, true: HumanData, models: BodyModels
) -> None:
    betas = params.betas.copy()
    betas[0, 0] = 4
    wild = true.with_columns({"smplx/betas": betas})
    plain = predictions(params.with_(betas=np.where(np.arange(N)[:, None] == 0, 0, params.betas)), true)
    result = score(plain, wild, catalogue.get("egobody-ego"), models)
    assert result.notes == {"extreme_betas": 1}
    assert result.primary < 0.01
    kept = score(plain, wild, catalogue.get("egobody-ego[extreme_betas=keep]"), models)
    assert kept.primary > 5


def test_visibility_follows_the_true_place_and_the_box_not_the_prediction(
    params: BodyParams, true: HumanData, models: BodyModels
) -> None:
    protocol = catalogue.get("ubody-intra[step=1]")
    moved = turned(params, models, 0.2)
    guess = predictions(moved, true)
    seen = in_box_camera(true)
    whole = score(guess, seen, protocol, models)
    same = score(guess, true, catalogue.get("egobody-ego"), models)
    far = predictions(moved.with_(transl=moved.transl + np.array([3, -2, 5])), true)
    assert score(far, seen, protocol, models).primary == pytest.approx(whole.primary, abs=1e-3)
    # the truth moved up until only the feet are inside
    feet = score(guess, in_box_camera(true, (0, -1.15, 0)), protocol, models)
    with pytest.raises(DataError, match=rf"none of the {N} rows .*ubody-intra.*inside the image"):
        score(guess, in_box_camera(true, (50, 0, 0)), protocol, models)
    assert whole.value("all", "PVE") == pytest.approx(same.value("all", "PVE"), rel=0.05)
    assert feet.value("all", "PVE") > 1.1 * whole.value("all", "PVE")  # feet are farthest from the pelvis
    lines = {(line["part"], line["metric"]): line for line in feet.metrics}
    assert lines["face", "PVE"]["n"] == 0
    assert lines["face", "PVE"]["skipped"] == N
    assert np.isnan(lines["face", "PVE"]["value"])


def test_meshes_outside_the_folder_of_the_raw_data_are_not_read(true: HumanData, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "secret.npy", np.zeros((true_bodies.SMPLX_VERTICES, 3)))
    (tmp_path / "raw" / "link.npy").symlink_to(tmp_path / "secret.npy")
    for name in ("../secret.npy", str(tmp_path / "secret.npy"), "link.npy"):
        hd = true.with_columns({"vertices3d_path": [name] * N})
        with pytest.raises(DataError, match="vertices3d_path"):
            true_bodies.given(hd, np.arange(N), tmp_path / "raw", None)


def test_every_hundredth_annotation_of_each_scene(true: HumanData) -> None:
    n = 350
    many = HumanData({"image_path": ["a.jpg"] * n, "meta/scene": ["x", "y"] * (n // 2), "bbox_xywh": np.zeros((n, 5))})
    rows = true_bodies.rows_to_test(catalogue.get("ubody-intra"), many)
    assert rows.tolist() == [198, 199]  # the 100th of each
    numbered = many.with_columns({"meta/annotation_index": np.arange(50, 50 + n)})
    assert true_bodies.rows_to_test(catalogue.get("ubody-intra"), numbered).tolist() == [50, 150, 250]
    numbered.passport = many.passport.with_(sampling=100)
    assert true_bodies.rows_to_test(catalogue.get("ubody-intra"), numbered).tolist() == [50, 150, 250]
    many.passport = many.passport.with_(sampling=100)
    assert len(true_bodies.rows_to_test(catalogue.get("ubody-intra"), many)) == n
    many.passport = many.passport.with_(sampling=7)
    with pytest.raises(UsageError, match="every 7th"):
        true_bodies.rows_to_test(catalogue.get("ubody-intra"), many)


def test_rows_that_are_not_valid_are_not_tested(true: HumanData) -> None:
    flags = np.array([1, 1, 0, 1, 0, 1])
    rows = true_bodies.rows_to_test(catalogue.get("agora-val"), true.with_columns({"meta/annot_valid": flags}))
    assert rows.tolist() == [0, 1, 3, 5]
    assert len(true_bodies.rows_to_test(catalogue.get("agora-val"), true)) == N


def test_bodies_of_an_unknown_frame_or_gender_are_not_tested(true: HumanData) -> None:
    foreign = true[:]
    foreign.passport = true.passport.with_(frame="unknown")
    with pytest.raises(PassportError, match="evaluation needs them in the camera frame"):
        true_bodies.rows_to_test(catalogue.get("agora-val"), foreign)
    assert len(true_bodies.rows_to_test(catalogue.get("ehf"), foreign)) == N  # it has meshes of its own
    nobodys = true.without(["meta/gender"])
    nobodys.passport = true.passport.with_(gender="unknown")
    with pytest.raises(PassportError, match="which gender's body model"):
        true_bodies.rows_to_test(catalogue.get("agora-val"), nobodys)


def test_given_meshes_are_rotated_but_not_moved(
    params: BodyParams, true: HumanData, models: BodyModels, tmp_path: Path
) -> None:
    from scipy.spatial.transform import Rotation

    back = Rotation.from_rotvec((-2.98747896, 0.01172457, -0.05704687)).inv().as_matrix()
    meshes = models.mesh(params) @ back.T.astype(np.float32) + np.float32(3.0)
    for i, mesh in enumerate(meshes):
        np.save(tmp_path / f"{i}.npy", mesh)
    hd = true.with_columns({"vertices3d_path": [f"{i}.npy" for i in range(N)]})
    result = score(predictions(params, true), hd, catalogue.get("ehf"), models, images=tmp_path)
    assert max(line["value"] for line in result.metrics) < 0.01
    with pytest.raises(DataError, match="vertices3d_path"):
        score(predictions(params, true), true, catalogue.get("ehf"), models, images=tmp_path)


def test_3dpw_compares_skeleton_rows_of_the_neutral_regressors(
    params: BodyParams, true: HumanData, models: BodyModels, tables: Tables
) -> None:
    rng = np.random.default_rng(0)
    gender = np.array(["male", "female"] * (N // 2))
    pose = rng.normal(0, 0.2, (N, 24, 3))
    smpl = smpl_params(gender=gender, betas=rng.normal(size=(N, 10)), pose=pose, transl=np.zeros((N, 3)))
    fields = {f"smpl/{key}": value for key, value in smpl.arrays().items()}
    hd = HumanData({"image_path": true["image_path"], **fields, "meta/gender": gender.tolist()})
    result = score(predictions(params, true), hd, catalogue.get("pw3d-smplerx"), models)
    rows = [1, 2, 4, 5, 7, 8, 12, 15, 16, 17, 18, 19, 20, 21]
    expected = []
    predicted = apply(tables.regressor("smplx", "skeleton"), models.mesh(params))
    regressor = models.get("smpl", "neutral").J_regressor
    for i in range(N):
        joints = regressor @ models.mesh(smpl[[i]])[0].astype(np.float64)
        difference = (predicted[i, rows] - predicted[i, 0]) - (joints[rows] - joints[0])
        expected.append(np.linalg.norm(difference, axis=1).mean() * 1000)
    assert result.primary == pytest.approx(np.mean(expected), rel=1e-6)
    assert {(m["part"], m["metric"]) for m in result.metrics} == {("body", "MPJPE"), ("body", "PA-MPJPE")}


@pytest.mark.parametrize(("spec", "of"), [("model-pelvis", (0,)), ("model-mid-hip", (1, 2))])
def test_joints_of_the_model_are_those_of_smplx_where_its_mesh_is_not_taken_to_smpl(
    spec: str, of: tuple[int, ...], tables: Tables
) -> None:
    protocol = catalogue.get(f"pw3d-smplerx[joint_alignment={spec}]")
    assert recipe("anchor/joints", protocol, "smplx", tables).joints == (of,)


def test_the_14_joint_and_hand_regressors_name_the_right_places(
    params: BodyParams, models: BodyModels, tables: Tables
) -> None:
    """Regressed hand points lie at the model's own finger joints and on its tips."""
    mesh, joints = models.mesh(params), models.joints(params, "float64")
    left, right = (apply(tables.regressor("smplx", f"{side}_hand"), mesh) for side in ("left", "right"))
    own_left = [20, 37, 38, 39, 66, 25, 26, 27, 67, 28, 29, 30, 68, 34, 35, 36, 69, 31, 32, 33, 70]
    own_right = [21, 52, 53, 54, 71, 40, 41, 42, 72, 43, 44, 45, 73, 49, 50, 51, 74, 46, 47, 48, 75]
    assert np.linalg.norm(left - joints[:, own_left], axis=-1).max() < 0.03
    assert np.linalg.norm(right - joints[:, own_right], axis=-1).max() < 0.03


def test_gendered_shapes_become_neutral_ones_that_look_the_same(models: BodyModels) -> None:
    betas = np.random.default_rng(0).normal(0, 1, (4, 10))
    gender = np.array(["male", "female", "neutral", "male"])
    refit = true_bodies.neutral_shapes(betas, gender, models)
    np.testing.assert_array_equal(refit[2], betas[2])
    for i in (0, 1, 3):
        own, neutral = models.get("smplx", str(gender[i])), models.get("smplx", "neutral")
        target = own.v_template + own.shapedirs[..., :10] @ betas[i]
        before = neutral.v_template + neutral.shapedirs[..., :10] @ betas[i]
        after = neutral.v_template + neutral.shapedirs[..., :10] @ refit[i]
        assert ((after - target) ** 2).sum() < ((before - target) ** 2).sum()
        nearby = refit[i] + np.random.default_rng(i).normal(0, 0.05, 10)
        other = neutral.v_template + neutral.shapedirs[..., :10] @ nearby
        assert ((after - target) ** 2).sum() <= ((other - target) ** 2).sum()


def test_a_neutral_shape_keeps_its_betas_beside_gendered_ones(models: BodyModels) -> None:
    betas = np.random.default_rng(0).normal(0, 1, (2, 16))
    mixed = true_bodies.neutral_shapes(betas, np.array(["neutral", "male"]), models)
    np.testing.assert_array_equal(mixed[0], betas[0])
    assert not mixed[1, 10:].any()


def test_errors_do_not_depend_on_how_far_away_a_body_is(
    params: BodyParams, true: HumanData, models: BodyModels
) -> None:
    moved, protocol = turned(params, models, 0.2), catalogue.get("egobody-ego")
    near, far = (
        score(predictions(moved.with_(transl=place), true), true, protocol, models)
        for place in (np.zeros((N, 3)), np.full((N, 3), 1e5))
    )
    for part in ("all", "face", "left_hand"):
        for metric in ("PVE", "PA-PVE"):
            assert far.value(part, metric) == pytest.approx(near.value(part, metric), abs=0.01)


def test_hands_and_faces_laid_as_a_mesh_at_its_origin_lose_translations_alone(
    params: BodyParams, true: HumanData, models: BodyModels, tables: Tables
) -> None:
    other = params.with_(betas=params.betas + 1, transl=params.transl + 2)
    spec = "egobody-ego[extreme_betas=keep,mesh_alignment=model-origin,hand_alignment=as-mesh,face_alignment=as-mesh]"
    result = score(predictions(other, true), true, catalogue.get(spec), models)
    still = np.zeros((N, 3))
    away = models.mesh(other.with_(transl=still)).astype(float) - models.mesh(params.with_(transl=still))
    for part in ("left_hand", "right_hand", "face"):
        expected = np.linalg.norm(away[:, tables.vertices("smplx", part)], axis=-1).mean() * 1000
        assert result.value(part, "PVE") == pytest.approx(expected, abs=0.02)


def test_shapes_of_gendered_models_that_are_refitted_are_counted(
    params: BodyParams, true: HumanData, models: BodyModels
) -> None:
    gendered = true.with_columns({"meta/gender": ["male", "female", "female"] + ["neutral"] * (N - 3)})
    gendered.passport = gendered.passport.with_(gender="per-instance")
    made = predictions(params, true)
    assert score(made, gendered, catalogue.get("egobody-ego"), models).notes["refitted_betas"] == 3
    with pytest.raises(DataError, match=r"has no smplx/betas_neutral.*--gender neutral"):
        score(made, gendered, catalogue.get("egobody-ego[extreme_betas=drop]"), models)


@pytest.mark.parametrize(
    ("spec", "column", "values", "said"),
    [
        ("egobody-smplestx", "meta/lefthand_valid", ["True", "False"] * (N // 2), "is not one number a row"),
        ("egobody-smplestx", "meta/righthand_valid", np.array([1, 0, np.nan] * (N // 3)), r"in 2 of 6 .*first: row 2"),
        ("agora-val", "meta/annot_valid", np.array([1, np.nan, 1] * (N // 3)), r"not a number in 2 of 6"),
        ("ubody-intra[step=2]", "meta/annotation_index", ["1"] * N, "is not one number a row"),
        ("ubody-intra[step=2]", "meta/annotation_index", np.arange(N), "holds 0: annotations are counted from 1"),
    ],
)
def test_columns_of_flags_and_numbers_that_hold_something_else_are_refused(
    spec: str, column: str, values: object, said: str, params: BodyParams, true: HumanData, models: BodyModels
) -> None:
    odd = true.with_columns({column: values})  # type: ignore[dict-item]
    with pytest.raises(DataError, match=f"{column} .*{said}|{column} {said}"):
        score(predictions(params, true), odd, catalogue.get(spec), models)


class TestOfficial:
    """AGORA's own evaluation on four persons in two images, one of them missed, one not valid, one child."""

    @pytest.fixture
    def crowd(self, params: BodyParams, true: HumanData) -> HumanData:
        x = np.array([-0.9, 0.9, -0.9, 0.9, 0, 0])
        transl = params.transl * (0, 1, 1) + x[:, None] * (1, 0, 0)
        return true.with_columns(
            {
                "image_path": [f"ag_bfh_{name}.jpg" for name in "aabbcd"],
                "smplx/transl": transl,
                "meta/annot_valid": np.array([1, 1, 1, 0, 1, 1]),
                "meta/kid": np.array([0, 0, 1, 0, 0, 0]),
            }
        )

    def test_counts_and_normalised_errors(self, params: BodyParams, crowd: HumanData, models: BodyModels) -> None:
        moved = params.with_(transl=np.asarray(crowd["smplx/transl"]))
        rows = np.array([0, 2, 3, 4])  # row 1 is missed beside row 0; row 5 in an image without predictions
        guess = predictions(turned_by_hand(moved[rows]), crowd, rows)
        result = score(guess, crowd, catalogue.get("agora-official"), models)
        assert result.notes == {"matched": 3, "missed": 2, "false_positives": 1, "not_counted": 1}
        f1 = round(3 / (3 + (1 + 2) / 2), 2)
        assert result.value("all", "F1") == f1
        body, hands = result.value("body", "MVE"), result.value("left_hand", "MVE")
        assert result.value("body", "NMVE") == round(body / f1, 1)
        # three matched hands, and a zero for the person missed in an image with predictions
        matched = result.errors[(result.errors.part == "left_hand") & (result.errors.metric == "MVE")].value
        assert len(matched) == 3
        assert hands == round(matched.sum() / 4, 1)
        parts = [result.value(part, "MVE") for part in ("left_hand", "right_hand", "face")]
        assert result.value("full_body", "MVE") == round(body + sum(parts) / 3, 1)
        # the only child was found, beside one false positive
        assert result.value("kid_all", "F1") == round(1 / 1.5, 2)
        assert result.value("kid_full_body", "NMVE") == round(result.value("kid_full_body", "MVE") / f1, 1)

    @pytest.mark.parametrize("name", ["agora-official", "agora-val"])
    def test_counting_nobody_is_an_error(
        self, params: BodyParams, crowd: HumanData, models: BodyModels, name: str
    ) -> None:
        rows = np.arange(len(crowd))
        hidden = crowd.with_columns({"meta/occlusion": np.full(len(crowd), 100.0)})
        protocol = catalogue.get(f'{name}[valid=["annot_valid", "occlusion in 0..90"]]')
        with pytest.raises(
            DataError, match=rf"no row is left .*{name}.*annot_valid, occlusion in 0\.\.90.*; .* 6 rows"
        ):
            score(predictions(params, hidden, rows), hidden, protocol, models)

    def test_without_the_quirk_missed_persons_do_not_lower_hand_errors(
        self, params: BodyParams, crowd: HumanData, models: BodyModels
    ) -> None:
        moved = params.with_(transl=np.asarray(crowd["smplx/transl"]))
        rows = np.array([0, 2, 3, 4])
        guess = predictions(turned_by_hand(moved[rows]), crowd, rows)
        protocol = catalogue.get("agora-official[missed_as_zero=false]")
        result = score(guess, crowd, protocol, models)
        matched = result.errors[(result.errors.part == "left_hand") & (result.errors.metric == "MVE")].value
        assert result.value("left_hand", "MVE") == round(matched.mean(), 1)


def in_box_camera(hd: HumanData, shift: tuple[float, float, float] = (0, 0, 0)) -> HumanData:
    """The same people placed where the virtual cameras of their boxes see them as the images do, moved by ``shift``."""
    sizes = np.stack((hd["meta/height"], hd["meta/width"]), axis=1)
    boxes, _ = widen(hd["bbox_xywh"], sizes, 1.2 * 0.833)
    focal, centre = virtual_camera(boxes)
    own, middle = np.asarray(hd["meta/focal_length"]), np.asarray(hd["meta/principal_point"])
    transl = np.asarray(hd["smplx/transl"], float)
    z = transl[:, 2] * focal[:, 1] / own[:, 1]
    pixel = transl[:, :2] / transl[:, 2:] * own + middle
    there = np.concatenate([(pixel - centre) / focal * z[:, None], z[:, None]], axis=1)
    return hd.with_columns({"smplx/transl": (there + shift).astype(np.float32)})


def turned_by_hand(params: BodyParams) -> BodyParams:
    """The same people with other hands and slightly other bodies, at the same place."""
    rng = np.random.default_rng(3)
    return params.with_(
        body_pose=params.body_pose + rng.normal(0, 0.1, params.body_pose.shape),
        left_hand_pose=rng.normal(0, 0.3, (len(params), 15, 3)),
    )


def test_the_virtual_camera_reproduces_the_crop_projection() -> None:
    """A point seen at a pixel of the 256 x 192 frame is seen at the matching pixel of the image."""
    from ehps.benchmark.models.outputs import CAMERA
    from ehps.benchmark.training import crops

    box = np.array([[30.0, 20.0, 90.0, 120.0]])
    focal, centre = virtual_camera(box)
    point = np.array([0.3, -0.7, 40.0])
    in_crop = point[:2] / point[2] * 5000 + (96, 128)
    in_image = point[:2] / point[2] * focal[0] + centre[0]
    np.testing.assert_allclose(crops.transform(in_image, crops.affine(box[0], (256, 192), SIZE[1])), in_crop, rtol=1e-6)
    assert pytest.approx(56.382, abs=1e-3) == CAMERA.depth


def test_instances_are_compared_alone_however_many_are_made_at_a_time(
    params: BodyParams, true: HumanData, models: BodyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = predictions(params.with_(body_pose=params.body_pose * 1.1), true)
    protocol = catalogue.get("egobody-ego")
    together = score(made, true, protocol, models).errors
    monkeypatch.setattr(metrics, "TOGETHER", 4)
    apart = score(made, true, protocol, models, batch_size=5).errors
    assert together.drop(columns="value").equals(apart.drop(columns="value"))
    np.testing.assert_allclose(apart["value"], together["value"], atol=1e-3)  # mm
    assert together["value"].max() > 1
