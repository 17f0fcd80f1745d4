"""EMDB 1 and EMDB 2 against a plain second computation, against answers that are known, and from a raw tree on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

from ehps.benchmark.protocols import catalogue, tracks
from ehps.benchmark.protocols.scoring import Score, score
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.rigid_motion import to_camera
from ehps.cli import main
from ehps.converters.pipeline import convert
from ehps.demo.people import motion
from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.benchmark.protocols import reference, reference_emdb
from tests.benchmark.protocols.reference import Numbers
from tests.raw import emdb

FRAMES = {"P1_a": 17, "P2_b": 7}
CHUNK = 10  # in place of 100
GENDER = {"P1_a": "female", "P2_b": "neutral"}


@dataclass(frozen=True)
class Films:
    """Two people who walk before a camera that moves, their rows in no order, and what was predicted of them.

    Attributes
    ----------
    cameras : (N, 4, 4) predicted world to camera of the rows of predictions.
    """

    truth: HumanData
    predictions: dict[str, HumanData]
    cameras: np.ndarray
    models: BodyModels
    bodies: reference.Bodies


def columns(params: BodyParams) -> dict[str, np.ndarray]:
    return {f"{params.model_type}/{name}": value for name, value in params.arrays().items()}


def cameras(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 4, 4) extrinsics of a hand-held camera."""
    time = np.arange(n) / 30
    out = np.tile(np.eye(4), (n, 1, 1))
    angles = np.column_stack([20 * time, 5 * np.sin(3 * time), 2 * time]) + rng.normal(0, 10, 3)
    out[:, :3, :3] = Rotation.from_euler("yxz", angles, degrees=True).as_matrix()
    out[:, :3, 3] = np.column_stack([0.3 * time, 0.1 * np.sin(time), 4 - 0.2 * time]) + rng.normal(0, 0.2, 3)
    return out


def noisy(values: np.ndarray, by: float, rng: np.random.Generator) -> np.ndarray:
    return values + rng.normal(0, by, values.shape)


@pytest.fixture(scope="module")
def films(models: BodyModels) -> Films:
    rng = np.random.default_rng(4)
    true: list[dict[str, np.ndarray]] = []
    for name, n in FRAMES.items():
        params = motion(n, rng, style="walking", model_type="smpl", gender=GENDER[name], frames_between_poses=60)
        speed = np.where(np.arange(n) % 6 < 3, 0.05, 1.5)  # metres a second: two thirds of the steps are none
        walk = np.column_stack([np.cumsum(speed) / 30, np.full(n, 0.9), 0.01 * np.arange(n)])
        params, shot = params.with_(transl=walk), cameras(n, rng)
        seen = to_camera(params, shot[:, :3, :3], shot[:, :3, 3], models.rest_pelvis(params))
        frame = np.sort(rng.choice(np.arange(n + 10), n, replace=False))
        names = {"meta/RT": shot, "meta/frame_id": frame, "meta/sequence_name": np.full(n, name, object)}
        true.append(columns(seen) | names)
    held = {name: np.concatenate([one[name] for one in true]) for name in true[0]}
    names = held.pop("meta/sequence_name")
    n = len(names)
    order = rng.permutation(n)
    held = {name: value[order] for name, value in held.items()}
    names = names[order].tolist()
    paths = [f"{name}/{frame:05d}.jpg" for name, frame in zip(names, held["meta/frame_id"].tolist(), strict=True)]
    truth = HumanData(
        {
            **held,
            "image_path": paths,
            "meta/sequence_name": names,
            "meta/gender": [GENDER[name] for name in names],
            "meta/emdb1": np.ones(n, bool),
            "meta/emdb2": np.ones(n, bool),
        },
        passport=Passport(body_model="smpl", gender="per-instance", num_betas=10, dataset="emdb"),
    )
    rows = rng.permutation(n)
    common = {"image_path": [paths[row] for row in rows], "meta/truth_row": rows, "meta/gender": ["neutral"] * n}
    pose, turned = (noisy(held[f"smpl/{part}"][rows], 0.1, rng) for part in ("body_pose", "global_orient"))
    betas, transl = noisy(held["smpl/betas"][rows], 0.3, rng), noisy(held["smpl/transl"][rows], 0.02, rng)
    shared = {"global_orient": turned, "betas": betas, "transl": transl}
    smpl = {"body_pose": pose, **shared}
    smplx = {"body_pose": pose[:, :21], "expression": np.zeros((n, 10)), **shared}
    smplx |= {name: np.zeros((n, 3)) for name in ("jaw_pose", "leye_pose", "reye_pose")}
    smplx |= {f"{side}_hand_pose": noisy(np.zeros((n, 15, 3)), 0.1, rng) for side in ("left", "right")}
    made = {
        kind: HumanData(
            {**common, **{f"{kind}/{name}": value for name, value in values.items()}},
            passport=Passport(body_model=kind, gender="neutral", flat_hand_mean=False, num_betas=10, focal="image"),
        )
        for kind, values in (("smpl", smpl), ("smplx", smplx))
    }
    own = held["meta/RT"][rows].copy()
    own[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.02, (n, 3))).as_matrix() @ own[:, :3, :3]
    own[:, :3, 3] = noisy(own[:, :3, 3], 0.01, rng)
    return Films(truth, made, own, models, reference.Bodies(models))


