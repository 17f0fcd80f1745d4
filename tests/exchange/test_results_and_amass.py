"""SMPLer-X results and AMASS sequences: read by emulations of their readers, and back again without a difference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import smplx
import torch

from ehps.body.models import BodyModels
from ehps.body.variants import params_of
from ehps.errors import DataError, PassportError, UsageError
from ehps.exchange import amass, forms, smpler_x_results
from ehps.exchange.forms import Sources, Stated
from ehps.humandata import HumanData
from tests.exchange.sequences import moving

PARAMETERS = ("betas", "global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "transl")


def virtual(hd: HumanData) -> HumanData:
    return HumanData({name: hd[name] for name in hd.columns}, passport=hd.passport.with_(focal="virtual"))


def test_results_of_smpler_x_come_back_as_they_were(models: BodyModels, tmp_path: Path) -> None:
    hd = virtual(moving(models))
    done = smpler_x_results.write(hd, tmp_path / "out", Sources(body_models=models))
    assert done.left_out == ["columns: meta/track_id, meta/time, meta/height, meta/width"]
    back, form = forms.read(tmp_path / "out", None, Stated())
    assert form.name == "smpler-x-results"
    for name in (*PARAMETERS, "expression"):
        np.testing.assert_array_equal(back[f"smplx/{name}"], hd[f"smplx/{name}"])
    for name in ("image_path", "bbox_xywh", "meta/focal_length", "meta/principal_point", "meta/frame_id"):
        assert (np.asarray(back[name]) == np.asarray(hd[name])).all(), name
    assert back.passport.flat_hand_mean is False
    assert back.passport.focal == "virtual"
    assert not back.validate()


def test_the_overlay_script_of_smpler_x_can_read_them(models: BodyModels, tmp_path: Path) -> None:
    hd = virtual(moving(models, frames=1, people=1))
    smpler_x_results.write(hd, tmp_path, Sources(body_models=models))
    with np.load(tmp_path / "smplx" / "00000_0.npz") as members:
        assert {name: members[name].shape for name in members.files} == smpler_x_results.SHAPES
        body = smplx.create(str(models.folder), "smplx", ext="npz", use_pca=False, flat_hand_mean=False, num_betas=10)
        made = body(**{name: torch.from_numpy(members[name]).reshape(1, -1) for name in members.files})
    meta = json.loads((tmp_path / "meta" / "00000_0.json").read_text())
    assert np.abs(made.vertices[0].detach().numpy() - models.mesh(params_of(hd))[0]).max() < 1e-5
    seen = made.joints[0, 0].detach().numpy()
    pixel = seen[:2] / seen[2] * meta["focal"] + meta["princpt"]
    own = models.joints(params_of(hd))[0, 0]
    np.testing.assert_allclose(pixel, own[:2] / own[2] * 300 + [160, 120], atol=1e-2)


def test_damaged_results_are_named(models: BodyModels, tmp_path: Path) -> None:
    smpler_x_results.write(virtual(moving(models, frames=2)), tmp_path, Sources(body_models=models))
    with pytest.raises(UsageError, match="results already"):
        smpler_x_results.write(virtual(moving(models, frames=2)), tmp_path, Sources(body_models=models))
    person = tmp_path / "smplx" / "00001_1.npz"
    person.write_bytes(person.read_bytes()[:200])
    with pytest.raises(DataError, match=r"00001_1\.npz: is not an npz file"):
        smpler_x_results.read(tmp_path, Stated())
    person.unlink()
    (tmp_path / "meta" / "00001_0.json").write_text("{}")
    with pytest.raises(DataError, match=r"00001_0\.json"):
        smpler_x_results.read(tmp_path, Stated())


def test_a_sequence_stands_upright_in_the_add_on_and_comes_back(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models)
    done = amass.write(hd, tmp_path / "out", Sources(body_models=models))
    assert [path.name for path in done.files] == ["clip_1.npz", "clip_2.npz"]
    assert done.left_out[0].startswith("columns: ")
    rows = np.flatnonzero(np.asarray(hd["meta/track_id"]) == 1)
    with np.load(done.files[0]) as members:  # as the add-on and aitviewer read it
        assert str(members["gender"]) == "neutral"
        assert float(members["mocap_frame_rate"]) == pytest.approx(25)
        poses, transl, betas = members["poses"], members["trans"], members["betas"]
    assert poses.shape == (len(rows), 165)
    body = smplx.create(
        str(models.folder), "smplx", ext="npz", use_pca=False, flat_hand_mean=True, num_betas=10, batch_size=len(rows)
    )
    flat = torch.from_numpy(poses).float()
    made = body(
        betas=torch.from_numpy(betas).float()[None].repeat(len(rows), 1),
        global_orient=flat[:, :3],
        body_pose=flat[:, 3:66],
        jaw_pose=flat[:, 66:69],
        leye_pose=flat[:, 69:72],
        reye_pose=flat[:, 72:75],
        left_hand_pose=flat[:, 75:120],
        right_hand_pose=flat[:, 120:165],
        transl=torch.from_numpy(transl).float(),
    )
    own = params_of(hd[rows])
    expected = models.mesh(own.with_(expression=np.zeros((len(rows), 10))))
    turned = np.stack([expected[..., 0], expected[..., 2], -expected[..., 1]], axis=-1)
    assert np.abs(made.vertices.detach().numpy() - turned).max() < 1e-4
    head, foot = made.joints[0, 15], made.joints[0, 7]
    assert head[2] > foot[2] + 1

    back, form = forms.read(tmp_path / "out", None, Stated(body_models=models))
    assert form.name == "amass"
    first = back[np.flatnonzero(np.asarray(back["meta/sequence_name"]) == "clip_1")]
    again = models.mesh(params_of(first))
    assert np.abs(again - expected).max() < 1e-4
    for name in ("betas", "body_pose", "jaw_pose"):
        np.testing.assert_allclose(first[f"smplx/{name}"], hd[f"smplx/{name}"][rows], atol=1e-6)
    np.testing.assert_allclose(first["meta/time"], np.asarray(hd["meta/time"])[rows])


def test_a_stranger_s_sequence_must_say_its_frame_gender_and_rate(models: BodyModels, tmp_path: Path) -> None:
    path = tmp_path / "walk.npz"
    content = {"poses": np.zeros((4, 156)), "trans": np.zeros((4, 3)), "betas": np.zeros(16)}
    np.savez(path, **content)
    with pytest.raises(UsageError, match="--gender"):
        forms.read(path, None, Stated())
    np.savez(path, **content, gender=np.array(b"female"))
    with pytest.raises(UsageError, match="--fps"):
        forms.read(path, None, Stated())
    np.savez(path, **content, gender=np.array("female"), mocap_framerate=120.0)
    with pytest.raises(UsageError, match="--frame opencv-camera or z-up"):
        forms.read(path, None, Stated())
    hd, _ = forms.read(path, None, Stated(frame="opencv-camera", num_betas=10))
    assert hd.body_model == "smplh"
    assert hd["smplh/betas"].shape == (4, 10)
    assert hd.passport.flat_hand_mean is True
    np.testing.assert_allclose(hd["meta/time"], np.arange(4) / 120)
    with pytest.raises(DataError, match="said to be smplx"):
        forms.read(path, None, Stated(model_type="smplx", frame="opencv-camera"))


@pytest.mark.parametrize("form", ["amass", "obj", "smpler-x-results", "bvh"])
def test_rows_without_bodies_are_not_written_as_bodies(form: str, models: BodyModels, tmp_path: Path) -> None:
    hd = virtual(moving(models, frames=2))
    transl = np.array(hd["smplx/transl"])
    transl[1] = np.nan
    broken = hd.with_columns({"smplx/transl": transl})
    bare = hd.without([name for name in hd.columns if name.startswith("smplx/")])
    for wrong, said in (
        (broken, "the first of which is 1"),
        (hd[:0], "no rows"),
        (bare, "has no .*(parameters|bodies)"),
    ):
        with pytest.raises(DataError, match=said):
            forms.write(wrong, form, tmp_path / "out", Sources(body_models=models))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "said", [{"gender": "male"}, {"frame": "opencv-camera"}, {"fps": 7.0}, {"flat_hand_mean": False}]
)
def test_what_contradicts_a_file_or_changes_nothing_is_refused(
    said: dict[str, object], models: BodyModels, tmp_path: Path
) -> None:
    forms.write(moving(models, frames=2), "amass", tmp_path / "amass", Sources(body_models=models))
    forms.write(
        virtual(moving(models, frames=2)), "smpler-x-results", tmp_path / "results", Sources(body_models=models)
    )
    for name in ("amass", "results"):
        with pytest.raises(UsageError, match=f"--{next(iter(said)).replace('_', '-')}"):
            forms.read(tmp_path / name, None, Stated(**said, body_models=models))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--fps would change nothing"):
        forms.write(moving(models), "obj", tmp_path / "obj", Sources(body_models=models, fps=25))


def test_files_that_are_no_sequence_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, poses=np.array([{"a": 1}], dtype=object), trans=np.zeros((1, 3)), betas=np.zeros(10))
    with pytest.raises(DataError, match="poses that are no finite numbers"):
        forms.read(path, "amass", Stated())
    np.savez(path, poses=np.zeros((2, 30)), trans=np.zeros((2, 3)), betas=np.zeros(10))
    with pytest.raises(DataError, match="of no body model"):
        forms.read(path, None, Stated())
    np.savez(path, image=np.zeros(3))
    with pytest.raises(UsageError, match="no form that files tell"):
        forms.read(path, None, Stated())
    with pytest.raises(UsageError, match="only written"):
        forms.read(path, "gltf", Stated())


def test_images_of_one_number_stay_apart(models: BodyModels, tmp_path: Path) -> None:
    hd = virtual(moving(models, frames=2, people=1)).with_columns({"meta/frame_id": np.array([1, 1])})
    hd = hd.with_columns({"image_path": ["a/000001.jpg", "b/000001.jpg"]})
    done = smpler_x_results.write(hd, tmp_path, Sources(body_models=models))
    assert any("numbers of frames" in sentence for sentence in done.left_out)
    back = smpler_x_results.read(tmp_path, Stated())
    assert back["image_path"].tolist() == hd["image_path"].tolist()
    np.testing.assert_array_equal(back["smplx/transl"], hd["smplx/transl"])


@pytest.mark.parametrize("form", ["smpler-x-results", "agora"])
def test_shapes_of_the_locked_head_are_not_taken_for_others(form: str, models: BodyModels, tmp_path: Path) -> None:
    hd = virtual(moving(models, frames=1))
    hd.passport = hd.passport.with_(body_model_version="locked_head")
    with pytest.raises(PassportError, match="locked-head release"):
        forms.write(hd, form, tmp_path / "out", Sources(body_models=models))


def test_shapes_of_a_sequence_are_one_or_one_a_frame(tmp_path: Path) -> None:
    members = {"poses": np.zeros((3, 72)), "trans": np.zeros((3, 3)), "gender": np.array("male", object), "fps": 30}
    stated = Stated(frame="opencv-camera")
    each = np.arange(30.0).reshape(3, 10)
    for betas, expected in ((each, each), (each[:1], each[[0, 0, 0]]), (each[0], each[[0, 0, 0]])):
        np.savez(tmp_path / "a.npz", betas=betas, **members)
        np.testing.assert_array_equal(amass.read(tmp_path / "a.npz", stated)["smpl/betas"], expected)
    np.savez(tmp_path / "a.npz", betas=each[:2], **members)
    with pytest.raises(DataError, match="neither one shape"):
        amass.read(tmp_path / "a.npz", stated)
    np.savez(tmp_path / "a.npz", betas=each, **members | {"fps": -30})
    with pytest.raises(DataError, match="-30 frames a second"):
        amass.read(tmp_path / "a.npz", stated)


def test_who_comes_later_and_who_is_nobody_is_told(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=3)  # the second person comes one image later
    done = amass.write(hd, tmp_path / "later", Sources(body_models=models))
    assert any("when 1 people come" in sentence for sentence in done.left_out)
    hd = hd.with_columns({"meta/track_id": np.where(np.asarray(hd["meta/track_id"]) == 2, -1, 1)})
    done = amass.write(hd, tmp_path / "nobody", Sources(body_models=models))
    lengths = {path.name: len(np.load(path)["trans"]) for path in done.files}
    assert lengths == {"clip_1.npz": 3, "clip_row_2.npz": 1, "clip_row_4.npz": 1}
