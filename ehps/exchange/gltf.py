"""glTF 2.0: skinned and animated people, one ``.glb`` a sequence (an image, where rows belong to none).

Facts: the glTF 2.0 specification of the Khronos group. Metres, seconds, y up, a camera looks along its -z: the
OpenCV camera frame turned by 180 degrees about x, which one node above all people does. Of a skin, eight bones a
vertex are kept; expression coefficients are morph targets; a person is scaled to nothing while it is not there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import ehps
from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.body.projected import lens_column
from ehps.body.variants import params_of
from ehps.errors import UsageError
from ehps.exchange.forms import Sources, Written
from ehps.exchange.skeletons import DEPTHS, Animated, animated, loss, need_models
from ehps.exchange.tracks import FileNames, Track, by_sequence, tracks_of
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.drawing.persons import person_colour

INFLUENCES = 8  # bones a vertex: two sets of four
NEAR, FAR = 0.05, 1000.0  # metres
FLOAT, SHORT, INT = 5126, 5123, 5125
VERTICES, INDICES = 34962, 34963  # what a buffer view is for
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
CAMERA = ("meta/focal_length", "meta/principal_point", "meta/height", "meta/width")


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write the people of ``hd``.

    Parameters
    ----------
    out : a ``.glb`` file for one sequence or image, else a folder with a file for each.

    Raises
    ------
    UsageError : body models or the times of the images are not known, or one file was asked for several sequences.
    DataError, PassportError : there are no bodies in the camera frame.
    """
    models = need_models(sources.body_models, "glTF")
    frames.required(hd, "glTF")
    scenes = by_sequence(tracks_of(hd, sources.fps))
    one = out.suffix.lower() == ".glb"
    if one and len(scenes) != 1:
        raise UsageError(
            f"one file holds one sequence or image, and these are {len(scenes)}", path=out, fix="name a folder"
        )
    done, names = Written(), FileNames()
    worst = {"pose": 0.0, "shape": 0.0}
    for name, tracks in scenes.items():
        path = out if one else out / f"{names.of(name)}.glb"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene = _Scene()
        for track in tracks:
            person = animated(hd, track, models)
            scene.add(person, track, len(scene.people))
            worst["pose"] = max(worst["pose"], loss(person, params_of(hd[track.rows]), models))
            worst["shape"] = max(worst["shape"], person.shape_range)
        if (camera := _camera(hd, tracks)) is not None:
            scene.camera(camera)
        with replacing(path) as temporary:
            temporary.write_bytes(scene.packed())
        done.files.append(path)
    done.left_out = _left_out(hd, scenes, worst)
    return done


def _left_out(hd: HumanData, scenes: dict[str, list[Track]], worst: dict[str, float]) -> list[str]:
    said = [
        "corrections of the surface that depend on the pose, and shapes that change in time: surfaces differ from the "
        f"body model's by up to {1000 * worst['pose']:.1f} mm ({1000 * worst['shape']:.1f} mm by shape)"
    ]
    said.append("boxes, keypoints and what else is known of the rows")
    if hd.passport.focal == "virtual":
        said.append(DEPTHS)
    if any(_camera(hd, tracks) is None for tracks in scenes.values()):
        said.append("a camera: it is not known, or not the same in all images of a sequence")
    if lens_column(hd) is not None:
        said.append("the distortion of the lens")
    return said


def _camera(hd: HumanData, tracks: list[Track]) -> dict[str, float] | None:
    """yfov (radians) and aspect ratio of the camera that all rows share; None where there is none.

    glTF knows no principal point: one that is off the middle by more than a hundredth of the image is no such camera.
    """
    if any(name not in hd for name in CAMERA):
        return None
    rows = np.concatenate([track.rows for track in tracks])
    focal, centre, height, width = (np.asarray(hd[name])[rows].astype(float) for name in CAMERA)
    values = np.column_stack([focal, centre, height, width])
    if not np.allclose(values, values[0], rtol=1e-4):
        return None
    fx, fy, cx, cy, h, w = values[0].tolist()
    off = max(abs(cx - w / 2) / w, abs(cy - h / 2) / h)
    if off > 0.01 or abs(fx / fy - 1) > 0.01 or min(fx, h, w) <= 0:
        return None
    return {"yfov": 2 * float(np.arctan(h / 2 / fy)), "aspectRatio": w / h}