def compare(result: Score, rows: dict[int, Numbers], table: Numbers) -> None:
    """Instances and sets are the same, and none is absent on one side."""
    assert not result.not_computed
    mine = {(e.truth_row, e.part, e.metric): e.value for e in result.errors.itertuples()}
    theirs = {(row, *key): value for row, numbers in rows.items() for key, value in numbers.items()}
    assert mine.keys() == theirs.keys()
    lines = {(line["part"], line["metric"]): line["value"] for line in result.metrics}
    assert lines.keys() == table.keys()
    for one, other in ((mine, theirs), (lines, table)):
        far = {key: (one[key], other[key]) for key in other if abs(one[key] - other[key]) > tolerance(key[-1])}
        assert not far


def tolerance(metric: str) -> float:
    """Jitter magnifies what float32 rounds by 27,000."""
    return {"Jitter": 0.1, "MPJAE": 1e-3, "PA-MPJAE": 1e-3, "RTE": 1e-3}.get(metric, 0.02)


# -- a second computation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", ["smpl", "smplx"])
def test_emdb1_before_the_camera(films: Films, model_type: str) -> None:
    made = films.predictions[model_type]
    rows, table = reference_emdb.emdb1(films.truth, made, films.bodies, model_type)
    result = score(made, films.truth, catalogue.get("emdb1"), films.models)
    compare(result, rows, table)
    assert result.metrics[-1]["metric"] == "Jitter"


