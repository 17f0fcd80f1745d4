"""What is measured on every instance: the table that schema, conversion reports, audits and HTML pages are made of."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "quality/"
UNITS = {"pixel": "px", "metre": "m"}


@dataclass(frozen=True)
class Limit:
    """A value beyond which an instance is doubtful. All are meant to catch what is wrong, not what is rare.

    Attributes
    ----------
    name : as ``ehps humandata audit --threshold NAME=VALUE`` takes it.
    value : in the unit of the measure.
    sentence : what is wrong with a row, with a field for its value.
    least : whether values below are doubtful, not those above.
    normal : the value of an instance with nothing wrong, from which the way to the limit is measured.
    """

    name: str
    value: float
    sentence: str
    least: bool = False
    normal: float = 0.0


@dataclass(frozen=True)
class Measure:
    """One number an instance.

    Attributes
    ----------
    name : in summaries, audits and, after ``quality/``, as a column.
    title : in tables.
    unit : pixel, metre, or empty.
    meaning : one sentence without a full stop.
    column : where it is stored; empty when it follows from others.
    dtype : of the column.
    digits : after the point in tables; None for what reports do not show.
    bodiless : the column is there only where rows have 2D and 3D points of their own and no joints of a body.
    of_fits : the column is there only where the dataset's files hold joints beside the parameters.
    limits : beyond which an audit flags the instance.
    """

    name: str
    title: str
    unit: str
    meaning: str
    column: str
    dtype: str = "float32"
    digits: int | None = None
    limits: tuple[Limit, ...] = ()
    bodiless: bool = False
    of_fits: bool = False

    @property
    def label(self) -> str:
        """Title and unit: ``depth, m``."""
        return f"{self.title}, {UNITS[self.unit]}" if self.unit else self.title


def _stored(name: str, title: str, unit: str, meaning: str, digits: int | None = None, *limits: Limit) -> Measure:
    return Measure(name, title, unit, meaning, PREFIX + name, digits=digits, limits=limits)


def _of_box(part: str, title: str, *limits: Limit) -> Measure:
    return Measure(
        f"reprojection{part}_of_box",
        f"reprojection{title}, share of the box",
        "",
        "the same as a share of the longer side of the box",
        "",
        digits=None if part else 4,
        limits=limits,
    )


MEASURES: tuple[Measure, ...] = (
    _stored(
        "reprojection_px", "reprojection", "pixel", "mean distance of model joints to the dataset's own 2D points", 1
    ),
    _stored("reprojection_body_px", "reprojection of the body", "pixel", "the same for the body", 1),
    _stored("reprojection_hands_px", "reprojection of the hands", "pixel", "the same for both hands", 1),
    _stored("reprojection_face_px", "reprojection of the face", "pixel", "the same for the head", 1),
    _stored(
        "reprojection_swapped_px",
        "reprojection, sides exchanged",
        "pixel",
        "the same with left and right exchanged: larger if right",
    ),
    _stored(
        "points3d_m",
        "own 3D points",
        "metre",
        "mean distance of the model joints to the dataset's own 3D points",
        4,
        Limit("points3d_m", 0.3, "model joints {:.2f} m from the dataset's own 3D points"),
    ),
    _stored(
        "world_to_camera_m",
        "moved parameters against moved joints",
        "metre",
        "largest distance between the joints of the parameters moved to the camera and the joints moved to the camera",
        6,
        Limit("world_to_camera_m", 0.005, "parameters moved to the camera miss the joints moved there by {:.3f} m"),
    ),
    _stored(
        "betas_norm",
        "norm of betas",
        "",
        "norm of the shape coefficients",
        2,
        Limit("betas_norm", 12.0, "norm of betas {:.1f}"),
    ),
    _stored(
        "height_m",
        "height",
        "metre",
        "stature of the rest pose",
        2,
        Limit("height_max_m", 2.3, "height {:.2f} m", normal=1.7),
        Limit("height_min_m", 0.4, "height {:.2f} m", least=True, normal=1.7),
    ),
    _stored(
        "depth_m",
        "depth",
        "metre",
        "distance of the pelvis along the optical axis",
        2,
        Limit("depth_max_m", 100.0, "{:.0f} m from the camera"),
    ),
    _stored("up_y", "up axis", "", "y of the body's up axis in the camera frame: -1 upright, 1 upside down"),
    _stored(
        "joints_in_box",
        "joints in the box",
        "",
        "share of the joints seen in the image that lie in the box, or within a pixel of it",
        2,
        Limit("joints_in_box", 0.3, "{:.0%} of the joints in the box", least=True, normal=1.0),
    ),
    Measure(
        "behind_camera",
        "joints behind the camera",
        "",
        "joints with z <= 0",
        f"{PREFIX}behind_camera",
        "int16",
        limits=(Limit("behind_camera", 0, "{:.0f} joints behind the camera"),),
    ),
    Measure("finite", "finite", "", "joints and projections are finite", f"{PREFIX}finite", "bool"),
    Measure(
        "fit_joints_m",
        "joints that the files hold",
        "metre",
        "mean distance of the joints of the parameters to those that the dataset's files hold beside them",
        f"{PREFIX}fit_joints_m",
        digits=6,
        of_fits=True,
    ),
    Measure(
        "template_residual_m",
        "betas against the scanned template",
        "metre",
        "mean distance of the betas' shape from the person's template",
        "meta/template_residual_m",
        digits=4,
    ),
    Measure(
        "transl_residual_px",
        "translation solved from 2D points",
        "pixel",
        "distance that is left between joints and points after solving, NaN if there is no solution",
        "meta/transl_residual_px",
        digits=1,
    ),
    _of_box(
        "",
        "",
        Limit("reprojection_of_box", 0.15, "model joints {:.0%} of the box"),
        Limit("exact_reprojection_of_box", 0.02, "model joints {:.0%} of the box"),
    ),
    _of_box("_body", " of the body"),
    _of_box("_hands", " of the hands"),
    _of_box("_face", " of the face"),
    Measure(
        "beta",
        "largest beta",
        "",
        "largest absolute shape coefficient",
        "",
        limits=(Limit("beta", 5.0, "a beta of size {:.1f}"),),
    ),
    Measure(
        "points_in_image",
        "own points in the image",
        "",
        "share of the dataset's own labelled points that lie in the image",
        "",
        limits=(Limit("points_in_image", 0.2, "{:.0%} of its own points in the image", least=True, normal=1.0),),
    ),
    Measure(
        "points_in_box",
        "own points in the box",
        "",
        "share of the dataset's own labelled points in the image that lie in the box, or within a pixel of it",
        f"{PREFIX}points_in_box",
        digits=2,
        bodiless=True,
        limits=(Limit("points_in_box", 0.3, "{:.0%} of its own points in the box", least=True, normal=1.0),),
    ),
    Measure(
        "own_points_px",
        "own 2D against own 3D points",
        "pixel",
        "mean distance of the dataset's own 2D points from where the camera sees its own 3D points",
        f"{PREFIX}own_points_px",
        digits=1,
        bodiless=True,
    ),
    Measure(
        "own_points_of_box",
        "own 2D against own 3D points, share of box",
        "",
        "the same as a share of the longer side of the box",
        "",
        digits=4,
        limits=(Limit("own_points_of_box", 0.15, "own 3D points seen {:.0%} of the box from the own 2D points"),),
    ),
    Measure(
        "duplicate",
        "duplicate",
        "",
        "repeats an earlier row of the same image: boxes overlap, points lie near each other",
        "",
        "bool",
        limits=(
            Limit("duplicate_overlap", 0.6, "boxes overlap {:.0%}", least=True),
            Limit("duplicate_distance", 0.05, "points {:.0%} of the box apart"),
        ),
    ),
    Measure("image_missing", "image missing", "", "the image is not there", "", "bool"),
    Measure("image_unreadable", "image unreadable", "", "the image cannot be read", "", "bool"),
    Measure("image_size", "image of another size", "", "the image has another size than the row says", "", "bool"),
)

COLUMNS = tuple(
    measure.column
    for measure in MEASURES
    if measure.column.startswith(PREFIX) and not measure.bodiless and not measure.of_fits
)
"""The columns that every conversion writes, in order."""

BODILESS = tuple(measure.name for measure in MEASURES if measure.bodiless)
"""Measures that stand in for those of joints where there is no body."""

LIMITS = {limit.name: limit.value for measure in MEASURES for limit in measure.limits}
"""The limits of an audit by their names."""
