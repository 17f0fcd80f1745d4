"""Detectors of people: those of other packages, and ONNX files whose outputs are recognised by their shapes.

Facts on layouts: the exports of YOLOX, RT-DETR, RF-DETR, torchvision and Ultralytics. Of all, only people are taken:
class 0 of COCO's 80, class 1 of those that count from 1 (torchvision, RF-DETR's 91).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError, did_you_mean
from ehps.extras import need

GROUP = "ehps.detectors"
"""Entry points of other packages: a name, and a function without arguments that gives a :data:`Detect`."""

Detect = Callable[[Sequence[Array]], list[tuple[Array, Array]]]
"""Images (H, W, 3) uint8 RGB -> boxes (P, 4) x, y, w, h in pixels and scores (P,) of the people in each."""

STRIDES = (8, 16, 32)  # of YOLOX
PAD = 114  # grey of what YOLO-like detectors see beside an image
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet, 0 to 1
FREE = 640  # side of the input where a file leaves it open
COCO_80 = 80
COCO_91 = (91, 92)  # columns of classes that count people as 1
KINDS: Mapping[str, Any] = {
    "tensor(uint8)": np.uint8,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
"""Type of the input -> that of its numbers, where it is not float32."""
MOST = 1.01  # of a score, rounded in half precision
LEAST = 0.01  # score below which nothing is kept
ULTRALYTICS = "ultralytics"
LICENCE = "ultralytics is AGPL-3.0: whoever serves or ships what uses it must publish all of it, or buy a licence"


@dataclass(frozen=True)
class Detector:
    """A detector, and what is to be said of it."""

    detect: Detect
    facts: dict[str, Any]


def load_detector(name: str) -> Detector:
    """A detector by its name, or an ONNX file.

    Raises
    ------
    UsageError : there is no such detector, or what it needs is not installed.
    DataError : the file is no detector that is known here.
    """
    if name.lower().endswith(".onnx"):
        return onnx_detector(Path(name))
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name in points:
        try:
            detect = points[name].load()()
        except Exception as error:
            raise UsageError(f"the detector {name} of {points[name].value} cannot be loaded: {error}") from error
        return Detector(detect, {"detector": name})
    if name.lower().endswith(".pt"):
        return ultralytics_detector(Path(name))
    known = f"{did_you_mean(name, points)}; or give an .onnx file" if points else "give an .onnx file"
    raise UsageError(f"there is no detector {name!r}", fix=known)


def ultralytics_detector(path: Path) -> Detector:
    """A model of the ``ultralytics`` package, which is no dependency: its licence is AGPL.

    Raises
    ------
    UsageError : the package is not installed.
    DataError : there is no such file.
    """
    from importlib import import_module

    try:
        module = import_module(ULTRALYTICS)
    except ImportError:
        raise UsageError(
            f"{path.name} needs the package {ULTRALYTICS}, which is not installed ({LICENCE})",
            fix="install it yourself if that suits you, or give an .onnx file",
        ) from None
    if not path.is_file():
        raise DataError("there is no such file", path=path)
    model = module.YOLO(str(path))

    def detect(images: Sequence[Array]) -> list[tuple[Array, Array]]:
        found = []
        for image in images:
            (result,) = model.predict(np.ascontiguousarray(image[..., ::-1]), classes=[0], conf=LEAST, verbose=False)
            corners = np.asarray(result.boxes.xyxy.cpu(), float).reshape(-1, 4)
            found.append((_sized(corners), np.asarray(result.boxes.conf.cpu(), float)))
        return found

    facts = {"detector": path.name, "sha256": _sha256(path), "package": ULTRALYTICS, "licence": "AGPL-3.0"}
    return Detector(detect, facts)


def onnx_detector(path: Path) -> Detector:
    """A detector in an ONNX file.

    Raises
    ------
    UsageError : onnxruntime is not installed.
    DataError : the file is damaged, or its inputs and outputs are of no layout that is known here.
    """
    need("ONNX detectors", "onnxruntime")
    import onnxruntime

    if not path.is_file():
        raise DataError("there is no such file", path=path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=onnxruntime.get_available_providers())
    except Exception as error:
        what = str(error).splitlines()[0][:200]
        raise DataError(f"cannot be read as an ONNX model ({what})", path=path) from None
    net = _Net(path, session)
    layout = net.layout()
    layout.people(net, np.full((*net.size, 3), PAD, np.uint8))  # what is wrong with it is said before the work begins
    facts = {"detector": path.name, "layout": layout.name, "sha256": _sha256(path)}
    return Detector(lambda images: [layout.people(net, image) for image in images], facts)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class _Layout:
    """A family of exports: what they see, and what their outputs mean."""

    name: str
    people: Callable[[_Net, Array], tuple[Array, Array]]


class _Net:
    """An opened ONNX file."""

    def __init__(self, path: Path, session: Any) -> None:
        self.path, self.session = path, session
        self.inputs = {one.name: one for one in session.get_inputs()}
        self.outputs = {one.name: one for one in session.get_outputs()}
        self.image = next((one for one in session.get_inputs() if len(one.shape) == 4), None)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        assert self.image is not None
        height, width = (side if isinstance(side, int) and side > 0 else FREE for side in self.image.shape[2:])
        return height, width

    def run(self, image: Array, **others: Array) -> dict[str, Array]:
        """Outputs by name, of one image (3, H, W)."""
        assert self.image is not None
        kind = KINDS.get(self.image.type, np.float32)
        feed = {self.image.name: np.ascontiguousarray(image[None].astype(kind)), **others}
        try:
            values = self.session.run(None, feed)
        except Exception as error:  # onnxruntime has no common class of its own
            what = " ".join(str(error).split())[:200]
            fix = "export it for one image at a time, without further inputs"
            raise DataError(f"cannot be run on an image ({what})", path=self.path, fix=fix) from None
        return dict(zip(self.outputs, (np.asarray(value) for value in values), strict=True))

    def layout(self) -> _Layout:
        """Which family it is of.

        Raises
        ------
        DataError : of none that is known here.
        """
        names = {name.lower() for name in self.outputs}
        shapes = [[side if isinstance(side, int) else -1 for side in one.shape] for one in self.outputs.values()]
        if self.image is not None and (self.image.shape[1] in (3, None) or isinstance(self.image.shape[1], str)):
            if "orig_target_sizes" in self.inputs and {"labels", "boxes", "scores"} <= names:
                return _Layout("RT-DETR, end to end", _rt_detr_whole)
            if len(shapes) == 2 and all(len(shape) == 3 for shape in shapes) and 4 in (shapes[0][2], shapes[1][2]):
                return _Layout("DETR (boxes and class logits of queries)", _detr)
            if len(shapes) >= 3 and {"boxes", "labels", "scores"} <= names:
                return _Layout("torchvision", _torchvision)
            if len(shapes) == 1 and len(shapes[0]) == 3:
                return self._dense(shapes[0])
            by_rank = sorted(len(shape) for shape in shapes)
            if len(shapes) >= 3 and by_rank[:2] == [1, 1] and [-1, 4] in [shape[-2:] for shape in shapes]:
                return _Layout("torchvision", _torchvision)
        taken, said = (
            "; ".join(f"{one.name} {one.shape}" for one in ends.values()) for ends in (self.inputs, self.outputs)
        )
        raise DataError(
            f"is of no layout that is known here: it takes {taken} and gives {said}",
            path=self.path,
            fix="export YOLOX, RT-DETR, RF-DETR or torchvision, or find boxes with it and pass --boxes",
        )

    def _dense(self, shape: list[int]) -> _Layout:
        """One output of many candidates: (1, N, 5 + classes) of YOLOX, (1, 4 + classes, N) of Ultralytics, also
        transposed, or (1, N, 6) after their suppression. What the file leaves open is seen by running it."""
        if min(shape[1:]) < 0:
            (found,) = self.run(np.zeros((3, *self.size))).values()
            shape = list(found.shape)
        if len(shape) == 3 and shape[2] == 6 and shape[1] != len(_grids(self.size)[0]):
            return _Layout("YOLO, end to end", _yolo_whole)
        if len(shape) == 3 and shape[2] == COCO_80 + 4:
            return _Layout("YOLO (candidates, 4 + classes)", _yolo_transposed)
        if len(shape) == 3 and shape[1] > shape[2] > 5:
            return _Layout("YOLOX", _yolox)
        return _Layout("YOLO (4 + classes, candidates)", _yolo)


def _yolox(net: _Net, image: Array) -> tuple[Array, Array]:
    """Rows of centre x, y, width, height, objectness and class scores, as offsets on grids of three strides or, in
    exports that decode them, in pixels; the image is at the top left of the input, BGR from 0 to 255."""
    seen, factor = _letterbox(image, net.size, centred=False)
    (rows,) = net.run(seen[..., ::-1].transpose(2, 0, 1)).values()
    rows = rows[0].astype(np.float64)
    grid, stride = _grids(net.size)
    if len(rows) != len(grid):
        raise DataError(f"gives {len(rows)} candidates, not the {len(grid)} of YOLOX at {net.size}", path=net.path)
    boxes = rows[:, :4]
    if not _is_decoded(boxes, net.size):
        boxes = np.concatenate([(boxes[:, :2] + grid) * stride, np.exp(boxes[:, 2:].clip(max=20)) * stride], axis=1)
    scores = rows[:, 4] * rows[:, 5]
    return _kept(_uncentred(boxes) / factor, scores, is_best=rows[:, 5:].argmax(axis=1) == 0, path=net.path)


def _is_decoded(boxes: Array, size: tuple[int, int]) -> bool:
    """Whether candidates are in pixels: then their centres are spread over the input, offsets are within some cells."""
    return bool(np.percentile(np.abs(boxes[:, :2]), 90) > max(size) / 8)


def _grids(size: tuple[int, int]) -> tuple[Array, Array]:
    """Cells (N, 2) x, y and strides (N, 1) of YOLOX's candidates."""
    cells, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(cells).astype(float), np.concatenate(strides).astype(float)


