"""Every protocol's numbers against those of :mod:`tests.benchmark.protocols.reference`, to 0.01 mm.

The people fall into the traps of the originals: moved, scaled and mirrored copies, swapped hands, regressors that
differ by gender, children, extreme shapes, hands that are not valid, bodies that leave the image, crowds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.scoring import Score, score
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.benchmark.protocols import reference
from tests.benchmark.protocols.reference import Numbers
from tests.drawn_people import Style, people

MOVED, SWAPPED, MIRRORED, EXTREME, EXTREME_OWN, NO_HANDS, RIGHT_ONLY, OUTSIDE = range(8)
N = 8
GENDER = ["neutral", "male", "female", "male", "female", "male", "neutral", "female"]
SIZE = (160, 120)  # height, width
PELVIS = np.array([(60, 75), (60, 75), (-4, 70), (60, 150), (112, 75), (60, 20), (110, 140), (500, 75)], float)
SPACED = np.array([(i + k) % N for i in range(N) for k in range(10)])  # every tenth is the next person, others between
TOLERANCE = {"AUC": 1e-5, "MPJAE": 1e-3, "PA-MPJAE": 1e-3}
KINDS = {
    "truth": Passport(body_model="smplx", gender="per-instance", flat_hand_mean=True, num_betas=10),
    "made": Passport(body_model="smplx", gender="neutral", flat_hand_mean=False, num_betas=10),
}


@dataclass(frozen=True)
class World:
    """Truths and predictions of eight people, as SMPL-X and as SMPL, and of them in the images of a crowd."""

    truth: HumanData
    made: HumanData
    crowd: HumanData
    found: HumanData
    root: Path
    models: BodyModels
    bodies: reference.Bodies

    def predictions(self, model_type: str, made: HumanData | None = None) -> HumanData:
        """With parameters of one model type only."""
        other = "smpl/" if model_type == "smplx" else "smplx/"
        made = self.made if made is None else made
        out = made.without([name for name in made.columns if name.startswith(other)])
        out.passport = made.passport.with_(body_model=model_type)
        return out


def columns(params: BodyParams) -> dict[str, np.ndarray]:
    return {f"{params.model_type}/{name}": value for name, value in params.arrays().items()}


def turned(orient: np.ndarray, by: tuple[float, float, float]) -> np.ndarray:
    return (Rotation.from_rotvec(by) * Rotation.from_rotvec(orient)).as_rotvec()


def mirrored(params: BodyParams) -> BodyParams:
    """Left and right exchanged, as augmentation by flipping does."""
    sides = [1, 0, 2, 4, 3, 5, 7, 6, 8, 10, 9, 11, 13, 12, 14, 16, 15, 18, 17, 20, 19]
    flip = np.array([1, -1, -1])
    assert params.left_hand_pose is not None
    assert params.right_hand_pose is not None
    return params.with_(
        global_orient=params.global_orient * flip,
        body_pose=params.body_pose[:, sides] * flip,
        left_hand_pose=params.right_hand_pose * flip,
        right_hand_pose=params.left_hand_pose * flip,
    )


def guesses(true: BodyParams, rng: np.random.Generator) -> BodyParams:
    """What a network makes of people: itself an error, and the traps."""

    def off(values: np.ndarray, by: float) -> np.ndarray:
        return values + rng.normal(0, by, values.shape)

    assert true.left_hand_pose is not None
    assert true.right_hand_pose is not None
    made = true.with_(
        betas=off(true.betas, 0.5),
        body_pose=off(true.body_pose, 0.15),
        global_orient=off(true.global_orient, 0.1),
        transl=off(true.transl, 0.3),
        left_hand_pose=off(true.left_hand_pose, 0.2),
        right_hand_pose=off(true.right_hand_pose, 0.2),
    )
    arrays = {name: value.copy() for name, value in made.arrays().items()}
    for name, value in true.arrays().items():
        arrays[name][[MOVED, SWAPPED]] = value[[MOVED, SWAPPED]]
        arrays[name][MIRRORED] = mirrored(true).arrays()[name][MIRRORED]
    arrays["global_orient"][MOVED] = turned(true.global_orient[MOVED], (0.3, -0.2, 0.4))
    arrays["transl"][MOVED] += (0.2, -0.1, 1.5)
    arrays["left_hand_pose"][SWAPPED] = true.right_hand_pose[SWAPPED]
    arrays["right_hand_pose"][SWAPPED] = true.left_hand_pose[SWAPPED]
    return made.with_(**arrays)


def placed(models: BodyModels, params: BodyParams, box: np.ndarray) -> np.ndarray:
    """(N, 3) translations that put pelvises at given pixels of the virtual camera of their box."""
    camera = reference.Camera.of_box(box, SIZE[1], SIZE[0], 1.2 * 0.833)
    depth = 36.0
    there = (PELVIS - camera.centre) / camera.focal * depth
    rest = models.rest_pelvis(params)
    return np.concatenate([there, np.full((N, 1), depth)], axis=1) - rest


@pytest.fixture(scope="module")
def world(models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> World:
    rng, root = np.random.default_rng(4), tmp_path_factory.mktemp("world")
    box = np.array([20.0, 10.0, 80.0, 140.0, 1.0])
    true = people(N, rng, Style(0.4, 0.4)).with_(gender=np.array(GENDER))
    assert true.left_hand_pose is not None
    assert true.right_hand_pose is not None
    true = true.with_(
        transl=placed(models, true, box),
        left_hand_pose=true.left_hand_pose * 3,
        leye_pose=rng.normal(0, 0.2, (N, 3)),
        reye_pose=rng.normal(0, 0.2, (N, 3)),
        betas_extra=np.zeros((N, 1)),
    )
    extra = true.betas_extra
    assert extra is not None
    extra[[NO_HANDS, RIGHT_ONLY], 0] = (0.8, 0.6)  # a boy and a girl
    neutral = true.betas + rng.normal(0, 0.4, true.betas.shape)
    neutral[EXTREME, 1] = -3.2
    true.betas[EXTREME_OWN, 2] = 3.4
    mine = guesses(true.with_(betas=neutral), rng).with_(
        leye_pose=np.zeros((N, 3)), reye_pose=np.zeros((N, 3)), betas_extra=None
    )
    pose = np.concatenate([true.global_orient[:, None], true.body_pose, rng.normal(0, 0.1, (N, 2, 3))], axis=1)
    smpl = smpl_params(gender=GENDER, betas=true.betas * 0.8, pose=pose, transl=true.transl)
    other = smpl.with_(betas=smpl.betas + 0.3, body_pose=smpl.body_pose + rng.normal(0, 0.15, smpl.body_pose.shape))
    moved = {name: value.copy() for name, value in other.arrays().items()}
    for name, value in smpl.arrays().items():
        moved[name][MOVED] = value[MOVED]
    moved["global_orient"][MOVED] = turned(smpl.global_orient[MOVED], (0.3, -0.2, 0.4))
    other = other.with_(**moved)

    # absolute hands in the truth, relative to the mean hand in the predictions
    model = models.get("smplx", "neutral")
    flat = true.with_(
        left_hand_pose=true.left_hand_pose + model.hands_mean_left.reshape(15, 3),
        right_hand_pose=true.right_hand_pose + model.hands_mean_right.reshape(15, 3),
    )
    given = models.mesh(true).astype(float)
    copies = models.mesh(mine).astype(float)
    given[MOVED] = 1.3 * copies[MOVED] @ Rotation.from_rotvec((0.1, 0.2, 0.3)).as_matrix() + (0, 1, 2)
    given[MIRRORED] = copies[MIRRORED] * (-1, 1, 1)
    back = Rotation.from_rotvec(reference.EHF_ROTATION).as_matrix()
    for i, mesh in enumerate(given):
        np.save(root / f"{i}.npy", mesh @ back)
    common = {
        "image_path": [f"scene/{i}.jpg" for i in range(N)],
        "bbox_xywh": np.tile(box, (N, 1)),
        "meta/height": np.full(N, SIZE[0]),
        "meta/width": np.full(N, SIZE[1]),
    }
    truth = HumanData(
        {
            **common,
            **columns(flat),
            **columns(smpl),
            "smplx/betas_neutral": neutral,
            "meta/gender": GENDER,
            "meta/annot_valid": (np.arange(N) != SWAPPED).astype(int),
            "meta/lefthand_valid": ~np.isin(np.arange(N), (NO_HANDS, RIGHT_ONLY)),
            "meta/righthand_valid": np.arange(N) != NO_HANDS,
            "vertices3d_path": [f"{i}.npy" for i in range(N)],
        },
        passport=KINDS["truth"],
    )
    made = HumanData(
        {**common, **columns(mine), **columns(other), "meta/truth_row": np.arange(N), "meta/gender": ["neutral"] * N},
        passport=KINDS["made"],
    )[np.array([3, 1, 7, 0, 2, 6, 5, 4])]
    crowd, found = crowds(truth, made)
    return World(truth, made, crowd, found, root, models, reference.Bodies(models))


def crowds(truth: HumanData, made: HumanData) -> tuple[HumanData, HumanData]:
    """People in images as AGORA's, and predictions of them."""
    persons = [  # image, person, place, valid, occlusion
        ("a_bfh", MOVED, (-0.8, 0, 5), 1, 0),
        ("a_bfh", SWAPPED, (0.8, 0, 5), 1, 89.9),
        ("b_bfh", MIRRORED, (0, 0, 4.4), 0, 0),  # not valid, in front of
        ("b_bfh", EXTREME, (0.25, 0, 5), 1, 10),
        ("c_bfh", EXTREME_OWN, (0, 0, 5), 1, 0),  # an image without predictions
        ("d_smplx", NO_HANDS, (-0.5, 0, 5), 1, 0),  # children
        ("d_smplx", RIGHT_ONLY, (0.7, 0, 5), 1, 0),
        ("e_bfh", OUTSIDE, (0, 0, 5), 1, 95),  # occluded
        ("f", SWAPPED, (0, 0, 5), 1, 0),  # an image that is not looked at
        ("g_bfh", EXTREME, (-1.5, 0, 5), 1, 0),
        ("h_bfh", MIRRORED, (0, 0, 5), 1, 0),
        ("h_bfh", EXTREME_OWN, (0.1, 0, 5.2), 1, 0),
    ]
    predictions = [
        ("a_bfh", SWAPPED, (0.84, 0, 5)),
        ("a_bfh", MOVED, (-0.8, 0, 5.1)),
        ("a_bfh", SWAPPED, (0.79, 0, 5)),  # nearer than the first of the same person
        ("b_bfh", MIRRORED, (0.03, 0, 4.4)),
        ("d_smplx", NO_HANDS, (-0.45, 0, 5)),  # beside a child that is missed
        ("e_bfh", OUTSIDE, (0, 0, 5)),
        ("f", EXTREME, (1, 0, 5)),
        ("g_bfh", EXTREME, (1.5, 0, 5)),  # of nobody
        ("h_bfh", EXTREME_OWN, (0.05, 0, 5)),
        ("h_bfh", MIRRORED, (0.08, 0, 5)),
        ("i_bfh", MOVED, (0, 0, 5)),  # an image that the truth does not list
    ]
    at = {int(row): i for i, row in enumerate(made["meta/truth_row"])}
    mine = made[np.array([at[person] for _, person, _ in predictions])].without(["meta/truth_row"])
    n, rows = len(persons), np.array([person for _, person, *_ in persons])
    drop = ["meta/annot_valid", "vertices3d_path", "smplx/betas_neutral"]

    def camera(count: int) -> dict[str, np.ndarray]:
        return {
            "meta/focal_length": np.full((count, 2), 400.0),
            "meta/principal_point": np.tile([60.0, 80.0], (count, 1)),
        }

    crowd = truth[rows].without(drop)
    place = np.array([place for *_, place, _, _ in persons])
    children = np.isin(rows, (NO_HANDS, RIGHT_ONLY))
    crowd = crowd.with_columns(
        {
            "image_path": [f"{image}_{1}.png" for image, *_ in persons],
            "smplx/transl": place,
            "smpl/transl": place,
            "smpl/betas_extra": np.asarray(crowd["smplx/betas_extra"]),
            "meta/annot_valid": np.array([valid for *_, valid, _ in persons]),
            "meta/occlusion": np.array([float(occlusion) for *_, occlusion in persons]),
            "meta/kid": children.astype(int),
            **camera(n),
        }
    )
    there = np.array([place for *_, place in predictions])
    found = mine.with_columns(
        {
            "image_path": [f"{image}_{1}.png" for image, *_ in predictions],
            "smplx/transl": there,
            "smpl/transl": there,
            **camera(len(predictions)),
        }
    )
    return crowd, found


