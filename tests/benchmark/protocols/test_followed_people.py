"""People followed through the world: errors that are known without computing them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.benchmark.protocols import catalogue, tracks
from ehps.benchmark.protocols.scoring import score
from ehps.body.models import BodyModels
from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata.core import HumanData
from tests.benchmark.protocols.films import FRAMES, Films, moved_world, noisy, write_films


@pytest.fixture(scope="module")
def films(models: BodyModels) -> Films:
    return write_films(models)


# -- answers that are known ----------------------------------------------------------------------------------


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
        (
            films.truth.with_columns({"meta/frame_id": np.where(np.arange(len(frame)) == 1, np.nan, frame)}),
            "no numbers of frames",
        ),
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
