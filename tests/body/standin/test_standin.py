"""The stand-in body: laid out like the licensed files, shaped like a person, moving like one."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import smplx
import torch
from scipy.spatial.transform import Rotation

from ehps.body.standin import write_standin
from ehps.body.topology import SMPL_VERTICES, SMPLX_VERTICES, TOPOLOGY
from ehps.humandata.keypoints import point_names

Array = npt.NDArray[Any]

GENDERS = ("male", "female", "neutral")
JOINT = {name: k for k, name in enumerate(point_names("smplx"))}


@cache
def model(folder: Path, model_type: str, gender: str = "neutral", flat: bool = True, **extra: Any) -> Any:
    options: dict[str, Any] = {"num_betas": 10}
    if model_type != "smpl":
        options |= {"use_pca": False, "flat_hand_mean": flat}
    if model_type == "smplx":
        options |= {"use_face_contour": True}
    if model_type == "smplh":
        options |= {"ext": "pkl"}
    return smplx.create(str(folder), model_type, gender=gender, **options | extra)


def posed(body: Any, **parameters: Array) -> tuple[Array, Array]:
    """Vertices and joints of one person."""
    rows = {name: torch.tensor(np.reshape(v, (1, -1)), dtype=torch.float32) for name, v in parameters.items()}
    with torch.no_grad():
        out = body(**rows)
    return out.vertices[0].numpy().astype(float), out.joints[0].numpy().astype(float)


def body_pose(**angles: tuple[float, float, float]) -> Array:
    pose = np.zeros((21, 3))
    for name, value in angles.items():
        pose[JOINT[name] - 1] = value
    return pose


@cache
def arrays(folder: Path, gender: str) -> dict[str, Array]:
    with np.load(folder / "smplx" / f"SMPLX_{gender.upper()}.npz", allow_pickle=True) as file:
        return dict(file)


class TestFiles:
    def test_smplx_members_have_the_shapes_of_version_1_1(self, body_models: Path) -> None:
        shapes = {name: value.shape for name, value in arrays(body_models, "male").items()}
        expected = {
            "v_template": (10475, 3),
            "shapedirs": (10475, 3, 400),
            "posedirs": (10475, 3, 486),
            "J_regressor": (55, 10475),
            "weights": (10475, 55),
            "f": (20908, 3),
            "kintree_table": (2, 55),
            "hands_meanl": (45,),
            "hands_meanr": (45,),
            "hands_componentsl": (45, 45),
            "hands_componentsr": (45, 45),
            "lmk_faces_idx": (51,),
            "lmk_bary_coords": (51, 3),
            "dynamic_lmk_faces_idx": (79, 17),
            "dynamic_lmk_bary_coords": (79, 17, 3),
        }
        assert {name: shapes[name] for name in expected} == expected
        assert {"vt", "ft", "joint2num", "part2num", "bs_type", "bs_style", "standin"} <= set(shapes)

    def test_the_joint_tree_is_stored_with_an_unsigned_root(self, body_models: Path) -> None:
        table = arrays(body_models, "male")["kintree_table"]
        assert table.dtype == np.uint32
        assert table[0, 0] == 2**32 - 1
        assert table[0, 1:].tolist() == list(TOPOLOGY["smplx"].parents[1:])

    @pytest.mark.parametrize("model_type", ["smplx", "smplh", "smpl"])
    @pytest.mark.parametrize("gender", GENDERS)
    def test_the_smplx_package_poses_every_model(self, body_models: Path, model_type: str, gender: str) -> None:
        rng = np.random.default_rng(0)
        joints = 23 if model_type == "smpl" else 21
        vertices, points = posed(
            model(body_models, model_type, gender),
            betas=rng.normal(size=10),
            body_pose=rng.normal(0, 0.4, (joints, 3)),
            global_orient=rng.normal(size=3),
        )
        assert vertices.shape == (TOPOLOGY[model_type].vertices, 3)
        assert len(points) == {"smplx": 144, "smplh": 73, "smpl": 45}[model_type]
        assert np.isfinite(vertices).all()
        assert np.ptp(vertices, axis=0).max() < 3

    def test_the_same_call_writes_the_same_bytes(self, body_models: Path, tmp_path: Path) -> None:
        write_standin(tmp_path, models=["smpl"], genders=["female"])
        assert [p.name for p in (tmp_path / "smpl").iterdir()] == ["SMPL_FEMALE.pkl"]
        assert not (tmp_path / "smplx").exists()
        for name in ("smpl/SMPL_FEMALE.pkl", "smpl_kid_template.npy"):
            assert (tmp_path / name).read_bytes() == (body_models / name).read_bytes()


class TestMesh:
    @pytest.mark.parametrize(("model_type", "open_edges"), [("smplx", 34), ("smpl", 0)])
    def test_it_is_closed_but_for_the_backs_of_the_eyeballs(
        self, body_models: Path, model_type: str, open_edges: int
    ) -> None:
        body = model(body_models, model_type)
        faces = body.faces.astype(np.int64)
        topology = TOPOLOGY[model_type]
        assert faces.shape == (topology.faces, 3)
        assert (np.unique(faces) == np.arange(topology.vertices)).all()
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        ahead, back = edges @ [topology.vertices, 1], edges @ [1, topology.vertices]
        assert len(np.unique(ahead)) == len(ahead)
        assert (~np.isin(ahead, back)).sum() == open_edges

    def test_faces_look_outwards_and_hold_a_persons_volume(self, body_models: Path) -> None:
        body = model(body_models, "smpl")
        a, b, c = body.v_template.numpy()[body.faces.astype(int)].transpose(1, 0, 2).astype(float)
        assert 0.045 < np.einsum("ij,ij->", a, np.cross(b, c)) / 6 < 0.090

    def test_left_and_right_mirror_each_other(self, body_models: Path) -> None:
        _, joints = posed(model(body_models, "smplx"))
        middle = joints[0, 0]
        for name in ("hip", "ankle", "shoulder", "wrist", "index_3", "pinky", "eye", "ear", "mouth_1", "eyebrow_3"):
            left, right = joints[JOINT[f"left_{name}"]], joints[JOINT[f"right_{name}"]]
            np.testing.assert_allclose((left - [middle, 0, 0]) * [-1, 1, 1], right - [middle, 0, 0], atol=1e-3)
            assert left[0] > right[0]

    def test_genders_differ_by_centimetres(self, body_models: Path) -> None:
        height, shoulders, hips = {}, {}, {}
        for gender in GENDERS:
            vertices, joints = posed(model(body_models, "smplx", gender))
            height[gender] = np.ptp(vertices[:, 1])
            shoulders[gender] = joints[16, 0] - joints[17, 0]
            level = np.abs(vertices[:, 1] - joints[1, 1]) < 0.02
            hips[gender] = np.ptp(vertices[level, 0]) / height[gender]
        assert height["male"] > height["neutral"] + 0.03 > height["female"] + 0.06
        assert shoulders["male"] > shoulders["neutral"] + 0.02 > shoulders["female"] + 0.04
        assert hips["female"] > hips["male"] + 0.005
        assert 1.6 < height["female"] < height["male"] < 1.85


class TestNamedPoints:
    def test_extra_joints_are_where_their_names_say(self, body_models: Path) -> None:
        body = model(body_models, "smplx")
        vertices, joints = posed(body)
        where = dict(zip(point_names("smplx")[55:76], vertices[list(SMPLX_VERTICES)], strict=True))
        face = vertices[np.load(body_models / "SMPL-X__FLAME_vertex_ids.npy")]
        assert where["nose"][2] > face[:, 2].max() - 0.001
        for side, sign in (("left", 1), ("right", -1)):
            eyeball = joints[JOINT[f"{side}_eyeball"]]
            pupil = where[f"{side}_eye"] - eyeball
            assert 0.008 < pupil[2] < 0.02
            assert np.abs(pupil[:2]).max() < 0.002
            assert (where[f"{side}_ear"][0] * sign) > 0.07
            foot = joints[JOINT[f"{side}_ankle"]]
            heel, big, small = (where[f"{side}_{n}"] - foot for n in ("heel", "bigtoe", "smalltoe"))
            assert heel[1] < -0.03
            assert heel[2] < -0.02
            assert big[2] > small[2] > 0.08
            assert (small[0] - big[0]) * sign > 0.02

    @pytest.mark.parametrize(("model_type", "picked"), [("smplx", SMPLX_VERTICES), ("smpl", SMPL_VERTICES)])
    def test_finger_tips_end_their_fingers(self, body_models: Path, model_type: str, picked: tuple[int, ...]) -> None:
        vertices, joints = posed(model(body_models, "smplx"))
        own, _ = posed(model(body_models, model_type))
        own += vertices[SMPLX_VERTICES[0]] - own[picked[0]]  # the two models' origins differ
        for k, finger in enumerate(("thumb", "index", "middle", "ring", "pinky")):
            for first, side in ((11, "left"), (16, "right")):
                second, third = (joints[JOINT[f"{side}_{finger}_{n}"]] for n in (2, 3))
                along = (third - second) / np.linalg.norm(third - second)
                assert 0.012 < (own[picked[first + k]] - third) @ along < 0.035

    def test_hand_and_head_vertex_lists_lie_in_hands_and_head(self, body_models: Path) -> None:
        vertices, joints = posed(model(body_models, "smplx"))
        hands = pickle.loads((body_models / "MANO_SMPLX_vertex_ids.pkl").read_bytes())
        for side, wrist in (("left", 20), ("right", 21)):
            ids = hands[f"{side}_hand"]
            assert len(np.unique(ids)) == 778
            beyond = np.abs(vertices[ids, 0]) - np.abs(joints[wrist, 0])
            assert beyond.min() > -0.02
            tips = [SMPLX_VERTICES[k] for k in (range(11, 16) if side == "left" else range(16, 21))]
            assert np.isin(tips, ids).all()
        head = np.load(body_models / "SMPL-X__FLAME_vertex_ids.npy")
        assert len(np.unique(head)) == 5023
        assert vertices[head, 1].min() > joints[12, 1] - 0.02
        assert not np.isin(np.arange(10475)[vertices[:, 1] > joints[15, 1] + 0.03], head, invert=True).any()

    def test_face_landmarks_follow_the_ibug_order_on_the_face(self, body_models: Path) -> None:
        vertices, joints = posed(model(body_models, "smplx"))
        point = {name: joints[k] for name, k in JOINT.items()}
        brows = [f"right_eyebrow_{n}" for n in (1, 2, 3, 4, 5)] + [f"left_eyebrow_{n}" for n in (5, 4, 3, 2, 1)]
        assert (np.diff([point[n][0] for n in brows]) > 0.004).all()
        assert (np.diff([point[f"nosebridge_{n}"][1] for n in (1, 2, 3, 4)]) < -0.005).all()
        assert (np.diff([point[f"nosebridge_{n}"][2] for n in (1, 2, 3, 4)]) > 0.002).all()
        outer, inner = point["left_eye_1"], point["left_eye_4"]
        assert outer[0] > point["left_eye"][0] > inner[0] > 0
        assert point["left_eye_2"][1] > point["left_eye"][1] > point["left_eye_6"][1]
        column = ["nose_middle", "mouth_top", "lip_top", "lip_bottom", "mouth_bottom", "contour_middle"]
        assert (np.diff([point[n][1] for n in column]) < 0).all()
        assert np.abs([point[n][0] - joints[0, 0] for n in column]).max() < 0.002
        ears = point["left_contour_1"], point["right_contour_1"]
        assert ears[0][0] - ears[1][0] > 0.12
        distance = np.linalg.norm(vertices[None] - joints[76:144, None], axis=-1).min(1)
        assert distance.max() < 0.012

    def test_the_contour_moves_to_the_silhouette_as_the_head_turns(self, body_models: Path) -> None:
        body = model(body_models, "smplx")
        turn = np.radians(-30)  # to the subject's right
        _, ahead = posed(body)
        _, turned = posed(body, global_orient=np.array([0, turn, 0]))
        back = Rotation.from_rotvec([0, -turn, 0]).apply(turned - turned[0]) + ahead[0]
        near, far = JOINT["left_contour_3"], JOINT["right_contour_3"]
        np.testing.assert_allclose(back[:127], ahead[:127], atol=1e-5)
        np.testing.assert_allclose(back[near], ahead[near], atol=1e-5)
        assert back[far, 2] > ahead[far, 2] + 0.01


class TestShape:
    def test_rest_joints_lie_inside_and_the_pelvis_is_off_the_origin(self, body_models: Path) -> None:
        pelvis = {g: arrays(body_models, g)["J_regressor"] @ arrays(body_models, g)["v_template"] for g in GENDERS}
        for joints in pelvis.values():
            assert -0.45 < joints[0, 1] < -0.30
            assert np.abs(joints[0, [0, 2]]).min() > 0.001
        assert abs(pelvis["male"][0, 1] - pelvis["female"][0, 1]) > 0.01

    @pytest.mark.parametrize("gender", GENDERS)
    def test_joint_regressors_give_the_joints_at_every_shape(self, body_models: Path, gender: str) -> None:
        file = arrays(body_models, gender)
        regressor = file["J_regressor"]
        np.testing.assert_allclose(regressor.sum(1), 1, atol=1e-9)
        np.testing.assert_allclose(regressor @ file["v_template"], file["J"], atol=1e-7)
        short = file["v_template"] - 2 * file["shapedirs"][:, :, 0]
        bones = [(1, 4), (4, 7), (16, 18), (18, 20), (25, 26)]
        for a, b in bones:
            rest = np.linalg.norm(file["J"][a] - file["J"][b])
            moved = np.linalg.norm((regressor @ short)[a] - (regressor @ short)[b])
            assert 0.90 < moved / rest < 0.95

    def test_betas_do_what_they_are_for(self, body_models: Path) -> None:
        body = model(body_models, "smplx")
        rest, joints = posed(body)

        def changed(k: int) -> tuple[Array, Array]:
            return posed(body, betas=np.eye(10)[k] * 2)

        tall, _ = changed(0)
        assert 0.10 < np.ptp(tall[:, 1]) - np.ptp(rest[:, 1]) < 0.15
        fat, _ = changed(1)
        waist = np.abs(rest[:, 1] - 0.5 * (joints[3, 1] + joints[0, 1])) < 0.02
        trunk = waist & (np.abs(rest[:, 0]) < 0.25)
        assert np.ptp(fat[trunk, 0]) > np.ptp(rest[trunk, 0]) + 0.03
        assert abs(np.ptp(fat[:, 1]) - np.ptp(rest[:, 1])) < 0.03
        _, arms = changed(6)
        assert arms[20, 0] - joints[20, 0] > 0.02

    def test_plausible_betas_make_plausible_people(self, body_models: Path) -> None:
        rng = np.random.default_rng(1)
        heights = []
        for gender in ("male", "female"):
            for _ in range(12):
                vertices, _ = posed(model(body_models, "smplx", gender), betas=rng.normal(size=10))
                heights.append(np.ptp(vertices[:, 1]))
        assert min(heights) > 1.45
        assert max(heights) < 2.05
        assert np.std(heights) > 0.04

    def test_unused_shape_columns_are_empty(self, body_models: Path) -> None:
        directions = arrays(body_models, "male")["shapedirs"]
        size = np.abs(directions).max((0, 1))
        assert (size[:16] > 1e-3).all()
        assert (size[300:310] > 1e-3).all()
        assert size[16:300].max() == size[310:].max() == 0


class TestPose:
    def test_skinning_weights_are_shares(self, body_models: Path) -> None:
        weights = arrays(body_models, "male")["weights"]
        assert weights.min() >= 0
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-9)
        assert (weights.max(0) > 0.75).all()

    def test_pose_correctives_reach_faces_and_finger_tips(self, body_models: Path) -> None:
        directions = arrays(body_models, "male")["posedirs"]
        size = np.abs(directions).max((1, 2))
        assert size[list(SMPLX_VERTICES)].min() > 0.0005
        assert size.max() < 0.02
        assert (np.abs(directions).max((0, 1)) > 1e-5).all()

    @pytest.mark.parametrize(("side", "sign"), [("left", 1), ("right", -1)])
    def test_mean_hands_curl_the_fingers_to_the_palm(self, body_models: Path, side: str, sign: int) -> None:
        _, flat = posed(model(body_models, "smplx", flat=True))
        _, curled = posed(model(body_models, "smplx", flat=False))
        for finger in ("index", "middle", "ring", "pinky"):
            move = curled[JOINT[f"{side}_{finger}"]] - flat[JOINT[f"{side}_{finger}"]]
            assert move[1] < -0.02
            assert move[0] * sign < 0

    def test_hand_components_are_orthonormal_and_mirrored(self, body_models: Path) -> None:
        file = arrays(body_models, "male")
        left, right = file["hands_componentsl"], file["hands_componentsr"]
        np.testing.assert_allclose(left @ left.T, np.eye(45), atol=1e-9)
        np.testing.assert_allclose(left.reshape(45, 15, 3) * [1, -1, -1], right.reshape(45, 15, 3))

    def test_the_jaw_opens_the_mouth_and_nothing_else(self, body_models: Path) -> None:
        body = model(body_models, "smplx")
        rest, closed = posed(body)
        moved, opened = posed(body, jaw_pose=np.array([0.3, 0, 0]))
        gap = opened[JOINT["lip_top"], 1] - opened[JOINT["lip_bottom"], 1]
        assert gap > closed[JOINT["lip_top"], 1] - closed[JOINT["lip_bottom"], 1] + 0.015
        assert opened[JOINT["contour_middle"], 1] < closed[JOINT["contour_middle"], 1] - 0.015
        assert np.linalg.norm(opened - closed, axis=1)[JOINT["nosebridge_1"]] < 0.003
        away = np.linalg.norm(rest - closed[JOINT["jaw"]], axis=1) > 0.25
        assert np.abs(moved - rest)[away].max() < 1e-4

    def test_eyes_turn_in_their_sockets(self, body_models: Path) -> None:
        _, rest = posed(model(body_models, "smplx"))
        _, looked = posed(model(body_models, "smplx"), leye_pose=np.array([0, 0.4, 0]))
        assert looked[JOINT["left_eye"], 0] > rest[JOINT["left_eye"], 0] + 0.003
        np.testing.assert_allclose(looked[JOINT["right_eye"]], rest[JOINT["right_eye"]], atol=1e-6)

    def test_bent_limbs_keep_their_skin(self, body_models: Path) -> None:
        body = model(body_models, "smplx")
        rest, _ = posed(body)
        bent, joints = posed(
            body,
            body_pose=body_pose(
                left_elbow=(0, -1.6, 0), right_knee=(1.6, 0, 0), right_hip=(-1.4, 0, 0), left_shoulder=(0, 0, -1.0)
            ),
        )
        faces = body.faces.astype(int)
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
        length = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)
        after = np.linalg.norm(bent[edges[:, 0]] - bent[edges[:, 1]], axis=1)
        long = length > 0.008
        assert (after[long] / length[long]).max() < 4
        assert np.quantile(after[long] / length[long], 0.99) < 1.7
        assert joints[JOINT["left_wrist"], 2] > joints[JOINT["left_elbow"], 2] + 0.15
        assert joints[JOINT["right_knee"], 2] > joints[JOINT["right_hip"], 2] + 0.3

    def test_expressions_move_the_face_only(self, body_models: Path) -> None:
        body = model(body_models, "smplx")
        rest, joints = posed(body)
        smile, after = posed(body, expression=np.eye(10)[1] * 2)
        corner = JOINT["left_mouth_1"]
        assert after[corner, 0] > joints[corner, 0] + 0.003
        assert after[corner, 1] > joints[corner, 1] + 0.003
        blink, closed = posed(body, expression=np.eye(10)[4] * 2)
        assert closed[JOINT["left_eye_2"], 1] < joints[JOINT["left_eye_2"], 1] - 0.002
        below = rest[:, 1] < joints[12, 1]
        assert np.abs(smile - rest)[below].max() < 1e-6
        assert np.abs(blink - rest)[below].max() < 1e-6


class TestHelperFiles:
    def test_regressed_points_are_the_joints_they_stand_for(self, body_models: Path) -> None:
        vertices, joints = posed(model(body_models, "smplx"))
        lsp = pickle.loads((body_models / "SMPLX_to_J14.pkl").read_bytes()) @ vertices
        np.testing.assert_allclose(lsp[[0, 5, 6, 11]], joints[[8, 7, 21, 20]], atol=2e-3)
        np.testing.assert_allclose(lsp[[1, 4, 7, 10]], joints[[5, 4, 19, 18]], atol=2e-3)
        assert lsp[13, 1] > joints[15, 1] + 0.15

    def test_smpl_and_smplx_are_the_same_person(self, body_models: Path) -> None:
        _, one = posed(model(body_models, "smplx"))
        _, other = posed(model(body_models, "smpl"))
        offset = one[0] - other[0]
        np.testing.assert_allclose(one[:22] - offset, other[:22], atol=1e-4)
        assert abs(offset[1]) > 0.1

    def test_the_kid_template_makes_a_child(self, body_models: Path) -> None:
        template = str(body_models / "smplx_kid_template.npy")
        child = model(body_models, "smplx", age="kid", kid_template_path=template)
        betas = np.zeros(11)
        adult, _ = posed(child, betas=betas)
        betas[10] = 1
        grown, _ = posed(child, betas=betas)
        assert 0.9 < np.ptp(grown[:, 1]) < 1.35 < np.ptp(adult[:, 1])