def compare(result: Score, rows: dict[int, Numbers], table: Numbers | None = None) -> None:
    """Instances and sets are the same to a hundredth of a millimetre, and none is absent on one side."""
    assert not result.not_computed
    errors = result.errors.dropna(subset="value")
    mine = {(e.truth_row, e.part, e.metric): e.value for e in errors.itertuples()}
    theirs = {(row, *key): value for row, numbers in rows.items() for key, value in numbers.items()}
    assert mine.keys() == theirs.keys()
    far = {
        key: (mine[key], value)
        for key, value in theirs.items()
        if abs(mine[key] - value) > TOLERANCE.get(key[-1], 0.01)
    }
    assert not far
    table = reference.of_the_set(rows) if table is None else table
    lines = {(m["part"], m["metric"]): m["value"] for m in result.metrics if not np.isnan(m["value"])}
    assert lines.keys() == table.keys()
    far = {key: (lines[key], table[key]) for key in table if abs(lines[key] - table[key]) > 0.01}
    assert not far


LIKE = {
    "egobody-ego": ["egobody-mvset", "rich"],
    "arctic": ["dna-rendering", "dna-rendering-hires"],
    "egobody-smplestx": ["egobody-mvset-smplestx", "rich-smplestx"],
    "arctic-smplestx": ["dna-rendering-smplestx", "dna-rendering-hires-smplestx"],
}
"""Protocols that differ in nothing but their names."""


