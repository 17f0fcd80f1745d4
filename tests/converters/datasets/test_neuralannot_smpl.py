"""SMPL fits of NeuralAnnot, which four datasets have beside those of SMPL-X (``fits=neuralannot-smpl``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters import registry
from ehps.converters.base import Instances
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView
from ehps.errors import DataError
from ehps.humandata import HumanData
from tests.raw import h36m, mpi_inf_3dhp
from tests.raw.checks import STILL, blank
from tests.raw.neural_annot import People, dump, people
from tests.raw.trees import Raw, completed

SMPL = {"fits": "neuralannot-smpl"}
VIEW = PaintedView(480, 640, 600.0)


def read(dataset: str, root: Path, **options: str) -> list[Instances]:
    converter = registry.converter(dataset)(root, "train", SMPL | options)
    assert converter.body_model == "smpl"
    return [converter.read(unit) for unit in converter.units()]


def rows_of(dataset: str, root: Path, models: Path, **options: str) -> HumanData:
    units = completed(dataset, root, read(dataset, root, **options), models)
    return HumanData.concat([unit.data for unit in units if unit.data is not None])


def write_coco(root: Path, group: People, points: str, fits: str, labels: str, image: str) -> None:
    """People of one image, the last of them without a fit."""
    annotations = [
        {
            "id": k,
            "image_id": 5,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": group.box(k),
            "num_keypoints": 3,
            "keypoints": group.labelled(k, points).ravel().tolist(),
        }
        for k in range(len(group))
    ]
    images = [{"id": 5, "file_name": Path(image).name, "height": VIEW.height, "width": VIEW.width}]
    dump(root / "annotations" / labels, {"images": images, "annotations": annotations})
    dump(root / "annotations" / fits, {str(k): group.fit(k) for k in range(len(group) - 1)})
    blank(root, [image], VIEW.height, VIEW.width)


@pytest.mark.parametrize(
    ("dataset", "points", "fits", "labels", "image"),
    [
        ("mpii", "mpii", "MPII_train_SMPL_NeuralAnnot.json", "train.json", "images/1.jpg"),
        (
            "mscoco",
            "coco",
            "MSCOCO_train_SMPL_NeuralAnnot.json",
            "person_keypoints_train2017.json",
            "images/train2017/1.jpg",
        ),
    ],
)
def test_people_of_images_are_where_their_cameras_see_them(
    dataset: str, points: str, fits: str, labels: str, image: str, tmp_path: Path, body_models: Path
) -> None:
    group = people(body_models, np.random.default_rng(5), "smpl", VIEW, [3])
    write_coco(tmp_path, group, points, fits, labels, image)
    (unit,) = read(dataset, tmp_path)
    assert unit.dropped == {"no SMPL fit": ["2"]}
    assert unit.misc["smpl_source"] == "neural_annot"
    hd = rows_of(dataset, tmp_path, body_models)
    assert (hd.body_model, hd["meta/annotation_id"].tolist()) == ("smpl", [0, 1])
    np.testing.assert_allclose(hd["smpl/transl"], group.cast.params.transl[:2], rtol=1e-5)
    np.testing.assert_allclose(hd["keypoints3d_smpl"][..., :3], group.cast.joints[:2], atol=1e-3)
    np.testing.assert_allclose(hd["keypoints2d_smpl"][..., :2], group.points[:2], atol=0.1)
    assert (hd["quality/reprojection_body_px"] < 0.5).all()
    (tmp_path / "annotations" / fits).unlink()
    with pytest.raises(DataError, match=rf"{fits}, the fits of fits=neuralannot-smpl"):
        read(dataset, tmp_path)


def leaves(n: int, models: Path) -> tuple[list[dict[str, Any]], Any]:
    """Fits of n people in the world, and their joints (n, J, 3)."""
    rng = np.random.default_rng(9)
    params = random_people(n, rng, model_type="smpl", gender="neutral").with_(transl=rng.normal(0, 0.2, (n, 3)))
    pose = np.concatenate([params.global_orient[:, None], params.body_pose], axis=1).reshape(n, 72)
    found = [
        {"pose": [pose[k].tolist()], "shape": params.betas[k].tolist(), "trans": params.transl[k].tolist()}
        for k in range(n)
    ]
    return found, stage.package(models, params)[0]


def test_people_of_human36m_are_moved_by_their_cameras(
    raw_trees: Callable[[str], Raw], tmp_path: Path, body_models: Path
) -> None:
    raw = raw_trees("h36m")
    root, actors = raw.linked(tmp_path), raw.tree
    fits, joints = leaves(len(h36m.FRAMES), body_models)
    for subject in h36m.TRAIN:
        own = {"2": {"1": dict(zip(map(str, h36m.FRAMES), fits, strict=True))}} if subject == 1 else {}
        dump(h36m.path_of(root, subject, "SMPL_NeuralAnnot"), own)
    units = read("h36m", root)
    assert set(units[1].dropped) == {"no 3D joints", "no SMPL fit"}
    assert units[0].misc["smpl_source"] == "neural_annot"
    hd = rows_of("h36m", root, body_models)
    cameras = actors[1].cameras
    for row, (frame, camera) in enumerate(
        zip(hd["meta/frame_id"].tolist(), hd["meta/camera_id"].tolist(), strict=True)
    ):
        one = joints[h36m.FRAMES.index(frame)][None]
        expected, pixels = h36m.seen(one, cameras[str(camera)])
        np.testing.assert_allclose(hd["keypoints3d_smpl"][row, STILL, :3], expected[0, STILL], atol=1e-3)
        np.testing.assert_allclose(hd["keypoints2d_smpl"][row, :22, :2], pixels[0, :22], atol=0.2)
    assert len(hd) > 5
    h36m.path_of(root, 5, "SMPL_NeuralAnnot").unlink()
    with pytest.raises(DataError, match=r"subject5_SMPL_NeuralAnnot\.json, the fits of"):
        read("h36m", root)


def test_people_of_3dhp_are_moved_by_their_cameras(
    raw_trees: Callable[[str], Raw], tmp_path: Path, body_models: Path
) -> None:
    root = raw_trees("mpi_inf_3dhp").linked(tmp_path)
    (fit,), joints = leaves(1, body_models)
    dump(root / "data/MPI-INF-3DHP_SMPL_NeuralAnnot.json", {"1": {"1": {"0": fit}}})
    (unit,) = read("mpi_inf_3dhp", root)
    move = unit.world_to_camera
    assert move is not None
    assert unit.misc["smpl_source"] == "neural_annot"
    assert len(unit) == len(mpi_inf_3dhp.CAMERAS)
    hd = rows_of("mpi_inf_3dhp", root, body_models)
    assert hd["meta/camera"].tolist() == unit.meta["camera"].tolist()
    expected = np.einsum("nij,kj->nki", move.rotation, joints[0]) + np.asarray(move.translation)[:, None]
    np.testing.assert_allclose(hd["keypoints3d_smpl"][..., :3], expected, atol=1e-3)