@pytest.mark.parametrize("model_type", ["smpl", "smplx"])
@pytest.mark.parametrize("placed", ["own cameras", "world", "true cameras"])
def test_emdb2_in_the_world(films: Films, model_type: str, placed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, spec, cameras = films.predictions[model_type], "emdb2", films.cameras
    if placed == "own cameras":
        made = made.with_columns({"meta/RT": cameras})
    elif placed == "true cameras":
        spec, cameras = "emdb2[extrinsics=true]", films.truth["meta/RT"][made["meta/truth_row"]]
    else:
        made, cameras = made[:], None
        made.passport = made.passport.with_(frame="world")
    monkeypatch.setattr(tracks, "CHUNK", CHUNK)
    rows, table = reference_emdb.emdb2(films.truth, made, films.bodies, model_type, cameras, CHUNK)
    result = score(made, films.truth, catalogue.get(spec), films.models, batch_size=32)
    compare(result, rows, table)
    lines = {line["metric"]: line for line in result.metrics}
    n = len(films.truth)
    assert (lines["WA-MPJPE"]["n"], lines["Jitter"]["n"], lines["Jitter"]["skipped"]) == (n, n - 6, 6)
    assert 0 < lines["foot-sliding"]["n"] < n - 2


# -- answers that are known ----------------------------------------------------------------------------------


def moved_world(films: Films) -> HumanData:
    """The truth as a prediction in a world that is turned and lies elsewhere."""
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix(), (10, -4, 3)
    own = films.truth["meta/RT"] @ np.linalg.inv(move)
    return films.truth.with_columns({"meta/RT": own, "meta/truth_row": np.arange(len(films.truth))})


def test_a_world_that_is_turned_and_lies_elsewhere_has_no_error(films: Films) -> None:
    result = score(moved_world(films), films.truth, catalogue.get("emdb2"), films.models)
    assert max(result.value("body", metric) for metric in ("WA-MPJPE", "W-MPJPE", "RTE")) < 0.01
    assert result.value("body", "foot-sliding") < 10  # it moves as the truth, whose feet stand below 1 cm a frame
    assert result.value("body", "Jitter") > 1


def test_bodies_of_the_truth_have_no_error_before_the_camera_wherever_they_stand(films: Films) -> None:
    made = moved_world(films)
    moved = noisy(films.truth["smpl/transl"], 2.0, np.random.default_rng(1))
    results = [
        score(one, films.truth, catalogue.get("emdb1"), films.models)
        for one in (made, made.with_columns({"smpl/transl": moved}))
    ]
    for result in results:
        assert max(line["value"] for line in result.metrics if line["metric"] != "Jitter") < 0.01
    assert results[0].value("body", "Jitter") == pytest.approx(results[1].value("body", "Jitter"), rel=1e-3)


def test_pa_pve_follows_the_fit_of_the_joints_unless_it_is_changed(films: Films) -> None:
    """Other shapes: the best fit of the mesh is better for the mesh than that of the joints."""
    made = films.predictions["smpl"]
    by_joints, own = (
        score(made, films.truth, catalogue.get(spec), films.models).value("all", "PA-PVE")
        for spec in ("emdb1", "emdb1[mesh_fit=own]")
    )
    assert own < by_joints - 0.1


def test_chunks_of_100_frames_are_laid_on_the_truth_one_by_one() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1, (230, 24, 3))
    turn = Rotation.from_rotvec([0.5, 1.0, -0.2]).as_matrix()
    made = true.copy()
    made[100:] = 1.3 * made[100:] @ turn.T + [5, 6, 7]
    for first in (False, True):
        assert tracks.chunk_errors(made, true, "with-scale", first=first).max() < 1e-9
    made[150:] += [0, 0.2, 0]  # half of the second chunk, and all of the third
    whole, start = (tracks.chunk_errors(made, true, "with-scale", first=first) for first in (False, True))
    assert whole[100:200].min() > 0.01
    assert max(whole[:100].max(), whole[200:].max()) < 1e-9
    np.testing.assert_allclose(start[150:200], 0.2 / 1.3)
    assert max(start[:150].max(), start[200:].max()) < 1e-9


def test_a_path_is_fitted_without_scale_and_measured_by_its_length() -> None:
    line = np.outer(np.arange(5.0), [1, 0, 0])
    turn = Rotation.from_rotvec([0.1, 2.0, 0.4]).as_matrix()
    np.testing.assert_allclose(tracks.path_errors(line @ turn.T + 3, line, "without-scale"), 0, atol=1e-9)
    twice = tracks.path_errors(2 * line, line, "without-scale")
    np.testing.assert_allclose(twice, np.array([2, 1, 0, 1, 2]) / 4, atol=1e-9)
    assert np.isnan(tracks.path_errors(line, np.ones((5, 3)), "without-scale")).all()


def test_jitter_is_the_third_derivative() -> None:
    time = np.arange(6) / 30
    joints = np.zeros((6, 24, 3))
    joints[:, :15, 1] = 4 * time[:, None] ** 3 + time[:, None] ** 2 - 7  # 24 m/s^3
    values = tracks.jitter(joints, 30, 24)
    assert np.isnan(values[:3]).all()
    np.testing.assert_allclose(values[3:], 24 * 15 / 24)
    assert np.isnan(tracks.jitter(joints[:3], 30, 24)).all()


def test_feet_slide_where_those_of_the_truth_stand() -> None:
    true, made = np.zeros((4, 2, 3)), np.zeros((4, 2, 3))
    true[:, 0, 0] = [0, 0.009, 0.03, 0.03]  # stands, goes, stands
    made[:, 0, 0] = [0, 0.02, 0.5, 0.53]
    made[:, 1, 2] = [0, 0.001, 0.002, 0.003]
    found = tracks.sliding(made, true)
    np.testing.assert_allclose(found[:, 0], [np.nan, 0.02, np.nan, 0.03], atol=1e-9)
    np.testing.assert_allclose(found[:, 1], [np.nan, 0.001, 0.001, 0.001], atol=1e-9)