def test_protocols_of_other_sets_have_the_same_rules() -> None:
    for name, others in LIKE.items():
        fields = catalogue.get(name).to_dict()
        for other in others:
            assert {**catalogue.get(other).to_dict(), "version": 1} == {**fields, "name": other, "version": 1}


ALIKE = {other for others in LIKE.values() for other in others}
BY_ROW = [p.name for p in catalogue.all_protocols() if p.matching == "by-row" and p.body == "smplx"]


@pytest.mark.parametrize("name", [name for name in BY_ROW if name not in ALIKE])
def test_smplx_sets(name: str, world: World) -> None:
    truth, made = world.truth, world.predictions("smplx")
    if name == "ehf-smplestx":  # a file that flags no hands: all count
        truth = truth.without(["meta/lefthand_valid", "meta/righthand_valid"])
    if catalogue.get(name).step > 1:
        at = np.argsort(np.asarray(made["meta/truth_row"]))
        number = 100 * np.repeat(np.arange(1, N + 1), 10) + np.tile(np.arange(10), N)
        truth = truth[SPACED].with_columns({"meta/annotation_index": number, "meta/scene": ["s"] * len(SPACED)})
        made = made[at[SPACED]].with_columns({"meta/truth_row": np.arange(len(SPACED))})
    result = score(made, truth, catalogue.get(name), world.models, images=world.root)
    compare(result, reference.smplx_sets(name, truth, made, world.bodies, world.root))


