"""Training: the model, the losses, what a step sees, resuming, checkpoints."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ehps.benchmark import models
from ehps.benchmark.models.outputs import CAMERA, Prediction
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training import trainer as training
from ehps.benchmark.training.loss_terms import losses
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.samples import CropView, HumanDataset, collate
from ehps.benchmark.training.sampling import StepSampler, epoch_order
from ehps.benchmark.training.smplx_joints import Skeleton
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.targets import make
from ehps.body.models import BodyModels
from ehps.errors import DataError, UsageError

SMALL = {"width": 32, "depth": 1, "heads": 2}
CONFIG = TrainConfig(
    model_args=SMALL, steps=4, batch_size=4, lr=1e-3, workers=0, log_every=1, checkpoint_every=2, warmup=2
)


@pytest.fixture(scope="module")
def whole(few: SetSpec, models_: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that was not interrupted; read-only."""
    folder = tmp_path_factory.mktemp("whole")
    training.train(CONFIG, [few], folder, models_, progress=False)
    return folder


def test_tiny_returns_proper_bodies_in_front_of_the_camera() -> None:
    torch.manual_seed(0)
    net = models.build("tiny")
    out = net(torch.rand(3, 3, *net.input_size))
    assert isinstance(out, Prediction)
    for name, shape in (("global_orient", (3, 3, 3)), ("body_pose", (3, 21, 3, 3)), ("left_hand_pose", (3, 15, 3, 3))):
        R = getattr(out, name)
        assert R.shape == shape
        torch.testing.assert_close(R @ R.mT, torch.eye(3).expand_as(R), atol=1e-5, rtol=0)
    stored = out.axis_angle()
    assert stored["body_pose"].shape == (3, 21, 3)
    assert (out.cam_trans[:, 2] > 30).all()
    # starts at upright people: half a turn about x
    torch.testing.assert_close(
        stored["global_orient"].abs(), torch.tensor([[np.pi, 0, 0]] * 3).float(), atol=0.6, rtol=0
    )


def test_unknown_models_and_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match=r"There are: .*tiny"):
        models.build("huge")
    with pytest.raises(UsageError, match="depht"):
        models.build("tiny", depht=3)


def test_the_loss_of_the_truth_is_zero_and_each_term_sees_its_own_error(few: SetSpec, models_: BodyModels) -> None:
    data = HumanDataset(few.data, few.images, CropView((128, 96)), models=models_)
    skeleton = Skeleton(models_)
    truth = make(collate([data[i] for i in range(4)])["target"], skeleton)

    def perfect() -> Prediction:
        R = truth.rotations
        joints = skeleton(
            {
                "global_orient": R[:, 0],
                "body_pose": R[:, 1:22],
                "left_hand_pose": R[:, 22:37],
                "right_hand_pose": R[:, 37:52],
                "jaw_pose": R[:, 52],
                "betas": truth.betas,
                "expression": truth.expression,
            }
        )
        return Prediction(
            R[:, 0],
            R[:, 1:22],
            R[:, 22:37],
            R[:, 37:52],
            R[:, 52],
            truth.betas,
            truth.expression,
            _translation(joints, truth.points),
        )

    terms = losses(perfect(), truth, skeleton, LossWeights())
    assert all(value < 2e-3 for name, value in terms.items() if name != "projection"), terms
    assert terms["projection"] < 0.1  # another camera: perspective differs by a pixel or so
    out = perfect()
    out.betas = out.betas + 0.5
    changed = losses(out, truth, skeleton, LossWeights(shape=3))
    assert changed["shape"] == pytest.approx(1.5, abs=1e-4)
    assert changed["pose"] < 2e-3
    out = perfect()
    out.cam_trans = out.cam_trans + torch.tensor([0.5, 0, 0])
    assert losses(out, truth, skeleton, LossWeights())["projection"] > 1
    axis_angle = losses(perfect(), truth, skeleton, LossWeights(rotation_form="axis-angle"))
    assert axis_angle["pose"] < 2e-3
    with pytest.raises(UsageError, match="euler"):
        losses(perfect(), truth, skeleton, LossWeights(rotation_form="euler"))


