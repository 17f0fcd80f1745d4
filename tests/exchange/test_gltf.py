"""glTF files are read by trimesh and pygltflib, and skinned here as the specification says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from pygltflib import GLTF2
from scipy.spatial.transform import Rotation

from ehps.body import meshes
from ehps.body.models import BodyModels
from ehps.body.variants import params_of
from ehps.errors import UsageError
from ehps.exchange import gltf
from ehps.exchange.forms import Sources, Written
from ehps.humandata import HumanData
from tests.exchange.sequences import moving

TYPES = {5126: np.float32, 5123: np.uint16, 5125: np.uint32}
WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@pytest.fixture(scope="module")
def written(models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> tuple[HumanData, Path, Written]:
    hd = moving(models)
    path = tmp_path_factory.mktemp("gltf") / "clip.glb"
    return hd, path, gltf.write(hd, path, Sources(body_models=models))


class Viewer:
    """What a viewer makes of a file: nodes moved by the animation, and skins by their nodes."""

    def __init__(self, path: Path) -> None:
        self.document = GLTF2().load(str(path))
        self.blob = self.document.binary_blob()

    def array(self, number: int) -> np.ndarray[Any, Any]:
        accessor = self.document.accessors[number]
        view = self.document.bufferViews[accessor.bufferView]
        width = WIDTH[accessor.type]
        return np.frombuffer(self.blob, TYPES[accessor.componentType], accessor.count * width, view.byteOffset).reshape(
            accessor.count, width
        )

    def at(self, time: float) -> list[dict[str, np.ndarray[Any, Any]]]:
        """Local translation, rotation, scale and morph weights of every node."""
        found = [
            {
                "translation": np.array(node.translation or (0, 0, 0), float),
                "rotation": np.array(node.rotation or (0, 0, 0, 1), float),
                "scale": np.array(node.scale or (1, 1, 1), float),
            }
            for node in self.document.nodes
        ]
        for animation in self.document.animations:
            for channel in animation.channels:
                sampler = animation.samplers[channel.sampler]
                times, values = self.array(sampler.input)[:, 0], self.array(sampler.output)
                values = values.reshape(len(times), -1)
                before = int(np.clip(np.searchsorted(times, time + 1e-6, side="right") - 1, 0, len(times) - 1))
                found[channel.target.node][channel.target.path] = values[before].astype(float)
        return found

    def surface(self, node: int, time: float, *, morphed: bool = True) -> np.ndarray[Any, Any]:
        local = self.at(time)
        parents = {child: n for n, one in enumerate(self.document.nodes) for child in one.children or ()}

        def world(number: int) -> np.ndarray[Any, Any]:
            own = np.eye(4)
            own[:3, :3] = Rotation.from_quat(local[number]["rotation"]).as_matrix() * local[number]["scale"]
            own[:3, 3] = local[number]["translation"]
            return world(parents[number]) @ own if number in parents else own

        one = self.document.nodes[node]
        skin, primitive = self.document.skins[one.skin], self.document.meshes[one.mesh].primitives[0]
        inverse = self.array(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        moves = np.stack([world(bone) @ own for bone, own in zip(skin.joints, inverse, strict=True)])
        rest = self.array(primitive.attributes.POSITION).astype(float)
        weights = local[node].get("weights", np.array(self.document.meshes[one.mesh].weights or []))
        for weight, target in zip(weights, primitive.targets or [], strict=True) if morphed else ():
            rest = rest + weight * self.array(target["POSITION"])
        out = np.zeros_like(rest)
        for group in range(2):
            bones = self.array(getattr(primitive.attributes, f"JOINTS_{group}"))
            shares = self.array(getattr(primitive.attributes, f"WEIGHTS_{group}"))
            for k in range(4):
                move = moves[bones[:, k]]
                out += shares[:, k, None] * (np.einsum("vab,vb->va", move[:, :3, :3], rest) + move[:, :3, 3])
        return out


def test_a_viewer_sees_the_bodies_without_pose_corrections_where_the_camera_saw_them(
    written: tuple[HumanData, Path, Written], models: BodyModels
) -> None:
    hd, path, _ = written
    viewer = Viewer(path)
    nodes = [n for n, node in enumerate(viewer.document.nodes) if node.skin is not None]
    params = params_of(hd)
    model = models.get("smplx", "neutral")
    uncorrected = replace(model, posedirs=np.zeros_like(model.posedirs))
    plain = meshes.vertices(uncorrected, params.with_(expression=np.zeros((len(hd), 10))))
    speaking = meshes.vertices(uncorrected, params)
    for row in (0, 1, 2, len(hd) - 1):
        node = nodes[int(hd["meta/track_id"][row]) - 1]
        time = float(hd["meta/time"][row])
        assert np.abs(viewer.surface(node, time, morphed=False) * (1, -1, -1) - plain[row]).max() < 5e-5
        # expressions also move joints of the model, by less than a millimetre, which a skeleton does not follow
        assert np.abs(viewer.surface(node, time) * (1, -1, -1) - speaking[row]).max() < 1.5e-3


def test_what_is_lost_is_measured(written: tuple[HumanData, Path, Written], models: BodyModels) -> None:
    hd, path, done = written
    viewer, params = Viewer(path), params_of(hd)
    nodes = [n for n, node in enumerate(viewer.document.nodes) if node.skin is not None]
    whole = models.mesh(params)
    worst = max(
        np.linalg.norm(
            viewer.surface(nodes[int(hd["meta/track_id"][row]) - 1], float(hd["meta/time"][row])) * (1, -1, -1)
            - whole[row],
            axis=1,
        ).max()
        for row in range(len(hd))
    )
    said = float(done.left_out[0].split("by up to ")[1].split(" mm")[0])
    assert said == pytest.approx(1000 * worst, abs=0.2)
    assert "0.0 mm by shape" in done.left_out[0]
    assert not any("camera" in sentence for sentence in done.left_out)


@pytest.mark.parametrize("lens", ["dist_coeffs", "fisheye_dist_coeffs", "h36m_dist_coeffs"])
def test_a_lens_that_is_lost_is_told(lens: str, models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=1)
    hd = hd.with_columns({f"meta/{lens}": np.zeros((len(hd), 5 - (lens[0] == "f")), np.float32)})
    done = gltf.write(hd, tmp_path / "clip.glb", Sources(body_models=models))
    assert "the distortion of the lens" in done.left_out


def test_somebody_who_is_not_there_yet_is_not_seen(written: tuple[HumanData, Path, Written]) -> None:
    _, path, _ = written
    viewer = Viewer(path)
    late = [n for n, node in enumerate(viewer.document.nodes) if node.skin is not None][1]
    assert np.ptp(viewer.surface(late, 0.0), axis=0).max() < 1e-6
    assert np.ptp(viewer.surface(late, 0.05), axis=0).max() > 1
    assert np.ptp(viewer.surface(late, 5 / 25 + 0.01), axis=0).max() < 1e-6


def test_trimesh_opens_it_with_the_camera_of_the_images(written: tuple[HumanData, Path, Written]) -> None:
    _, path, _ = written
    scene = trimesh.load(path)
    assert len(scene.geometry) == 2
    assert {len(mesh.faces) for mesh in scene.geometry.values()} == {20908}
    camera = GLTF2().load(str(path)).cameras[0].perspective
    assert camera.yfov == pytest.approx(2 * np.arctan(120 / 300))
    assert camera.aspectRatio == pytest.approx(320 / 240)


def test_images_without_tracks_are_a_file_each(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=2)
    still = HumanData({name: hd[name] for name in hd.columns if name != "meta/track_id"}, passport=hd.passport)
    done = gltf.write(still, tmp_path / "out", Sources(body_models=models))
    assert [path.name for path in done.files] == ["clip_000000.jpg.glb", "clip_000001.jpg.glb"]
    assert not GLTF2().load(str(done.files[1])).animations
    with pytest.raises(UsageError, match="these are 2"):
        gltf.write(still, tmp_path / "one.glb", Sources(body_models=models))


def test_times_and_body_models_must_be_known(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=2)
    timeless = HumanData({name: hd[name] for name in hd.columns if name != "meta/time"}, passport=hd.passport)
    with pytest.raises(UsageError, match="--fps"):
        gltf.write(timeless, tmp_path / "a.glb", Sources(body_models=models))
    assert gltf.write(timeless, tmp_path / "a.glb", Sources(body_models=models, fps=25)).files
    with pytest.raises(UsageError, match="--body-models"):
        gltf.write(hd, tmp_path / "b.glb", Sources())
