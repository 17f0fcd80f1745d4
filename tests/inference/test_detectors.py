"""ONNX detectors of each layout: graphs that find a white rectangle in what they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ehps.errors import DataError, UsageError
from ehps.inference.detectors import load_detector
from ehps.inference.people import RULES, Rules, chosen, suppressed

SIDE = 128
BOX = (80.0, 48.0, 96.0, 64.0)  # of the white rectangle, in an image of 256 x 192: half of it fits into the input
IMAGE = np.zeros((192, 256, 3), np.uint8)
IMAGE[48:112, 80:176] = 255


class Graph:
    """Builds a graph whose corners (x0, y0, x1, y1) are those of what is bright in its input."""

    def __init__(self, bright: float, side: int | None = SIDE) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        shape = [1, 3, side or "height", side or "width"]
        self.inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
        mask = self.op("Cast", self.op("Greater", "images", self.constant(np.float32(bright))), to=TensorProto.FLOAT)
        x0, x1 = self.ends(self.op("ReduceMax", mask, axes=[0, 1, 2], keepdims=0))
        y0, y1 = self.ends(self.op("ReduceMax", mask, axes=[0, 1, 3], keepdims=0))
        self.corners = self.op("Concat", x0, y0, x1, y1, axis=0)
        low = self.op("Concat", x0, y0, axis=0)
        size = self.op("Sub", self.op("Concat", x1, y1, axis=0), low)
        half = self.op("Mul", size, self.constant(np.float32(0.5)))
        self.centred = self.op("Concat", self.op("Add", low, half), size, axis=0)

    def ends(self, profile: str) -> tuple[str, str]:
        first = self.op("Cast", self.op("ArgMax", profile, axis=0, keepdims=1), to=TensorProto.FLOAT)
        count = self.op("ReduceSum", profile, self.constant(np.array([0])), keepdims=1)
        return first, self.op("Add", first, count)

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def rows(self, row: str, count: int, rest: Sequence[float], others: str) -> str:
        """(1, count, len): one row, its rest, and rows of zeros after it; ``others`` how the rest is called."""
        whole = self.op("Concat", row, self.constant(np.float32(rest)), axis=0)
        first = self.op("Unsqueeze", whole, self.constant(np.array([0, 1])))
        zeros = self.constant(np.full((1, count - 1, 4 + len(rest)), 0, np.float32))
        return self.op("Concat", first, zeros, axis=1, name=others)

    def save(self, path: Path, outputs: dict[str, tuple[str, int, list]]) -> Path:
        ends = []
        for name, (value, kind, shape) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
            ends.append(helper.make_tensor_value_info(name, kind, shape))
        graph = helper.make_graph(self.nodes, "detector", self.inputs, ends, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, str(path))
        return path


FLOAT = TensorProto.FLOAT
CELLS = 256 + 64 + 16


def yolox_decoded(path: Path) -> Path:
    graph = Graph(200)
    others = np.zeros((1, CELLS - 1, 85), np.float32)
    others[..., :2] = 30
    row = graph.op("Concat", graph.centred, graph.constant(np.float32([0.9, 1.0] + [0] * 79)), axis=0)
    first = graph.op("Unsqueeze", row, graph.constant(np.array([0, 1])))
    rows = graph.op("Concat", first, graph.constant(others), axis=1)
    return graph.save(path, {"output": (rows, FLOAT, [1, CELLS, 85])})


def yolox_raw(path: Path) -> Path:
    """Offsets on the first cell of the coarsest grid (32 pixels), the 321st candidate."""
    graph = Graph(200)
    scaled = graph.op("Mul", graph.centred, graph.constant(np.float32(1 / 32)))
    at, size = (graph.op("Slice", scaled, *(graph.constant(np.array([k])) for k in ends)) for ends in ((0, 2), (2, 4)))
    row = graph.op("Concat", at, graph.op("Log", size), graph.constant(np.float32([0.9, 1.0] + [0] * 79)), axis=0)
    first = graph.op("Unsqueeze", row, graph.constant(np.array([0, 1])))
    before, after = (graph.constant(np.zeros((1, count, 85), np.float32)) for count in (320, 15))
    return graph.save(path, {"output": (graph.op("Concat", before, first, after, axis=1), FLOAT, [1, CELLS, 85])})


def ultralytics(path: Path) -> Path:
    graph = Graph(0.8)
    rows = graph.op("Transpose", graph.rows(graph.centred, CELLS, [0.9] + [0] * 79, "rows"), perm=[0, 2, 1])
    return graph.save(path, {"output0": (rows, FLOAT, [1, 84, CELLS])})


def ultralytics_whole(path: Path) -> Path:
    graph = Graph(0.8)
    return graph.save(path, {"output0": (graph.rows(graph.corners, 300, [0.9, 0], "rows"), FLOAT, [1, 300, 6])})


def detr(path: Path, classes: int, person: int, bright: float, names: tuple[str, str]) -> Path:
    graph = Graph(bright)
    row = graph.op("Mul", graph.centred, graph.constant(np.float32(1 / SIDE)))
    logits = np.full((1, 5, classes), -9, np.float32)
    logits[0, 0, person] = 2.2
    boxes = (graph.rows(row, 5, [], "boxes"), FLOAT, [1, 5, 4])
    return graph.save(path, {names[0]: boxes, names[1]: (graph.constant(logits), FLOAT, [1, 5, classes])})


def rt_detr(path: Path) -> Path:
    return detr(path, 80, 0, 0.8, ("pred_boxes", "logits"))


def rf_detr(path: Path) -> Path:
    return detr(path, 91, 1, 1.5, ("dets", "labels"))


def rt_detr_whole(path: Path) -> Path:
    graph = Graph(0.8)
    graph.inputs.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2]))
    size = graph.op("Cast", graph.op("Squeeze", "orig_target_sizes", graph.constant(np.array([0]))), to=FLOAT)
    factor = graph.op("Mul", graph.op("Concat", size, size, axis=0), graph.constant(np.float32(1 / SIDE)))
    boxes = graph.rows(graph.op("Mul", graph.corners, factor), 3, [], "boxes")
    labels = graph.constant(np.array([[0, 5, 5]]))
    scores = graph.constant(np.float32([[0.9, 0.8, 0.7]]))
    return graph.save(
        path,
        {
            "labels": (labels, TensorProto.INT64, [1, 3]),
            "boxes": (boxes, FLOAT, [1, 3, 4]),
            "scores": (scores, FLOAT, [1, 3]),
        },
    )


def torchvision(path: Path) -> Path:
    graph = Graph(0.8, side=None)
    boxes = graph.op("Squeeze", graph.rows(graph.corners, 2, [], "boxes"), graph.constant(np.array([0])))
    return graph.save(
        path,
        {
            "boxes": (boxes, FLOAT, ["people", 4]),
            "labels": (graph.constant(np.array([1, 3])), TensorProto.INT64, ["people"]),
            "scores": (graph.constant(np.float32([0.9, 0.8])), FLOAT, ["people"]),
        },
    )


def yolox_of_people(path: Path) -> Path:
    """Of one class and open shapes: as many numbers a candidate as an export after suppression has."""
    graph = Graph(200)
    others = np.zeros((1, CELLS - 1, 6), np.float32)
    others[..., :2] = 30
    row = graph.op("Concat", graph.centred, graph.constant(np.float32([0.9, 1.0])), axis=0)
    first = graph.op("Unsqueeze", row, graph.constant(np.array([0, 1])))
    rows = graph.op("Concat", first, graph.constant(others), axis=1)
    return graph.save(path, {"output": (rows, FLOAT, [1, "candidates", "numbers"])})


def ultralytics_transposed(path: Path) -> Path:
    graph = Graph(0.8)
    return graph.save(
        path, {"output0": (graph.rows(graph.centred, CELLS, [0.9] + [0] * 79, "rows"), FLOAT, [1, CELLS, 84])}
    )


def of_poses(path: Path) -> Path:
    graph = Graph(0.8)
    rows = graph.op("Transpose", graph.rows(graph.centred, CELLS, [0.9] + [77] * 51, "rows"), perm=[0, 2, 1])
    return graph.save(path, {"output0": (rows, FLOAT, [1, 56, CELLS])})


def of_numbers_that_are_none(path: Path) -> Path:
    graph = Graph(0.8)
    return graph.save(path, {"output0": (graph.constant(np.full((1, 84, 9), np.nan, np.float32)), FLOAT, [1, 84, 9])})


def with_another_input(path: Path) -> Path:
    graph = Graph(0.8)
    graph.inputs.append(helper.make_tensor_value_info("size", FLOAT, [1, 2]))
    return graph.save(path, {"output0": (graph.rows(graph.corners, 300, [0.9, 0], "rows"), FLOAT, [1, 300, 6])})


@pytest.mark.parametrize("make", [of_poses, of_numbers_that_are_none, with_another_input])
def test_what_finds_no_people_by_its_nature_is_refused_before_the_work(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    with pytest.raises(DataError, match=r"net\.onnx"):
        load_detector(str(make(tmp_path / "net.onnx")))


@pytest.mark.parametrize(
    "make",
    [
        yolox_of_people,
        ultralytics_transposed,
        yolox_decoded,
        yolox_raw,
        ultralytics,
        ultralytics_whole,
        rt_detr,
        rf_detr,
        rt_detr_whole,
        torchvision,
    ],
)
def test_each_layout_finds_the_person(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    detector = load_detector(str(make(tmp_path / "net.onnx")))
    ((boxes, scores),) = detector.detect([IMAGE])
    best = boxes[scores.argmax()]
    assert (scores > 0.5).sum() == 1
    assert scores.max() == pytest.approx(0.9, abs=0.01)
    assert np.abs(best - BOX).max() <= 4.0, (detector.facts["layout"], best)


def test_an_unknown_layout_lists_its_outputs(tmp_path: Path) -> None:
    graph = Graph(0.5)
    path = graph.save(tmp_path / "net.onnx", {"strange": (graph.corners, FLOAT, [4])})
    with pytest.raises(DataError, match=r"strange \[4\]"):
        load_detector(str(path))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"bad\.onnx"):
        load_detector(str(tmp_path / "bad.onnx"))


def test_unknown_names_and_the_licence_of_ultralytics() -> None:
    with pytest.raises(UsageError, match="no detector 'none'"):
        load_detector("none")
    with pytest.raises(UsageError, match="AGPL"):
        load_detector("yolov8x.pt")


def test_rules_of_the_originals() -> None:
    boxes = np.array([[0, 0, 60, 160], [2, 2, 60, 160], [200, 0, 49, 160], [300, 0, 50, 150], [400, 0, 60, 149]], float)
    scores = np.array([0.1, 0.2, 0.9, 0.8, 0.9])
    assert chosen(boxes, scores, RULES["smpler-x"])[0][:, 0].tolist() == [300, 2]
    assert chosen(boxes, scores, RULES["smplest-x"])[0][:, 0].tolist() == [300]
    assert chosen(boxes, scores, Rules(score=0, largest_only=True))[0][:, 0].tolist() == [2]


def test_inclusive_pixels_make_a_box_one_wider() -> None:
    boxes = np.array([[0, 0, 2, 1], [1, 0, 2, 1]], float)  # 1/3 of the union; counted inclusively 4/8
    assert suppressed(boxes, 0.4).tolist() == [True, True]
    assert suppressed(boxes, 0.4, inclusive=True).tolist() == [True, False]