def test_only_sequences_of_the_part_are_tested(films: Films) -> None:
    flags = np.array([name == "P2_b" for name in films.truth["meta/sequence_name"].tolist()])
    truth = films.truth.with_columns({"meta/emdb1": flags, "meta/emdb2": ~flags})
    result = score(moved_world(films), truth, catalogue.get("emdb1"), films.models)
    assert set(result.errors["sequence"]) == {"P2_b"}
    assert result.remarks == ["the file has 1 of the 17 videos of the test set: no number to compare with others'"]
    result = score(moved_world(films), truth, catalogue.get("emdb2"), films.models)
    assert set(result.errors["sequence"]) == {"P1_a"}


def test_every_other_frame_is_half_as_many_a_second(films: Films) -> None:
    spec = 'emdb2[metrics=["Jitter"],step=2,step_per=sequence_name]'
    order = np.lexsort((films.truth["meta/frame_id"], np.array(films.truth["meta/sequence_name"].tolist())))
    truth, made = films.truth[order], moved_world(films)[order].with_columns({"meta/truth_row": np.arange(len(order))})
    tested = score(made, truth, catalogue.get(spec), films.models)
    rows = np.concatenate([np.arange(0, 17, 2), np.arange(17, 24, 2)])
    again = score(
        made[rows].with_columns({"meta/truth_row": np.arange(len(rows))}),
        truth[rows],
        catalogue.get('emdb2[metrics=["Jitter"],fps=15.0]'),
        films.models,
    )
    assert tested.value("body", "Jitter") == pytest.approx(again.value("body", "Jitter"))


# -- what is refused -----------------------------------------------------------------------------------------


def declared(hd: HumanData, **facts: object) -> HumanData:
    out = hd[:]
    out.passport = hd.passport.with_(**facts)
    return out


def test_predictions_before_the_camera_need_cameras_of_their_own(films: Films) -> None:
    made, emdb2 = films.predictions["smpl"], catalogue.get("emdb2")
    with pytest.raises(DataError, match=r"no meta/RT: where they are in the world is not predicted.*extrinsics=true"):
        score(made, films.truth, emdb2, films.models)
    copied = made.with_columns({"meta/RT": films.truth["meta/RT"][made["meta/truth_row"]].astype(np.float32)})
    with pytest.raises(DataError, match="the motion of its camera is not predicted"):
        score(copied, films.truth, emdb2, films.models)
    score(copied, films.truth, catalogue.get("emdb2[extrinsics=true]"), films.models)
    with pytest.raises(DataError, match="does not hold rotations"):
        score(made.with_columns({"meta/RT": 2 * films.cameras}), films.truth, emdb2, films.models)


@pytest.mark.parametrize(
    ("spec", "facts", "words"),
    [
        ("emdb2", {"frame": "unknown"}, "does not say in which frame"),
        ("emdb2", {"focal": "virtual"}, "virtual cameras"),
        ("emdb2[extrinsics=true]", {"focal": "virtual"}, "virtual cameras"),
        ("emdb2[extrinsics=true]", {"frame": "world"}, "which the truth's extrinsics do not start from"),
    ],
)
def test_bodies_without_a_place_in_the_world_are_refused(
    films: Films, spec: str, facts: dict[str, object], words: str
) -> None:
    made = declared(films.predictions["smpl"].with_columns({"meta/RT": films.cameras}), **facts)
    with pytest.raises((DataError, PassportError), match=words):
        score(made, films.truth, catalogue.get(spec), films.models)


