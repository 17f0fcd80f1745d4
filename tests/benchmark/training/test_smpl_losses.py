"""The terms of PyMAF and SMPLer beside loops written from their description, and trainings of a few steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ehps.benchmark import models as networks
from ehps.benchmark.models.outputs import SmplPrediction
from ehps.benchmark.models.smpl_stages import IDENTITY, UPRIGHT, last_stage
from ehps.benchmark.training import checkpoints, crops, rotations_6d
from ehps.benchmark.training import trainer as training
from ehps.benchmark.training.continuation import Saved
from ehps.benchmark.training.freezing import freeze
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.objectives import objective
from ehps.benchmark.training.samples import CropView, HumanDataset, collate, to_device
from ehps.benchmark.training.smpl_losses import MeshFeedback, SurfaceAndPoints
from ehps.benchmark.training.smpl_targets import SLICES, WIDTH, make
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.body.params import smpl_params
from ehps.errors import BodyModelError
from tests.drawn_people import write_set

N = 4


@pytest.fixture(scope="module")
def packed() -> Tensor:
    """Four rows: two whole, one with a pose and points alone, one with points in the image alone."""
    rng = torch.Generator().manual_seed(0)
    out = torch.zeros(N, WIDTH)

    def put(name: str, values: object, rows: object = slice(None)) -> None:
        out[rows, SLICES[name]] = torch.as_tensor(values, dtype=torch.float32)

    put("global_orient", (torch.pi, 0, 0))
    put("body_pose", torch.randn((N, 69), generator=rng) * 0.2)
    put("affine", (1.0, 0, 0, 0, 1, 0))
    put("focal", (400.0, 400))
    put("principal_point", (112.0, 112))
    put("transl", torch.tensor((0.1, 0.2, 4.5)))
    put("betas", torch.randn((N, 10), generator=rng) * 0.5)
    points = torch.rand((N, 26, 4), generator=rng)
    put("points3d", points.flatten(1))
    put("points2d", torch.cat((points[..., :2] * 224, points[..., 3:]), dim=-1).flatten(1))
    for name in ("has_body", "has_hands", "has_shape", "has_mesh", "has_camera"):
        put(name, 1, slice(2))
    put("has_body", 1, 2)
    drawn = crops.Augmentation(rotation=0.3, flip=True)
    put("affine", crops.affine(np.array((0, 0, 224, 224)), (224, 224), 224, drawn).ravel(), 1)
    put("rotation", drawn.rotation, 1)
    put("flip", 1, 1)
    out[3, SLICES["points3d"]] = 0
    return out


def prediction(stages: int) -> SmplPrediction:
    rng = torch.Generator().manual_seed(1)
    rotations = [rotations_6d.from_6d(torch.randn((N, 24, 6), generator=rng)) for _ in range(stages)]
    betas = [torch.randn((N, 10), generator=rng) for _ in range(stages)]
    cameras = [torch.tensor((0.9, 0.1, 0.0)) + 0.1 * torch.randn((N, 3), generator=rng) for _ in range(stages)]
    out = last_stage(rotations, betas, cameras)
    out.extras["part_index"] = torch.randn((N, 25, 56, 56), generator=rng)
    return out


def about(points: Tensor, marked: bool) -> Tensor:
    pair = points[[2, 3]] if marked else points[[-2, -1]]
    return points - pair.mean(0)


def test_terms_of_pymaf_are_those_of_a_plain_loop(packed: Tensor, models: BodyModels) -> None:
    goal = MeshFeedback(TrainConfig(model="pymaf", model_args={"auxiliary": "parts"}), models)
    out, truth = prediction(4), make(packed, goal.body)
    found = goal.terms(out, packed)
    expected = dict.fromkeys(("2D joints", "3D joints", "pose", "shape", "camera"), 0.0)
    for stage in (1, 2, 3):
        rotations, betas, cameras = (
            out.extras[f"stage_{name}"][:, stage] for name in ("rotations", "betas", "cameras")
        )
        joints = goal.body(rotations, betas)
        posed, angles, shapes, with_space, spaces = 0, 0.0, [], 0, 0.0
        for n in range(N):
            s, tx, ty = cameras[n]
            placed = joints[n] + torch.stack((tx, ty, 2 * 5000 / (224 * s)))
            seen = placed[:, :2] / placed[:, 2:] * 5000 / 112
            marked, space = bool(truth.joints_marked[n]), 0.0
            for k in range(26):
                off = ((seen[k] - truth.points[n, k]) ** 2).sum() * truth.points_mask[n, k]
                expected["2D joints"] += 300 * float(off) / (N * 49 * 2)
                off = ((about(joints[n], marked)[k] - about(truth.joints[n], marked)[k]) ** 2).sum()
                space += float(off * truth.joints_mask[n, k])
            if truth.joints_mask[n].any():
                with_space, spaces = with_space + 1, spaces + space / (24 * 3)
            for k in range(24):
                if truth.rotations_mask[n, k]:
                    posed, angles = posed + 1, angles + float(((rotations[n, k] - truth.rotations[n, k]) ** 2).mean())
            if truth.shape_mask[n]:
                shapes.append(float(((betas[n] - truth.betas[n]) ** 2).mean()))
            expected["camera"] += float(torch.exp(-10 * s) ** 2) / N
        assert (with_space, posed, len(shapes)) == (3, 24 * 2 + 22, 2)
        expected["3D joints"] += 300 * spaces / with_space
        expected["pose"] += 60 * angles / posed
        expected["shape"] += 0.06 * np.mean(shapes)
    assert list(found) == [*expected, "part index"]
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-4), name


def test_maps_are_compared_of_persons_whose_mesh_is_known(packed: Tensor, models: BodyModels) -> None:
    goal = MeshFeedback(TrainConfig(model="pymaf", model_args={"auxiliary": "parts"}), models)
    out, truth = prediction(4), make(packed, goal.body)
    true = {name: torch.randint(0, high, (N, 56, 56)) for name, high in (("iuv_index", 25), ("iuv_annotation", 15))}
    true["iuv_uv"] = torch.rand(N, 56, 56, 2) * 3

    class Maps(nn.Module):
        def forward(self, vertices: Tensor, camera: Tensor) -> dict[str, Tensor]:
            assert vertices.shape == (N, 6890, 3)
            return true

    found = {
        "iuv_index": torch.randn(N, 25, 56, 56),
        "iuv_annotation": torch.randn(N, 15, 56, 56),
        "iuv_u": torch.randn(N, 25, 56, 56),
        "iuv_v": torch.randn(N, 25, 56, 56),
    }
    goal.maps = Maps()  # type: ignore[assignment]
    out.extras |= found
    terms = goal.terms(out, packed)
    assert terms.keys() == networks.card("pymaf").losses.keys()
    assert truth.mesh_mask.tolist() == [True, True, False, False]
    for name, key in (("part index", "iuv_index"), ("annotation index", "iuv_annotation")):
        shares = found[key][:2].log_softmax(1)
        expected = -np.mean([float(shares[n, true[key][n, y, x], y, x]) for n, y, x in np.ndindex(2, 56, 56)])
        assert float(terms[name]) == pytest.approx(expected, rel=1e-4)
    places = 0.0
    for n, y, x in np.ndindex(2, 56, 56):
        part = int(true["iuv_index"][n, y, x])
        for k, key in enumerate(("iuv_u", "iuv_v")):
            off = abs(float(found[key][n, part, y, x] - true["iuv_uv"][n, y, x, k]))
            places += (part > 0) * (off**2 / 2 if off < 1 else off - 0.5)
    assert float(terms["u, v"]) == pytest.approx(0.5 * places / 2, rel=1e-4)


def test_the_drawn_map_lies_where_the_person_is(packed: Tensor, models: BodyModels) -> None:
    goal = MeshFeedback(TrainConfig(model="pymaf", model_args={"auxiliary": "parts"}), models)
    truth = make(packed, goal.body)
    out, kept = prediction(4), {}
    goal.maps.register_forward_hook(lambda _, given, made: kept.update(made))
    assert float(goal.terms(out, packed)["part index"]) > 0
    # grown by a pixel, it covers every point of the whole bodies, of which the second is mirrored and turned
    shown = nn.functional.max_pool2d((kept["part_index"][:, None] > 0).float(), 3, stride=1, padding=1)
    covered = nn.functional.grid_sample(shown, truth.points[:, None], mode="nearest", align_corners=False)[:2, 0, 0]
    assert covered[truth.points_mask[:2] > 0].all()
    assert 0.05 < shown[:2].mean() < 0.4


def test_terms_of_smpler_are_those_of_a_plain_loop(packed: Tensor, models: BodyModels) -> None:
    goal = SurfaceAndPoints(TrainConfig(model="smpler"), models)
    out, truth = prediction(4), make(packed, goal.body)
    found = goal.terms(out, packed)
    rotations, betas, cameras = (out.extras[f"stage_{name}"][:, -1] for name in ("rotations", "betas", "cameras"))
    joints, (vertices, chain) = goal.body(rotations, betas), goal.mesh(rotations, betas)
    true_vertices, true_chain = goal.mesh(truth.rotations, truth.betas)
    surface, image, space, angles = [], 0.0, [], []
    for n in range(N):
        image += float((((cameras[n, 0] * (joints[n, :, :2] + cameras[n, 1:]) - truth.points[n]) ** 2).sum(1)
                        * truth.points_mask[n]).sum()) / (N * 14 * 2)  # fmt: skip
        marked = bool(truth.joints_marked[n])
        if truth.joints_mask[n].any():
            off = ((about(joints[n], marked) - about(truth.joints[n], marked)) ** 2).sum(1)
            space.append(float((off * truth.joints_mask[n]).sum()) / (14 * 3))
        angles += [
            float((rotations[n, k] - truth.rotations[n, k]).abs().mean())
            for k in range(24)
            if truth.rotations_mask[n, k]
        ]
        if truth.mesh_mask[n]:
            pelvis, true = (
                goal.pelvis @ torch.cat((c, v)) for c, v in ((chain[n], vertices[n]), (true_chain[n], true_vertices[n]))
            )
            surface.append(float(((vertices[n] - pelvis) - (true_vertices[n] - true)).abs().mean()))
    expected = {
        "vertices": 100 * np.mean(surface),
        "2D joints": 100 * image,
        "3D joints": 1000 * np.mean(space),
        "pose": 50 * np.mean(angles),
    }
    assert found.keys() == expected.keys() == networks.card("smpler").losses.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-4), name


@pytest.mark.parametrize("model", ["pymaf", "smpler"])
def test_the_truth_itself_costs_nothing(model: str, packed: Tensor, models: BodyModels) -> None:
    arguments = {"auxiliary": "none"} if model == "pymaf" else {}
    goal = objective(TrainConfig(model=model, model_args=arguments), models)
    whole = packed[:1]
    truth = make(whole, goal.body)
    camera = torch.tensor(((400 / 112 / 4.5, 0.1, 0.2),))
    out = last_stage([truth.rotations] * 4, [truth.betas] * 4, [camera] * 4)
    terms = goal.terms(out, whole)
    for name in ("3D joints", "pose", *(("vertices",) if model == "smpler" else ("shape",))):
        assert float(terms[name]) < 1e-6
    assert float(terms["2D joints"]) < 2  # another focal length


def test_losses_that_cannot_be_are_refused(models: BodyModels, tmp_path: Path) -> None:
    assert (
        "pose is nothing that smpler reads"
        in TrainConfig(model="smpler", loss=LossWeights(pose=3)).loss.faults("smpler")[0]
    )
    with pytest.raises(BodyModelError, match=r"UV_Processed\.mat"):
        objective(TrainConfig(model="pymaf"), models)
    spec = SetSpec(tmp_path / "never opened.h5", tmp_path)
    with pytest.raises(BodyModelError, match="SMPL"):
        training.train(
            TrainConfig(model="smpler", steps=1), [spec], tmp_path / "run", BodyModels(tmp_path), progress=False
        )


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> SetSpec:
    rng = np.random.default_rng(4)
    pose = rng.normal(0, 0.2, (2, 24, 3))
    pose[:, 0] = (np.pi, 0, 0)
    params = smpl_params(
        gender="neutral", betas=rng.normal(0, 1, (2, 10)), pose=pose, transl=np.tile((0, 0.2, 4.5), (2, 1))
    )
    folder = tmp_path_factory.mktemp("smpl")
    return SetSpec(write_set(folder, params, models), folder)


@pytest.mark.parametrize(("model", "size"), [("pymaf", 2), ("smpler", 1)])
def test_every_term_is_finite_and_a_step_lowers_the_loss_of_its_batch(
    model: str, size: int, spec: SetSpec, models: BodyModels
) -> None:
    arguments = {"auxiliary": "parts"} if model == "pymaf" else {}
    torch.manual_seed(0)
    net = networks.build(model, **checkpoints.with_body(model, arguments, models))
    goal = objective(TrainConfig(model=model, model_args=arguments), models)
    view = CropView.of(net, networks.card(model), ratio=1.0, training=True)
    data = HumanDataset(spec.data, spec.images, view, models=models, body="smpl")
    batch = to_device(collate([data[row] for row in range(size)]), "cpu")
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-5)

    def terms() -> dict[str, Tensor]:
        torch.manual_seed(1)  # of dropout
        return goal.terms(net(batch["image"]).float(), batch["target"])

    before = terms()
    torch.stack(list(before.values())).sum().backward()
    unreached = {path for path, weight in net.named_parameters() if weight.grad is None}
    assert unreached == set(networks.card(model).untrained_with(arguments))
    optimizer.step()
    with torch.no_grad():
        after = terms()
    assert set(before) == set(networks.card(model).losses) - {"annotation index", "u, v"}
    assert all(torch.isfinite(value) for value in (*before.values(), *after.values()))
    assert sum(float(value) for value in after.values()) < sum(float(value.detach()) for value in before.values())


def test_only_the_larger_outputs_of_the_trunk_are_not_reached_in_the_stage_backbone_of_smpler(
    spec: SetSpec, models: BodyModels
) -> None:
    arguments = {"blocks": 0}
    net = networks.build("smpler", **checkpoints.with_body("smpler", arguments, models))
    goal = objective(TrainConfig(model="smpler", model_args=arguments), models)
    card = networks.card("smpler")
    data = HumanDataset(
        spec.data, spec.images, CropView.of(net, card, ratio=1.0, training=True), models=models, body="smpl"
    )
    batch = to_device(collate([data[0]]), "cpu")
    small = batch["image"][..., :64, :64]  # the trunk takes any size
    torch.stack(list(goal.terms(net(small).float(), batch["target"]).values())).sum().backward()
    unreached = {path for path, weight in net.named_parameters() if weight.grad is None}
    declared = card.untrained_with(arguments)
    assert unreached == {path for path, _ in net.named_parameters() if path.startswith(declared)}
    freeze(net, declared)
    assert unreached == {path for path, weight in net.named_parameters() if not weight.requires_grad}


class Small(nn.Module):
    """Three stages after the mean, from the mean colours of 16 squares, with dropout; and a map of parts."""

    input_size = (224, 224)
    antialias = True

    def __init__(self, smpl: object = None, auxiliary: str = "parts") -> None:
        super().__init__()
        assert auxiliary == "parts"
        self.stages = nn.ModuleList(nn.Sequential(nn.Dropout(0.1), nn.Linear(48, 157)) for _ in range(3))
        self.head = nn.Conv2d(3, 25, 1)
        for stage in self.stages:
            stage[1].weight.data *= 0.01
            stage[1].bias.data *= 0.01

    def forward(self, image: Tensor) -> SmplPrediction:
        squares = nn.functional.avg_pool2d(image, 56).flatten(1)
        start = torch.tensor((*UPRIGHT, *IDENTITY * 23, *[0.0] * 10, 0.9, 0, 0))
        stages = [start.expand(len(image), -1), *(start + stage(squares) for stage in self.stages)]
        poses, betas, cameras = zip(*(stage.split((144, 10, 3), 1) for stage in stages), strict=True)
        out = last_stage([rotations_6d.from_6d(pose.unflatten(1, (24, 6))) for pose in poses], betas, cameras)
        out.extras["part_index"] = self.head(nn.functional.avg_pool2d(image, 4))
        return out


@pytest.fixture
def small() -> Iterator[str]:
    card = networks.card("pymaf")
    networks.register("small", Small, body="smpl", view=card.view, objective=card.objective, losses=card.losses)
    yield "small"
    networks._all().pop("small")


def test_a_training_learns_and_goes_on_to_the_same_weights(
    small: str, spec: SetSpec, few: SetSpec, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(
        model=small,
        model_args={"auxiliary": "parts"},
        **{"steps": 12, "batch_size": 4, "lr": 1e-3, "workers": 0, "box_ratio": 1.0, "strategy": "mixture"},
        **{"log_every": 1, "checkpoint_every": 5},
    )
    sets = [replace(spec, weight=0.8), few]  # SMPL and SMPL-X
    whole = checkpoints.load(training.train(config, sets, tmp_path / "whole", models, progress=False))
    lines = [json.loads(line) for line in (tmp_path / "whole" / "train.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line[name]) for line in lines for name in ("loss", "part index", "pose"))
    assert np.mean([line["loss"] for line in lines[-3:]]) < np.mean([line["loss"] for line in lines[:3]])

    def stop(self: Saved, *given: Any) -> None:
        kept(self, *given)
        if given[-1] == 5:
            raise KeyboardInterrupt

    kept = Saved.last
    monkeypatch.setattr(Saved, "last", stop)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, sets, tmp_path / "again", models, progress=False)
    monkeypatch.setattr(Saved, "last", kept)
    again = checkpoints.load(training.train(config, sets, tmp_path / "again", models, progress=False))
    assert again["weights_sha256"] == whole["weights_sha256"]