def test_a_hand_beyond_the_limit_takes_what_comes_after_it(world: World) -> None:
    made, limit = world.predictions("smplx"), 9.5
    rows = reference.smplx_sets("egobody-smplestx", world.truth, made, world.bodies, world.root, limit)
    first = [("left_hand", "PA-MPJPE") in numbers for numbers in rows.values()]
    second = [("right_hand", "PA-MPJPE") in numbers for numbers in rows.values()]
    both = [("hand", "PA-MPJPE") in numbers for numbers in rows.values()]
    assert {(True, True, True), (True, False, False), (False, False, False)} <= set(
        zip(first, second, both, strict=True)
    )
    protocol = catalogue.get(f"egobody-smplestx[hand_limit={limit}]")
    compare(score(made, world.truth, protocol, world.models), rows)


@pytest.mark.parametrize("model_type", ["smplx", "smpl"])
@pytest.mark.parametrize("name", [name for name in catalogue.names() if name.startswith("pw3d")])
def test_3dpw(name: str, model_type: str, world: World) -> None:
    made, truth = world.predictions(model_type), world.truth[:5]
    made = made[np.flatnonzero(np.asarray(made["meta/truth_row"]) < len(truth))]
    result = score(made, truth, catalogue.get(name), world.models)
    compare(result, reference.pw3d(name, truth, made, world.bodies, model_type))


