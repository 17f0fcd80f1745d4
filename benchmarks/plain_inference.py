"""Inference as the public scripts of SMPLer-X do it: one frame and one person at a time, files in between.

Facts: their ``slurm_inference.sh``, ``main/inference.py``, ``common/utils/preprocessing.py`` and ``vis.py``.
The clip is decoded to JPEG files; each is read and made float32; each person is cut out of a copy of the whole image
at 512 x 384, goes through the network alone, is made a mesh by the ``smplx`` package and written as .npz and .json, and
is mixed in over the whole frame; the frame is written as a JPEG file; at the end these files are read again and encoded
as a video of JPEG images. Two things differ from theirs: boxes are given, no detector runs, and meshes are filled by
OpenCV, face by face, since pyrender needs OpenGL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import smplx
import torch
from rasteriser import polygons

from ehps.benchmark.training import crops
from ehps.body.rendering import shaded
from ehps.inference.predicting import Network

FOCAL = 5000.0  # pixels, of the virtual camera
PINK = np.array([255.0, 193.0, 193.0])
HANDS = {"use_pca": False, "flat_hand_mean": False}


class Script:
    """The script, with a network and a body model that are loaded already.

    Parameters
    ----------
    folder : of the body models; the mesh is that of the neutral SMPL-X.
    draw : whether people are drawn, and a video is made.
    """

    def __init__(self, network: Network, folder: Path, *, draw: bool) -> None:
        self.network, self.draw = network, draw
        self.body = smplx.create(str(folder), "smplx", gender="neutral", num_betas=10, ext="npz", **HANDS).eval()
        self.faces = self.body.faces.astype(np.int64)

    def run(self, clip: Path, boxes: dict[int, np.ndarray], out: Path, *, fps: int) -> int:
        """Write everything below ``out``; the number of frames.

        Parameters
        ----------
        boxes : number of the frame -> (P, 4) x, y, w, h.
        """
        for name in ("frames", "smplx", "meta", "img"):
            (out / name).mkdir(parents=True)
        count = _to_files(clip, out / "frames")
        for number in range(count):
            self._frame(number, boxes.get(number, np.zeros((0, 4))), out)
        if self.draw:
            _to_video(out / "img", out / "overlay.mp4", fps)
        return count

    def _frame(self, number: int, boxes: np.ndarray, out: Path) -> None:
        path = out / "frames" / f"{number + 1:06d}.jpg"
        image = cv2.imread(str(path))[:, :, ::-1].copy().astype(np.float32)
        shown = image.copy()
        widened, _ = self.network.widened(boxes, image.shape[:2])
        for k, box in enumerate(widened):
            found = self._person(image, box)
            np.savez(out / "smplx" / f"{number:05}_{k}.npz", **{n: v.numpy() for n, v in found.items()})
            camera = {"focal": FOCAL * box[2:] / self.network.view.frame[::-1], "princpt": box[:2] + box[2:] / 2}
            said = {**{name: value.tolist() for name, value in camera.items()}, "bbox": box.tolist(), "bbox_id": k}
            (out / "meta" / f"{number:05}_{k}.json").write_text(json.dumps(said, indent=4))
            vertices = self._mesh(found)
            if self.draw:
                shown = self._over(shown, vertices, camera)
        if self.draw:
            cv2.imwrite(str(out / "img" / path.name), shown[:, :, ::-1])

    def _person(self, image: np.ndarray, box: np.ndarray) -> dict[str, torch.Tensor]:
        """What the network says of the pixels of a box, as a batch of one."""
        height, width = self.network.view.size
        whole = image.copy()
        matrix = crops.affine(box, (2 * height, 2 * width), image.shape[1])
        crop = cv2.warpAffine(whole, matrix, (2 * width, 2 * height), flags=cv2.INTER_LINEAR)
        seen = torch.from_numpy(np.ascontiguousarray(crop[::2, ::2].transpose(2, 0, 1)))[None] / 255
        with torch.no_grad():
            out: Any = self.network.net(seen.to(self.network.device)).float()
        return {name: value.cpu() for name, value in {**out.axis_angle(), "transl": out.cam_trans}.items()}

    def _mesh(self, found: dict[str, torch.Tensor]) -> np.ndarray:
        with torch.no_grad():
            posed = self.body(**{name: value.reshape(1, -1) for name, value in found.items()})
        return posed.vertices[0].numpy()

    def _over(self, image: np.ndarray, vertices: np.ndarray, camera: dict[str, np.ndarray]) -> np.ndarray:
        """The image with a mesh over it, as float32: the mesh is drawn alone, and mixed in over the whole frame."""
        pixels = vertices[None, :, :2] / vertices[None, :, 2:] * camera["focal"] + camera["princpt"]
        colours = shaded(vertices[None], self.faces, PINK).clip(1, 255)
        nothing = np.zeros(image.shape, np.uint8)
        alone = polygons(nothing, pixels, vertices[None, :, 2], self.faces, colours, cv2.LINE_8).astype(np.float32)
        there = (alone[:, :, 0] > 0)[:, :, None]
        return alone * there + image * (1 - there)


def _to_files(clip: Path, folder: Path) -> int:
    count = 0
    with av.open(str(clip)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for count, frame in enumerate(container.decode(video=0), start=1):
            cv2.imwrite(str(folder / f"{count:06d}.jpg"), frame.to_ndarray(format="bgr24"))
    return count


def _to_video(folder: Path, out: Path, fps: int) -> None:
    with av.open(str(out), "w") as container:
        stream: Any = None
        for image in _images(folder):
            if stream is None:
                stream = container.add_stream("mjpeg", rate=fps, options={"flags": "+qscale", "global_quality": "236"})
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuvj420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


def _images(folder: Path) -> Iterator[np.ndarray]:
    for path in sorted(folder.iterdir()):
        yield cv2.imread(str(path))
