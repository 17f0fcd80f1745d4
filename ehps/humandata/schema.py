"""What every column means: shape, dtype, unit. Validation, the docs page and ``ehps humandata info`` derive from it.

Facts: the key tables of mmhuman3d's HumanData (branches main and convertors), what its converters write beside them,
and what SMPLer-X, SMPLest-X and AiOS read. Everything is in the OpenCV camera frame (x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ehps.humandata.quality_table import MEASURES

TEXT = "text"
ANY = "any"
FISHEYE = "meta/fisheye_dist_coeffs"
H36M = "meta/h36m_dist_coeffs"
"""Coefficients of OpenCV's fisheye: where they are, ``meta/focal_length`` alone says nothing of the images' borders."""


@dataclass(frozen=True)
class Field:
    """One column, or with ``*`` in the name a family of columns.

    Attributes
    ----------
    name : of the column; ``*`` stands for any ending.
    shape : numbers and symbols: N instances, K points, B shape coefficients, E expression coefficients; a last
        ``...`` stands for any further axes.
    dtype : as ehps writes it; ``text``, or ``any`` where the dataset decides. Other numeric types are read as well.
    unit : of the numbers, empty where there is none.
    meaning : one sentence without a full stop.
    required : every file has it.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    unit: str
    meaning: str
    required: bool = False

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape may be such a column; symbols stand for any number."""
        wanted = self.shape
        if wanted[-1] == "...":
            wanted, shape = wanted[:-1], shape[: len(wanted) - 1]
        return len(shape) == len(wanted) and all(
            isinstance(w, str) or w == s for w, s in zip(wanted, shape, strict=True)
        )

    @property
    def shape_text(self) -> str:
        return f"({', '.join(map(str, self.shape))}{',' if len(self.shape) == 1 else ''})"


_F = "float32"
_MHR_REST = "rotation (Euler xyz, radian), 130 joint parameters, 68 scales, as released; NaN without a fit"
_BOX = "x, y of the top-left corner, width, height, confidence (0: no box)"


def _points(ending: str, of: str) -> tuple[Field, Field]:
    return (
        Field(f"keypoints2d{ending}", ("N", "K", 3), _F, "pixel", f"{of}: x, y in the image, confidence"),
        Field(f"keypoints3d{ending}", ("N", "K", 4), _F, "metre", f"{of}: x, y, z in the camera frame, confidence"),
    )


def _body(model_type: str, model: str, joints: int) -> tuple[Field, ...]:
    fields = [
        Field("betas", ("N", "B"), _F, "", f"{model} shape coefficients"),
        Field("transl", ("N", 3), _F, "metre", "translation in the camera frame"),
        Field("global_orient", ("N", 3), _F, "radian", "rotation of the pelvis in the camera frame, axis-angle"),
        Field("body_pose", ("N", joints, 3), _F, "radian", "rotations of the body joints, axis-angle"),
    ]
    if model_type != "smpl":
        mean = "relative to the mean hand unless the passport says flat_hand_mean"
        fields += [
            Field(f"{side}_hand_pose", ("N", 15, 3), _F, "radian", f"finger joints, axis-angle, {mean}")
            for side in ("left", "right")
        ]
    if model_type == "smplx":
        fields += [
            Field("jaw_pose", ("N", 3), _F, "radian", "rotation of the jaw, axis-angle"),
            Field("leye_pose", ("N", 3), _F, "radian", "rotation of the left eye, axis-angle"),
            Field("reye_pose", ("N", 3), _F, "radian", "rotation of the right eye, axis-angle"),
            Field("expression", ("N", "E"), _F, "", "expression coefficients"),
            Field("lhand_root", ("N", 1, 3), _F, "radian", "hand-only data: rotation of the left hand, axis-angle"),
            Field("rhand_root", ("N", 1, 3), _F, "radian", "hand-only data: rotation of the right hand, axis-angle"),
        ]
    fields += [
        Field("betas_neutral", ("N", "B"), _F, "", "shape of the neutral model that imitates the gendered one"),
        Field("betas_extra", ("N", 1), _F, "", "weight of the kid template, 0 for adults"),
    ]
    return tuple(replace(field, name=f"{model_type}/{field.name}") for field in fields)


_META = (
    Field("height", ("N",), "int32", "pixel", "height of the image"),
    Field("width", ("N",), "int32", "pixel", "width of the image"),
    Field("image_scale", ("N",), _F, "", "pixels of the image per pixel of the labelled one; labels are scaled"),
    Field("gender", ("N",), TEXT, "", "gender of the body model that the parameters belong to: male, female, neutral"),
    Field("focal_length", ("N", 2), _F, "pixel", "focal length in x and y"),
    Field("principal_point", ("N", 2), _F, "pixel", "principal point x, y"),
    Field("dist_coeffs", ("N", "K"), _F, "", "lens distortion in OpenCV order: k1 k2 p1 p2 k3 [k4 k5 k6]"),
    Field("fisheye_dist_coeffs", ("N", 4), _F, "", "distortion of OpenCV's fisheye lens: k1 k2 k3 k4"),
    Field(
        "h36m_dist_coeffs",
        ("N", 5),
        _F,
        "",
        "distortion of Human3.6M's lens: k1 k2 p1 p2 k3, the tangential terms once where OpenCV has some twice",
    ),
    Field("h36m_focal_length", ("N", 2), _F, "pixel", "focal length of that lens, where focal_length is a pinhole's"),
    Field("h36m_principal_point", ("N", 2), _F, "pixel", "principal point of that lens, likewise"),
    Field("RT", ("N", 4, 4), _F, "metre", "world to camera, for reference: parameters are in the camera frame already"),
    Field("R", ("N", 3, 3), _F, "", "rotation viewers still have to apply, where parameters are not in camera frame"),
    Field("T", ("N", 3), _F, "metre", "translation that viewers still have to apply, with R"),
    Field("neutral_residual_m", ("N",), _F, "metre", "distance of vertices from those of the gendered body before"),
    Field("refit_residual_m", ("N",), _F, "metre", "distance of vertices from those of the body model before"),
    Field("dataset", ("N",), TEXT, "", "dataset of the row in files made of several"),
    Field("sequence_name", ("N",), TEXT, "", "sequence, video or scene"),
    Field("scene", ("N",), TEXT, "", "scene in which the images were taken or rendered"),
    Field("track_id", ("N",), ANY, "", "the same person has the same id in all images of a sequence"),
    Field("person_id", ("N",), ANY, "", "number of the person within the image or sequence"),
    Field("annotation_id", ("N",), ANY, "", "id of the row in the dataset's own annotation"),
    Field(
        "annotation_index",
        ("N",),
        "int32",
        "",
        "number of the row among all of the dataset's annotations of the scene or file, from 1, before any filter",
    ),
    Field("image_id", ("N",), ANY, "", "id of the image in the dataset's own annotation"),
    Field("image_index", ("N",), "int32", "", "number of the image, where rows of one image share a number"),
    Field("frame_id", ("N",), ANY, "", "number of the frame in its sequence"),
    Field("timestamp", ("N",), ANY, "", "time of recording as the dataset gives it"),
    Field("time", ("N",), "float64", "second", "time of the image in its video, from the first frame"),
    Field("overlap", ("N",), _F, "", "largest IoU of the body box with that of another annotated person in the image"),
    Field("is_train", ("N",), "bool", "", "the dataset counts the row as training data"),
    Field("is_kid", ("N",), "bool", "", "the person is a child"),
    Field("annot_valid", ("N",), "bool", "", "the dataset counts the row as usable"),
    Field("occ", ("N",), _F, "percent", "occlusion as the dataset gives it"),
    Field("occlusion", ("N",), _F, "percent", "occlusion as the dataset gives it"),
    Field("age", ("N",), TEXT, "", "age as the dataset gives it"),
    Field("ethnicity", ("N",), TEXT, "", "ethnicity as the dataset gives it"),
    Field("subject_gender", ("N",), TEXT, "", "gender of the person where the body model is another"),
    Field("iscrowd", ("N",), "int32", "", "1: a group of people, not one person"),
    Field("area", ("N",), _F, "square pixel", "area of the person's mask"),
    Field("num_keypoints", ("N",), "int32", "", "annotated keypoints; accompanies iscrowd"),
    Field("valid_label", ("N",), "int32", "", "COCO-like validity of the row"),
    Field("lefthand_valid", ("N",), "bool", "", "the left hand is annotated"),
    Field("righthand_valid", ("N",), "bool", "", "the right hand is annotated"),
    Field("face_valid", ("N",), "bool", "", "the face is annotated"),
    Field("smplx_valid", ("N",), "bool", "", "the body parameters are usable"),
    Field("transl_valid", ("N",), "bool", "", "a translation that was solved from 2D points puts the joints on them"),
)

FIELDS: tuple[Field, ...] = (
    Field("image_path", ("N",), TEXT, "", "image relative to the image folder, / separated", required=True),
    Field("image_id", ("N", "..."), ANY, "", "id of the image in the dataset's own annotation"),
    Field("bbox_xywh", ("N", 5), _F, "pixel", f"body box with margin: {_BOX}"),
    Field("face_bbox_xywh", ("N", 5), _F, "pixel", f"face box: {_BOX}"),
    Field("lhand_bbox_xywh", ("N", 5), _F, "pixel", f"left-hand box: {_BOX}"),
    Field("rhand_bbox_xywh", ("N", 5), _F, "pixel", f"right-hand box: {_BOX}"),
    *_points("_smplx", "joints of the SMPL-X model"),
    *_points("_smplh", "joints of the SMPL-H model"),
    *_points("_smpl", "joints of the SMPL model"),
    *_points("_original", "the dataset's own points"),
    *_points("", "points of files with a single slot (mmhuman3d main)"),
    *_body("smplx", "SMPL-X", 21),
    *_body("smplh", "SMPL-H", 21),
    *_body("smpl", "SMPL", 23),
    Field("mhr/model_params", ("N", 204), _F, "", f"Momentum Human Rig: place (decimetre), {_MHR_REST}"),
    Field("mhr/shape_params", ("N", 45), _F, "", "Momentum Human Rig: coefficients of body, head and hands"),
    Field("mhr/expr_params", ("N", 72), _F, "", "Momentum Human Rig: coefficients of the expression"),
    Field("vertices3d_path", ("N",), TEXT, "", "file with the vertices of the row, relative to the image folder"),
    Field("segmentation", ("N",), TEXT, "", "mask image, not black where the person is, relative to the image folder"),
    Field("part_segmentation", ("N",), TEXT, "", "grey image of labels of its parts, relative to the image folder"),
    *(replace(field, name=f"meta/{field.name}") for field in _META),
    *(
        Field(measure.column, ("N",), measure.dtype, measure.unit, measure.meaning)
        for measure in MEASURES
        if measure.column
    ),
)

FAMILIES: tuple[Field, ...] = (
    *_points("_*", "further points"),
    Field("*_bbox_xywh", ("N", 5), _F, "pixel", f"further box: {_BOX}"),
    Field("smplx/*", ("N", "..."), _F, "", "further parameter of SMPL-X"),
    Field("smplh/*", ("N", "..."), _F, "", "further parameter of SMPL-H"),
    Field("smpl/*", ("N", "..."), _F, "", "further parameter of SMPL"),
    Field("meta/*", ("N", "..."), ANY, "", "further fact of the row, named by the dataset"),
    Field("quality/*", ("N",), ANY, "", "further measure taken on conversion"),
)

BODY_CORE = ("betas", "global_orient", "body_pose")
"""Parameters that make a body only together; ``transl`` is missing in some files of others."""

ROTATIONS = tuple(item.name for item in FIELDS if item.unit == "radian")

_BY_NAME = {field.name: field for field in FIELDS}


def field(name: str) -> Field | None:
    """The field of a column: by name, else the family it belongs to (under its own name); None for unknown ones."""
    known = _BY_NAME.get(name)
    if known is not None:
        return known
    family = next((f for f in FAMILIES if fnmatchcase(name, f.name)), None)
    return None if family is None else replace(family, name=name)


def table_markdown() -> str:
    """All fields as a Markdown table, families of columns last."""
    lines = ["| column | shape | type | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for item in (*FIELDS, *FAMILIES):
        name = f"`{item.name}`" + (" (required)" if item.required else "")
        lines.append(f"| {name} | {item.shape_text} | {item.dtype} | {item.unit} | {item.meaning} |")
    return "\n".join(lines) + "\n"