def _yolo(net: _Net, image: Array, *, transposed: bool = False) -> tuple[Array, Array]:
    """Columns, or rows, of centre x, y, width, height in pixels and class scores; RGB from 0 to 1, the image in the
    middle."""
    seen, factor, shift = _middle(image, net.size)
    (found,) = net.run(seen.transpose(2, 0, 1) / 255).values()
    rows = found[0].astype(np.float64)
    rows = rows if transposed else rows.T
    boxes = (_uncentred(rows[:, :4]) - np.array([*shift, 0, 0])) / factor
    if rows.shape[1] < 5 or (rows[:, 4:] > MOST).any():
        what = f"gives {rows.shape[1]} numbers a candidate, which are no box with scores of classes"
        raise DataError(what, path=net.path, fix="export a model that detects, without poses or turned boxes")
    return _kept(boxes, rows[:, 4], is_best=rows[:, 4:].argmax(axis=1) == 0, path=net.path)


def _yolo_transposed(net: _Net, image: Array) -> tuple[Array, Array]:
    return _yolo(net, image, transposed=True)


def _yolo_whole(net: _Net, image: Array) -> tuple[Array, Array]:
    """Rows of left, top, right, bottom in pixels, score and class."""
    seen, factor, shift = _middle(image, net.size)
    (found,) = net.run(seen.transpose(2, 0, 1) / 255).values()
    rows = found[0].astype(np.float64)
    boxes = (_sized(rows[:, :4]) - np.array([*shift, 0, 0])) / factor
    return _kept(boxes, rows[:, 4], is_best=rows[:, 5].round() == 0, path=net.path)