def _translation(joints: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Least-squares place of the joints in the virtual camera, given their pixels."""
    out = []
    for j, p in zip(joints[:, :22].double(), points[:, :22].double(), strict=True):
        uv = (p - torch.tensor([96.0, 128.0])) / CAMERA.focal  # uv (z + tz) = xy + txy
        zero, one = torch.zeros(22), torch.ones(22)
        A = torch.cat([torch.stack([one, zero, -uv[:, 0]], 1), torch.stack([zero, one, -uv[:, 1]], 1)]).double()
        b = torch.cat([uv[:, 0] * j[:, 2] - j[:, 0], uv[:, 1] * j[:, 2] - j[:, 1]])
        out.append(torch.linalg.lstsq(A, b[:, None]).solution[:, 0].float())
    return torch.stack(out)


def test_every_row_is_seen_once_an_epoch_and_balance_repeats_small_sets() -> None:
    batches = list(StepSampler([7, 5], 4, 6, seed=1))
    rows = [row for batch in batches for row, _ in batch]
    assert sorted(rows[:12]) == list(range(12))
    assert [draw for batch in batches for _, draw in batch] == [0] * 12 + [1] * 12
    order = epoch_order([90, 10], "balance", 0, 0)
    assert (order < 90).sum() == 50
    assert np.unique(order[order < 90]).size == 50
    assert np.bincount(order[order >= 90] - 90).tolist() == [5] * 10
    assert sorted(order[order < 90]) != sorted(epoch_order([90, 10], "balance", 0, 1)[:50])
    with pytest.raises(UsageError, match="weird"):
        epoch_order([1], "weird", 0, 0)


def test_processes_share_the_batches_of_a_step() -> None:
    alone = [row for batch in StepSampler([40], 8, 3, seed=2) for row, _ in batch]
    first = [row for batch in StepSampler([40], 4, 3, seed=2, process=0, processes=2) for row, _ in batch]
    second = [row for batch in StepSampler([40], 4, 3, seed=2, process=1, processes=2) for row, _ in batch]
    assert sorted(first + second) == sorted(alone)


def test_the_rate_rises_then_follows_a_cosine() -> None:
    config = TrainConfig(lr=1.0, lr_min=0.1, warmup=4)
    rates = [training.learning_rate(config, step, 104) for step in range(104)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[54] == pytest.approx(0.55, abs=1e-6)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert training.total_steps(TrainConfig(epochs=2, batch_size=10), [25, 20]) == 9


def test_a_resumed_run_ends_in_the_same_weights(few: SetSpec, whole: Path, models_: BodyModels, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def stop(path: Path, content: dict) -> Path:  # killed right after its first checkpoint
            save(path, content)
            raise KeyboardInterrupt

        save = checkpoints.save
        patch.setattr(checkpoints, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            training.train(CONFIG, [few], tmp_path / "parts", models_, progress=False)
    assert checkpoints.load(tmp_path / "parts/checkpoints/last.pt")["step"] == 2
    parts = training.train(CONFIG, [few], tmp_path / "parts", models_, progress=False)
    a, b = checkpoints.load(whole / "checkpoints/final.pt"), checkpoints.load(parts)
    assert a["weights_sha256"] == b["weights_sha256"]
    logs = [
        [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
        for folder in (whole, tmp_path / "parts")
    ]
    assert [line["step"] for line in logs[1]] == [1, 2, 3, 4]
    assert [line["loss"] for line in logs[0]] == [line["loss"] for line in logs[1]]


def test_workers_do_not_change_the_result_but_the_seed_does(
    few: SetSpec, whole: Path, models_: BodyModels, tmp_path: Path
) -> None:
    workers, seed = (
        checkpoints.load(training.train(config, [few], tmp_path / str(i), models_, progress=False))["weights_sha256"]
        for i, config in enumerate([replace(CONFIG, workers=2), replace(CONFIG, seed=1)])
    )
    assert workers == checkpoints.load(whole / "checkpoints/final.pt")["weights_sha256"] != seed


def test_training_lowers_the_loss(few: SetSpec, models_: BodyModels, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=16, augment=False, log_every=3, lr=5e-3)
    training.train(config, [few], tmp_path, models_, progress=False)
    values = [json.loads(line)["loss"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert values[-1] < 0.7 * values[0]


def test_a_loss_that_is_no_number_stops_the_run(
    few: SetSpec, models_: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "learning_rate", lambda *_: 1e30)
    with pytest.raises(
        DataError, match=r"the loss is nan: its first term that is no number is \w+, nan, at step 2 \(rows"
    ):
        training.train(CONFIG, [few], tmp_path, models_, progress=False)


def test_checkpoints_hold_no_code_and_fit_only_their_model(
    few: SetSpec, whole: Path, models_: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(whole / "checkpoints/final.pt", tmp_path))
    net, content = checkpoints.load_model(path)
    assert checkpoints.weights_hash(net.state_dict()) == content["weights_sha256"]
    other = models.build("tiny", **{**SMALL, "depth": 2})
    with pytest.raises(DataError, match=r"12 missing \(blocks\.1"):
        checkpoints.put(other, content, path)
    wider = models.build("tiny", **{**SMALL, "width": 64})
    with pytest.raises(DataError, match="of another shape"):
        checkpoints.put(wider, content, path)
    monkeypatch.setattr(training, "learning_rate", lambda *_: 0.0)
    started = training.train(
        replace(CONFIG, steps=1, warmup=0, init=str(path)), [few], tmp_path / "next", models_, progress=False
    )
    assert checkpoints.load(started)["weights_sha256"] == content["weights_sha256"]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="not a readable checkpoint"):
        checkpoints.load(path)
    with pytest.raises(DataError, match="no such file"):
        checkpoints.load(tmp_path / "none.pt")


class _Evil:
    def __reduce__(self) -> tuple:
        return (print, ("executed",))


def test_a_checkpoint_with_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"format": 1, "model": {}, "state": _Evil()}, tmp_path / "evil.pt", pickle_module=pickle)
    with pytest.raises(DataError, match="not a readable checkpoint"):
        checkpoints.load(tmp_path / "evil.pt")
    assert "executed" not in capsys.readouterr().out


def test_unknown_settings_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="learning_rate"):
        TrainConfig.from_dict({"learning_rate": 1})
    config = TrainConfig(loss=LossWeights(shape=2), model_args=SMALL)
    assert TrainConfig.from_dict(config.to_dict()) == config