class _Scene:
    """A glTF document that grows: nodes, and one buffer of all arrays."""

    def __init__(self) -> None:
        self.people: list[int] = []
        self._bytes = bytearray()
        self._document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": f"ehps {ehps.__version__}"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"name": "opencv_camera_frame", "rotation": [1.0, 0.0, 0.0, 0.0], "children": []}],
            "buffers": [],
            "bufferViews": [],
            "accessors": [],
            "materials": [],
            "meshes": [],
            "skins": [],
        }

    def add(self, person: Animated, track: Track, number: int) -> None:
        """A person, its bones, its surface, and how it moves."""
        nodes = self._document["nodes"]
        root, first = len(nodes), len(nodes) + 1
        bones = first + np.arange(len(person.bones))
        nodes.append({"name": track.name, "children": [first]})
        nodes[0]["children"].append(root)
        for bone, (name, parent) in enumerate(zip(person.bones, person.parents.tolist(), strict=True)):
            offset = person.pelvis[0] if parent < 0 else person.joints[bone] - person.joints[parent]
            children = [first + int(child) for child in np.flatnonzero(person.parents == bone)]
            node = {
                "name": name,
                "translation": offset.tolist(),
                "rotation": _quaternions(person.rotations[0, bone]).tolist(),
            }
            nodes.append(node | ({"children": children} if children else {}))
        surface = len(nodes)
        mesh = {
            "name": f"{track.name}_surface",
            "mesh": self._mesh(person, number),
            "skin": len(self._document["skins"]),
        }
        nodes.append(mesh)
        self._document["scenes"][0]["nodes"].append(surface)
        inverse = np.tile(np.eye(4, dtype=np.float32), (len(bones), 1, 1))
        inverse[:, 3, :3] = -person.joints  # column by column
        self._document["skins"].append(
            {
                "joints": bones.tolist(),
                "skeleton": first,
                "inverseBindMatrices": self._array(inverse.reshape(-1, 16)),
            }
        )
        self.people.append(root)
        if len(track.rows) > 1:
            self._animate(person, track, root, first, surface)

    def camera(self, seen: dict[str, float]) -> None:
        """A camera at the origin, as the images were taken."""
        self._document["cameras"] = [{"type": "perspective", "perspective": {**seen, "znear": NEAR, "zfar": FAR}}]
        self._document["scenes"][0]["nodes"].append(len(self._document["nodes"]))
        self._document["nodes"].append({"name": "camera", "camera": 0})

    def packed(self) -> bytes:
        """The ``.glb`` file."""
        document = {key: value for key, value in self._document.items() if value}
        document["buffers"] = [{"byteLength": len(self._bytes)}]
        text = json.dumps(document, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(self._bytes)
        numbers = [np.array(part, "<u4").tobytes() for part in ((0x46546C67, 2, total), (len(text), 0x4E4F534A))]
        binary = np.array((len(self._bytes), 0x004E4942), "<u4").tobytes()
        return b"".join((*numbers, text, binary, bytes(self._bytes)))

    def _mesh(self, person: Animated, number: int) -> int:
        import trimesh

        document, vertices = self._document, person.vertices
        normals = trimesh.Trimesh(vertices, person.model.faces, process=False).vertex_normals
        order = np.argsort(-person.model.weights, axis=1, kind="stable")[:, :INFLUENCES]
        shares = np.take_along_axis(person.model.weights, order, axis=1)
        shares = shares / shares.sum(axis=1, keepdims=True)
        order = np.where(shares > 0, order, 0)  # a bone without a share is the first, as the specification asks
        attributes = {
            "POSITION": self._array(vertices, VERTICES, limits=True),
            "NORMAL": self._array(normals, VERTICES),
        }
        for group in range(INFLUENCES // 4):
            part = slice(4 * group, 4 * group + 4)
            attributes[f"JOINTS_{group}"] = self._array(order[:, part].astype(np.uint16), VERTICES)
            attributes[f"WEIGHTS_{group}"] = self._array(shares[:, part], VERTICES)
        colour = [((value / 255) ** 2.2) for value in person_colour(number)]
        document["materials"].append(
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*colour, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                }
            }
        )
        primitive: dict[str, Any] = {
            "attributes": attributes,
            "indices": self._array(person.model.faces.reshape(-1, 1).astype(np.uint32), INDICES),
            "material": len(document["materials"]) - 1,
        }
        mesh: dict[str, Any] = {"primitives": [primitive]}
        if len(person.expressions):
            primitive["targets"] = [
                {"POSITION": self._array(moved, VERTICES, limits=True)} for moved in person.expressions
            ]
            mesh["weights"] = person.weights[0].tolist()
            mesh["extras"] = {"targetNames": [f"expression_{k}" for k in range(len(person.expressions))]}
        document["meshes"].append(mesh)
        return len(document["meshes"]) - 1

    def _animate(self, person: Animated, track: Track, root: int, first: int, surface: int) -> None:
        animations = self._document.setdefault("animations", [{"name": track.sequence, "samplers": [], "channels": []}])
        samplers, channels = animations[0]["samplers"], animations[0]["channels"]
        times = self._array(track.times[:, None], limits=True)

        def channel(node: int, path: str, values: Array, at: int = times, how: str = "LINEAR") -> None:
            channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
            samplers.append({"input": at, "output": self._array(values), "interpolation": how})

        channel(first, "translation", person.pelvis)
        for bone in range(len(person.bones)):
            channel(first + bone, "rotation", _continuous(_quaternions(person.rotations[:, bone])))
        if len(person.expressions):
            channel(surface, "weights", person.weights.reshape(-1, 1))
        step = float(np.median(np.diff(track.times)))
        begin, end = float(track.times[0]), float(track.times[-1]) + step
        shown = [(0.0, 0.0)] if begin > 0 else []
        shown += [(begin, 1.0), (end, 0.0)]
        at = self._array(np.array([[time] for time, _ in shown]), limits=True)
        channel(root, "scale", np.array([[size] * 3 for _, size in shown]), at, "STEP")

    def _array(self, values: Array, target: int | None = None, *, limits: bool = False) -> int:
        """Number of the accessor of (n, k) values, appended to the buffer."""
        values = np.ascontiguousarray(values, values.dtype if values.dtype in (np.uint16, np.uint32) else np.float32)
        kind = {"f": FLOAT, "u": SHORT if values.itemsize == 2 else INT}[values.dtype.kind]
        self._bytes.extend(b"\0" * (-len(self._bytes) % 4))
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._bytes), "byteLength": values.nbytes}
        if target is not None:
            view["target"] = target
        self._bytes.extend(values.tobytes())
        accessor: dict[str, Any] = {
            "bufferView": len(self._document["bufferViews"]),
            "componentType": kind,
            "count": len(values),
            "type": KINDS[values.shape[1]],
        }
        if limits:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self._document["bufferViews"].append(view)
        self._document["accessors"].append(accessor)
        return len(self._document["accessors"]) - 1


def _quaternions(matrices: Array) -> Array:
    """(..., 3, 3) -> (..., 4) x, y, z, w."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(matrices).as_quat())


def _continuous(quaternions: Array) -> Array:
    """(T, 4) with signs that make each the nearer one to that before, so that what is between turns the short way."""
    steps = (quaternions[1:] * quaternions[:-1]).sum(axis=1)
    signs = np.cumprod(np.concatenate([[1.0], np.where(steps < 0, -1.0, 1.0)]))
    return np.asarray(quaternions * signs[:, None])