@pytest.mark.parametrize(("name", "model_type"), [("agora-official", "smplx"), ("agora-official-smpl", "smpl")])
def test_crowds_as_agora_evaluates_them(name: str, model_type: str, world: World) -> None:
    made = world.predictions(model_type, world.found)
    result = score(made, world.crowd, catalogue.get(name), world.models)
    rows, table, found = reference.official(world.crowd, made, world.bodies, model_type)
    assert (len(found.missed), found.invented) == (result.notes["missed"], result.notes["false_positives"])
    compare(result, rows, table)


class TestKnownValues:
    """Errors that follow from how a body was moved, without any evaluation code."""

    def test_copies_of_one_mesh(self, world: World, tmp_path: Path) -> None:
        """Its own place, moved, turned about an axis through the pelvis, grown, mirrored."""
        truth = world.truth[:5]
        rows = {"meta/truth_row": np.arange(5), "image_path": truth["image_path"]}
        made = world.predictions("smplx")[np.zeros(5, int)].with_columns(rows)
        mesh = world.bodies.prediction(made, 0, "smplx").mesh
        pelvis = world.bodies.regressor("smplx")[0] @ mesh
        local, axis, angle = mesh - pelvis, np.array([0.6, 0, 0.8]), 0.5
        turned_about_it = local @ Rotation.from_rotvec(angle * axis).as_matrix().T
        copies = [mesh, mesh + np.array([1, -2, 3]), turned_about_it, 1.3 * local, local * (-1, 1, 1)]
        back = Rotation.from_rotvec(reference.EHF_ROTATION).as_matrix()
        for i, copy in enumerate(copies):
            np.save(tmp_path / f"{i}.npy", copy @ back)
        result = score(made, truth, catalogue.get("ehf"), world.models, images=tmp_path)
        values = result.errors.pivot_table(index="truth_row", columns=["part", "metric"], values="value")
        from_axis = np.linalg.norm(np.cross(local, axis), axis=1)
        expected = [0, 0, 2 * np.sin(angle / 2) * from_axis.mean(), 0.3 * np.linalg.norm(local, axis=1).mean()]
        np.testing.assert_allclose(values["all", "PVE"][:4], np.array(expected) * 1000, atol=0.01)
        np.testing.assert_allclose(values["all", "PVE"][4], 2000 * np.abs(local[:, 0]).mean(), atol=0.01)
        fits = values[[key for key in values if key[1].startswith("PA-")]]
        assert fits.iloc[:4].to_numpy().max() < 0.01
        assert fits.iloc[4].min() > 0.5  # no reflection
        for metric in ("PVE", "PA-PVE", "PA-MPJPE"):
            sides = values["left_hand", metric] + values["right_hand", metric]
            np.testing.assert_allclose(values["hand", metric], sides / 2, atol=1e-9)

    def test_two_persons_and_one_prediction(self, world: World) -> None:
        """F1 0.67; the person that is missed lowers hands and faces, unless a change of the protocol says no."""
        truth, made = world.crowd[:2], world.predictions("smplx", world.found)[[1]]
        results = {
            quirk: score(made, truth, catalogue.get(f"agora-official{quirk}"), world.models)
            for quirk in ("", "[missed_as_zero=false]")
        }
        with_it, without = results.values()
        assert with_it.value("all", "F1") == without.value("all", "F1") == 0.67
        for metric, normed in (("MVE", "NMVE"), ("MPJPE", "NMJE")):
            error = {
                part: value
                for part, m, value in with_it.errors[["part", "metric", "value"]].itertuples(index=False)
                if m == metric
            }
            body = round(error["body"], 1)
            parts = [error[part] for part in ("left_hand", "right_hand", "face")]
            for result, share in ((with_it, 0.5), (without, 1)):
                assert result.value("left_hand", metric) == round(share * error["left_hand"], 1)
                full = round(body + sum(round(share * value, 1) for value in parts) / 3, 1)
                assert result.value("full_body", metric) == full
                assert result.value("full_body", normed) == round(full / 0.67, 1)
                assert result.value("body", normed) == round(body / 0.67, 1)