def _detr(net: _Net, image: Array) -> tuple[Array, Array]:
    """Queries: boxes of centre x, y, width, height from 0 to 1, and logits of classes; the image is stretched, RGB.

    RF-DETR wants ImageNet's mean and deviation taken off and counts people as 1 of 91; RT-DETR wants 0 to 1 and counts
    them as 0 of 80.
    """
    stretched = cv2.resize(image, net.size[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float64) / 255
    if any(one.shape[2] in COCO_91 for one in net.outputs.values()):
        stretched = (stretched - MEAN) / DEVIATION
    found = list(net.run(stretched.transpose(2, 0, 1)).items())
    (_, first), (_, second) = found if found[0][1].shape[2] == 4 else found[::-1]
    boxes = first[0].astype(np.float64)
    scores = 1 / (1 + np.exp(-second[0].astype(np.float64)))
    person = 1 if scores.shape[1] in COCO_91 else 0
    height, width = image.shape[:2]
    boxes = _uncentred(boxes) * np.array([width, height, width, height])
    return _kept(boxes, scores[:, person], is_best=scores.argmax(axis=1) == person, path=net.path)


def _rt_detr_whole(net: _Net, image: Array) -> tuple[Array, Array]:
    """Labels, boxes (corners in pixels of the original image) and scores, the original size being a second input."""
    height, width = image.shape[:2]
    stretched = cv2.resize(image, net.size[::-1], interpolation=cv2.INTER_LINEAR) / 255
    values = net.run(stretched.transpose(2, 0, 1), orig_target_sizes=np.array([[width, height]], np.int64))
    labels, boxes, scores = (_flat(values, name) for name in ("labels", "boxes", "scores"))
    return _kept(_sized(boxes.astype(float)), scores.astype(float), is_best=labels.astype(int) == 0, path=net.path)


def _torchvision(net: _Net, image: Array) -> tuple[Array, Array]:
    """Boxes (corners in pixels of the input), labels from 1, scores; RGB from 0 to 1. A fixed input is stretched to."""
    assert net.image is not None
    height, width = image.shape[:2]
    fixed = all(isinstance(side, int) and side > 0 for side in net.image.shape[2:])
    seen = cv2.resize(image, net.size[::-1], interpolation=cv2.INTER_LINEAR) if fixed else image
    values = net.run(seen.transpose(2, 0, 1) / 255)
    by_name = {"boxes", "labels", "scores"} <= {name.lower() for name in values}
    if by_name:
        boxes, labels, scores = (_flat(values, name) for name in ("boxes", "labels", "scores"))
    else:
        boxes = next(value for value in values.values() if value.shape[-1] == 4 and value.ndim >= 2)
        labels = next(value for value in values.values() if value.ndim == 1 and value.dtype.kind in "iu")
        scores = next(value for value in values.values() if value.ndim == 1 and value.dtype.kind == "f")
    scale = np.array([width / seen.shape[1], height / seen.shape[0]] * 2)
    boxes, scores = _sized(boxes.astype(float)) * scale, scores.astype(float)
    return _kept(boxes, scores, is_best=labels.astype(int) == 1, path=net.path)


def _flat(values: Mapping[str, Array], name: str) -> Array:
    """An output by its name, without the axis of images."""
    value = next(value for key, value in values.items() if key.lower() == name)
    return value[0] if value.ndim == (3 if name == "boxes" else 2) else value


def _letterbox(image: Array, size: tuple[int, int], *, centred: bool) -> tuple[Array, float]:
    """(H, W, 3) float: the image as large as it fits into ``size``, grey beside it; and the factor of its size."""
    factor = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = round(image.shape[0] * factor), round(image.shape[1] * factor)
    out = np.full((*size, 3), PAD, np.float64)
    top, left = ((size[0] - height) // 2, (size[1] - width) // 2) if centred else (0, 0)
    out[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return out, factor


def _middle(image: Array, size: tuple[int, int]) -> tuple[Array, float, tuple[int, int]]:
    """As :func:`_letterbox`, in the middle, and where (x, y) the image begins."""
    seen, factor = _letterbox(image, size, centred=True)
    height, width = round(image.shape[0] * factor), round(image.shape[1] * factor)
    return seen, factor, ((size[1] - width) // 2, (size[0] - height) // 2)


def _kept(boxes: Array, scores: Array, is_best: Array, path: Path) -> tuple[Array, Array]:
    if np.isnan(scores).any() or (scores > MOST).any():
        worst = "nan" if np.isnan(scores).any() else f"{scores.max():g}"
        what = f"gives scores up to {worst}, which are no shares of 1"
        raise DataError(what, path=path, fix="export it again, or find boxes with it and pass --boxes")
    keep = is_best & (scores >= LEAST) & np.isfinite(boxes).all(axis=1)
    return boxes[keep], scores[keep]


def _uncentred(boxes: Array) -> Array:
    """Centre x, y, w, h -> left, top, w, h."""
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _sized(corners: Array) -> Array:
    """Left, top, right, bottom -> left, top, w, h."""
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