@pytest.mark.parametrize("name", ["emdb1", "emdb2"])
def test_frames_must_be_known_to_follow_each_other(films: Films, name: str) -> None:
    made, protocol = moved_world(films), catalogue.get(name)
    frame = np.asarray(films.truth["meta/frame_id"])
    for truth, words in (
        (films.truth.without(["meta/frame_id"]), "no numbers of frames"),
        (films.truth.with_columns({"meta/frame_id": [str(one) for one in frame]}), "no numbers of frames"),
        (films.truth.with_columns({"meta/frame_id": frame // 2}), "a person twice in one frame"),
        (declared(films.truth, sampling=5), r"every 5th frame; emdb. follows people frame by frame.*step=5"),
        (declared(films.truth, sampling=0), "does not say how many frames"),
    ):
        with pytest.raises(DataError, match=words):
            score(made, truth, protocol, films.models)


def test_people_of_one_video_are_followed_each_by_their_track(films: Films) -> None:
    """Both people in one video, in the same frames: tracks tell them apart."""
    names = films.truth["meta/sequence_name"].tolist()
    number = np.asarray(films.truth["meta/frame_id"])
    frame = np.zeros(len(names), int)
    for name in FRAMES:
        own = np.flatnonzero(np.array(names) == name)
        frame[own[np.argsort(number[own])]] = np.arange(len(own))
    truth = films.truth.with_columns({"meta/sequence_name": ["one"] * len(names), "meta/frame_id": frame})
    made, protocol = moved_world(films), catalogue.get("emdb2")
    with pytest.raises(DataError, match="a person twice in one frame"):
        score(made, truth, protocol, films.models)
    together = score(made, truth.with_columns({"meta/track_id": names}), protocol, films.models)
    apart = score(made, films.truth, protocol, films.models)
    assert together.value("body", "Jitter") == pytest.approx(apart.value("body", "Jitter"))


@pytest.mark.parametrize(
    "spec",
    [
        'emdb1[metrics=["WA-MPJPE"]]',
        'emdb2[metrics=["MPJPE"]]',
        "emdb1[frame=world]",
        "emdb1[extrinsics=true]",
        "emdb2[body=smplx]",
        "emdb2[prediction=regressors]",
        "emdb2[joints=j14]",
        "emdb2[visibility=inside-image]",
        "emdb2[fps=0]",
        "emdb2[group_by=scene]",
        "emdb2[box_ratio=1.1]",
        "egobody-ego[mesh_fit=joints]",
    ],
)
def test_what_has_no_meaning_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        catalogue.get(spec)


# -- from a raw tree on ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> emdb.Tree:
    return emdb.write_fixture(tmp_path_factory.mktemp("raw") / "EMDB", body_models, np.random.default_rng(7))


def cli(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_converted_tree_is_scored_in_both_parts(tree: emdb.Tree, tmp_path: Path, body_models: Path) -> None:
    """Everybody as the annotation has them, half a metre to the right: PVE and MPJPE are 0, RTE too, and the jitter is
    that of the raw numbers in the world."""
    for part in ("emdb1", "emdb2"):
        path, out = tmp_path / f"{part}.h5", tmp_path / f"{part}_made.h5"
        convert("emdb", tree.root, out=path, body_models=body_models, split=part, progress=False)
        truth = HumanData.open(path)
        shift = np.eye(4)
        shift[:3, 3] = 0.5, 0, 0
        made = {"meta/RT": truth["meta/RT"] @ shift, "meta/truth_row": np.arange(len(truth))}
        truth.with_columns(made).without(["meta/emdb1", "meta/emdb2"]).save(out)
        said = json.loads(
            cli("benchmark", "score", out, path, "--protocol", part, "--body-models", body_models, "--json")
        )
        found = {line["metric"]: line for line in said}
        zero = {"emdb1": ("PVE", "PA-PVE", "MPJPE", "PA-MPJPE"), "emdb2": ("WA-MPJPE", "W-MPJPE", "RTE")}[part]
        assert max(found[metric]["value"] for metric in zero) < 0.02
        assert {found[metric]["n"] for metric in zero} == {len(emdb.ROWS[part])}
        if part == "emdb2":
            assert found["Jitter"]["value"] == pytest.approx(world_jitter(tree), abs=0.05)


def world_jitter(tree: emdb.Tree) -> float:
    """Of the raw sequences that are in emdb2 and have more than three frames, in 10 m/s^3."""
    joints = []
    for frame in range(4):
        extrinsics = emdb.read(tree.root, emdb.STAIRS)["camera"]["extrinsics"][frame]
        seen = tree.people[emdb.STAIRS].joints[frame, :24]
        joints.append((seen - extrinsics[:3, 3]) @ extrinsics[:3, :3])
    change = joints[3] - 3 * joints[2] + 3 * joints[1] - joints[0]
    return float(np.linalg.norm(change, axis=1).mean() * 30**3 / 10)


def test_both_are_listed(body_models: Path) -> None:
    listed = cli("benchmark", "protocols")
    assert "emdb1" in listed
    assert "emdb2" in listed
    assert "14 joints" in cli("benchmark", "protocols", "emdb1")
