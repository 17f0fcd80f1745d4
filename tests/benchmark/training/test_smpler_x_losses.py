"""SMPLer-X and SMPLest-X: every term against plain loops, what is masked, mirrored boxes, and small trainings."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ehps.benchmark import models
from ehps.benchmark.models.cards import ModelCard
from ehps.benchmark.models.outputs import Prediction
from ehps.benchmark.models.smpler_x import HAND_GRID, SmplerX, in_crop
from ehps.benchmark.models.smplest_x import SmplestX
from ehps.benchmark.models.vit import Size
from ehps.benchmark.training import checkpoints, crops, rotations_6d, smpler_x_losses, smplest_x_losses, trainer
from ehps.benchmark.training.loss_terms import parameters, stack
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.objectives import objective
from ehps.benchmark.training.samples import CropView, HumanDataset, collate
from ehps.benchmark.training.smplx_joints import Skeleton
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.supervised_joints import FACE, LEFT_HAND, RIGHT_HAND, ROOT_OF, SUPERVISED
from ehps.benchmark.training.targets import SLICES, Targets, make
from ehps.body.models import BodyModels
from ehps.errors import SettingsError
from tests.benchmark.training import plain_losses
from tests.drawn_people import SIZE

SMALL = Size(width=16, depth=1, heads=2, drop_path=0.5)


@pytest.fixture(scope="module")
def skeleton(models_: BodyModels) -> Skeleton:
    return Skeleton(models_)


@pytest.fixture(scope="module")
def packed(few: SetSpec, models_: BodyModels) -> torch.Tensor:
    """Four augmented people: the second without left hand and face, the third with stored points alone, the last
    without shape."""
    data = HumanDataset(few.data, few.images, CropView((256, 192), augment=True), models=models_, seed=12)
    out = collate([data[i] for i in range(4)])["target"]
    assert out[:, SLICES["flip"]].flatten().tolist() == [1, 0, 0, 1]
    out[1, SLICES["has_left_hand"]] = 0
    out[1, SLICES["has_face"]] = 0
    out[2, SLICES["has_camera"]] = 0
    points = torch.rand(144, 3, generator=torch.Generator().manual_seed(1)) * 60 + 80
    points[30:40, 2] = 0
    out[2, SLICES["points2d"]] = points.flatten()
    out[3, SLICES["has_shape"]] = 0
    return out


def near(truth: Targets, *, seed: int = 0) -> Prediction:
    """A prediction that is wrong in everything, with boxes that hold a part of the hands."""
    g = torch.Generator().manual_seed(seed)
    n = len(truth.betas)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(n, *shape, generator=g)

    R = truth.rotations @ rotations_6d.from_6d(torch.tensor((1.0, 0, 0, 1, 0, 0)) + 0.1 * some(53, 6))
    extras = {"joint_img": some(65, 3) + 8, "face_bbox": some(4)}
    for name, part in (("left_hand", LEFT_HAND), ("right_hand", RIGHT_HAND)):
        middle = truth.points[:, SUPERVISED[part]].nan_to_num().mean(1) * 2
        extras[f"{name}_bbox"] = torch.cat((middle - 30, middle + 25), 1) + some(4)
        extras[f"{name}_joint_img"] = some(20, 3) + 8
        extras[f"{name}_root"] = rotations_6d.from_6d(some(6))
    for name in ("left_hand", "right_hand", "face"):
        extras |= {f"{name}_bbox_{what}": some(2) + 6 for what in ("center", "size")}
    return Prediction(
        R[:, 0],
        R[:, 1:22],
        R[:, 22:37],
        R[:, 37:52],
        R[:, 52],
        truth.betas + 0.3 * some(10),
        truth.expression + 0.3 * some(10),
        torch.tensor((0.0, 0.3, 40.0)) + 0.1 * some(3),
        extras,
    )


def arrays(out: Prediction, truth: Targets, skeleton: Skeleton) -> tuple[dict, dict, np.ndarray]:
    said = {"rotations": stack(out), "betas": out.betas, "expression": out.expression, "cam_trans": out.cam_trans}
    as_float = {name: value.double().numpy() for name, value in {**said, **out.extras}.items()}
    true = {field.name: getattr(truth, field.name).double().numpy() for field in fields(truth)}
    return as_float, true, skeleton(parameters(out)).double().numpy()


def test_the_joints_are_those_of_the_list() -> None:
    assert SUPERVISED[FACE][4:].tolist() == list(range(76, 144))
    assert sorted(SUPERVISED[FACE][:4].tolist()) == [15, 22, 56, 57]
    assert SUPERVISED[: FACE.start].tolist() == plain_losses.ORDER[:65]
    assert SUPERVISED[ROOT_OF].tolist() == plain_losses.ROOTS


@pytest.mark.parametrize(("form", "depth"), [("axis-angle", "wrist"), ("matrix", "pelvis")])
def test_each_term_of_smpler_x_is_that_of_plain_loops(
    packed: torch.Tensor, skeleton: Skeleton, form: str, depth: str
) -> None:
    truth = make(packed, skeleton)
    out = near(truth)
    terms = smpler_x_losses.losses(out, truth, skeleton, LossWeights(rotation_form=form, hand_depth=depth))
    expected = plain_losses.smpler_x(*arrays(out, truth, skeleton), form, depth)
    assert list(terms) == list(models.card("smpler_x_s").losses) == list(expected)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected, rel=1e-4)
    assert all(value > 0 for value in expected.values())
    assert expected["model_image_points"] < expected["image_points"]  # not of stored points


def test_each_term_of_smplest_x_is_that_of_plain_loops(packed: torch.Tensor, skeleton: Skeleton) -> None:
    truth = make(packed, skeleton)
    out = near(truth)
    terms = smplest_x_losses.losses(out, truth, skeleton, LossWeights())
    expected = plain_losses.smplest_x(*arrays(out, truth, skeleton))
    assert set(terms) == set(models.card("smplest_x_h").losses) == set(expected)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["smpler_x_h", "smplest_x_h"])
def test_a_card_has_the_weights_that_a_training_has(name: str) -> None:
    card = models.card(name)
    weights = LossWeights().of(name)
    assert weights.keys() == card.losses.keys() | set(card.loss_words)
    assert {term: weights[term] for term in card.losses} == card.losses


def test_hands_outside_their_boxes_and_missing_ones_are_not_compared(packed: torch.Tensor, skeleton: Skeleton) -> None:
    truth = make(packed, skeleton)
    out = near(truth)
    out.extras["right_hand_bbox"] = torch.full((4, 4), -900.0) + torch.tensor((0.0, 0, 1e-9, 1e-9))
    out.extras["left_hand_bbox"] = out.extras["left_hand_bbox"].requires_grad_()
    terms = smpler_x_losses.losses(out, truth, skeleton, LossWeights())
    other = near(truth)
    other.extras |= {name: out.extras[name] for name in ("left_hand_bbox", "right_hand_bbox")}
    other.extras["right_hand_joint_img"] = out.extras["right_hand_joint_img"] + 5
    other.extras["left_hand_joint_img"] = out.extras["left_hand_joint_img"].clone()
    other.extras["left_hand_joint_img"][1] += 5  # the second row has no left hand
    again = smpler_x_losses.losses(other, truth, skeleton, LossWeights())
    assert terms["image_points"] == again["image_points"]
    assert all(torch.isfinite(value) for value in terms.values())
    assert not terms["image_points"].requires_grad  # boxes are learnt from boxes alone
    rows = torch.arange(4) == 1
    lonely = Targets(**{f.name: getattr(truth, f.name)[rows] for f in fields(truth)})
    assert smpler_x_losses.losses(near(lonely), lonely, skeleton, LossWeights())["left_hand_box"] == 0


def test_the_projection_may_train_the_camera_alone(packed: torch.Tensor, skeleton: Skeleton) -> None:
    truth = make(packed, skeleton)
    for word in ("everything", "camera"):
        out = near(truth)
        leaves = out.body_pose.requires_grad_(), out.cam_trans.requires_grad_()
        terms = smpler_x_losses.losses(out, truth, skeleton, LossWeights(projection_trains=word))
        pose, camera = torch.autograd.grad(terms["projection"], leaves, allow_unused=True)
        assert (pose is None) == (word == "camera")
        assert camera.abs().sum() > 0


def test_the_grid_of_a_hand_is_what_the_network_maps_back_from() -> None:
    g = torch.Generator().manual_seed(0)
    points = torch.rand(2, 2, 20, 3, generator=g) * HAND_GRID
    boxes = torch.tensor([[[20.0, 30, 60, 90], [100, 20, 130, 50]]]).repeat(2, 1, 1)  # pixels of 256 x 192
    back = smpler_x_losses.in_grid(in_crop(points, boxes)[:, 1, :, :2], boxes[:, 1] / 16)
    torch.testing.assert_close(back, points[:, 1, :, :2], atol=1e-4, rtol=0)


def test_a_shift_and_a_larger_distance_of_a_hand_count_for_nothing_and_its_shape_does() -> None:
    truth = torch.rand(2, 20, 2, generator=torch.Generator().manual_seed(0)) * 16
    seen = torch.ones(2, 20)
    seen[0, 5:] = 0
    moved = smpler_x_losses.shifted(truth + torch.tensor((3.0, -2.0)), truth, seen)
    torch.testing.assert_close(moved, truth)
    wider = smpler_x_losses.shifted(truth * 1.5, truth, seen)
    torch.testing.assert_close(wider[0, :5].mean(0), truth[0, :5].mean(0))
    assert (wider[0, :5] - truth[0, :5]).abs().max() > 0.1
    nobody = smpler_x_losses.shifted(truth + 1, truth, torch.zeros(2, 20))
    torch.testing.assert_close(nobody, truth + 1)


def test_boxes_of_mirrored_people_are_those_of_the_other_hand(
    few: SetSpec, models_: BodyModels, skeleton: Skeleton
) -> None:
    data = HumanDataset(few.data, few.images, CropView((256, 192)), models=models_)

    def boxes(flip: bool) -> dict[str, list[torch.Tensor]]:
        drawn = crops.Augmentation(flip=flip)
        rows = [data._target(i, crops.affine(data.boxes[i], (256, 192), SIZE[1], drawn), drawn) for i in range(4)]
        truth = make(torch.tensor(np.array(rows)), skeleton)
        parts = {"left": LEFT_HAND, "right": RIGHT_HAND, "face": FACE}
        return {
            name: list(
                smpler_x_losses.part_box(truth.points[:, SUPERVISED[part]] / 16, truth.known[:, SUPERVISED[part]])
            )
            for name, part in parts.items()
        }

    plain, mirrored = boxes(False), boxes(True)
    assert all(valid.sum() >= 2 for _, _, valid in plain.values())
    for name, other in (("left", "right"), ("right", "left"), ("face", "face")):
        centre, size, valid = mirrored[name]
        there = plain[other][2][:, 0] > 0
        expected = plain[other][0].clone()
        expected[:, 0] = 12 - expected[:, 0]
        torch.testing.assert_close(centre[there], expected[there], atol=2e-3, rtol=0)
        torch.testing.assert_close(size, plain[other][1], atol=2e-3, rtol=0)
        assert torch.equal(valid, plain[other][2])


def test_a_part_with_few_points_or_outside_the_crop_has_no_box() -> None:
    points = torch.rand(3, 20, 2, generator=torch.Generator().manual_seed(0)) + 5
    known = torch.ones(3, 20)
    known[1, 5:] = 0
    points[2] += torch.tensor((12.0, 0))
    centre, size, valid = smpler_x_losses.part_box(points, known)
    assert valid[:, 0].tolist() == [1, 0, 0]
    assert not torch.cat((centre, size), 1)[1:].any()
    low, high = points[0].amin(0), points[0].amax(0)
    torch.testing.assert_close(size[0], 1.2 * (high - low))
    torch.testing.assert_close(centre[0], (low + high) / 2)


def test_weights_of_terms_that_a_model_does_not_have_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"loss\.hand_roots is nothing that smpler_x_s reads; it has: expression"):
        TrainConfig.from_dict({"model": "smpler_x_s", "loss": {"hand_roots": 1}})
    with pytest.raises(SettingsError, match=r"loss\.face_box is nothing that tiny reads"):
        TrainConfig.from_dict({"loss": {"face_box": 0}})
    config = TrainConfig.from_dict({"model": "smpler_x_s", "loss": {"face_box": 0, "hand_depth": "pelvis"}})
    assert TrainConfig.from_dict(config.to_dict()) == config
    assert "hand_roots" not in config.to_dict()["loss"]
    earlier = {"pose", "shape", "expression", "joints", "part_joints", "projection", "rotation_form"}
    assert TrainConfig().decisive()["loss"].keys() == earlier  # runs of earlier versions are still known
    assert replace(config, model="tiny").loss.faults("tiny")
    with pytest.raises(SettingsError, match=r"loss\.pose is nothing that pymaf reads; its weights are the published"):
        TrainConfig.from_dict({"model": "pymaf", "loss": {"pose": 60}})
    assert TrainConfig(model="pymaf").to_dict()["loss"] == {}


@pytest.fixture(scope="module")
def small() -> None:
    """Two models as the real ones, but for the size of their encoders."""
    for name, kind in (("smpler_x_h", SmplerX), ("smplest_x_h", SmplestX)):
        card = models.card(name)
        made = replace(card, name=f"{name}_small", network=kind, fixed={"size": SMALL})
        assert isinstance(made, ModelCard)
        models._all()[made.name] = made


@pytest.mark.parametrize("name", ["smpler_x_h_small", "smplest_x_h_small"])
@pytest.mark.usefixtures("small")
def test_all_weights_learn_but_those_that_the_card_names(packed: torch.Tensor, models_: BodyModels, name: str) -> None:
    net, loss = models.build(name, drop_path=0.0), objective(TrainConfig(model=name), models_)
    terms = loss.terms(net(torch.rand(1, 3, 256, 192)), packed[:1])
    torch.stack(list(terms.values())).sum().backward()
    unreached = {path for path, weight in net.named_parameters() if weight.grad is None}
    declared = models.card(name).untrained
    assert unreached == {path for path, _ in net.named_parameters() if path.startswith(declared or "none")}


@pytest.mark.parametrize("name", ["smpler_x_h_small", "smplest_x_h_small"])
@pytest.mark.usefixtures("small")
def test_small_ones_learn_a_batch_and_resume_to_the_same_weights(
    few: SetSpec, models_: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = TrainConfig(
        model=name, steps=4, batch_size=1, lr=2e-3, workers=0, log_every=1, checkpoint_every=2, augment=False
    )
    one = replace(few, interval=10)  # one of the ten people: each step sees the same
    whole = checkpoints.load(trainer.train(config, [one], tmp_path / "whole", models_, progress=False))
    lines = [json.loads(line) for line in (tmp_path / "whole/train.jsonl").read_text().splitlines()]
    assert all(np.isfinite(value) for line in lines for value in line.values())
    assert models.card(name).losses.keys() <= lines[0].keys()
    assert lines[-1]["loss"] < 0.95 * lines[0]["loss"]

    save = checkpoints.save

    def stop(path: Path, content: dict) -> Path:
        save(path, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(config, [one], tmp_path / "parts", models_, progress=False)
    again = checkpoints.load(trainer.train(config, [one], tmp_path / "parts", models_, progress=False))
    assert again["weights_sha256"] == whole["weights_sha256"]
