"""The passport: what the numbers of a file mean, so that files with different meanings are never mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ehps.errors import PassportError

FORMAT = 1


@dataclass(frozen=True)
class Passport:
    """Meaning and origin of the columns of one file. ``None`` means not applicable, ``"unknown"`` not stated.

    Attributes
    ----------
    body_model : smplx, smplh, smpl, or None for files without body parameters.
    body_model_version : 1.0, 1.1, locked_head, stand-in ...; betas of two versions are not interchangeable.
    num_betas : columns of ``<model>/betas``.
    gender : how the model was chosen: ``neutral`` for all rows, or ``per-instance`` (``meta/gender``).
    flat_hand_mean : False when hand poses are relative to the model's mean hand, True when absolute.
    frame : the OpenCV camera frame in files written by ehps.
    units : metre, radian, pixel in files written by ehps.
    focal : ``image`` for the real camera of the full image, ``virtual`` for one invented per person.
    dataset : where the rows come from; several are joined with ``+``.
    split : likewise.
    sampling : every N-th frame of the source was kept: N.
    converter : name and version of what wrote the file.
    """

    body_model: str | None = None
    body_model_version: str | None = None
    num_betas: int | None = None
    gender: str | None = None
    flat_hand_mean: bool | None = None
    frame: str = "opencv-camera"
    units: str = "metre, radian, pixel"
    focal: str | None = None
    dataset: str = "unknown"
    split: str = "unknown"
    sampling: int = 1
    converter: str = "unknown"
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Passport:
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})

    def with_(self, **changes: Any) -> Passport:
        return replace(self, **changes)


# These decide what a number means; the others say where it came from.
MEANING = (
    "body_model",
    "body_model_version",
    "num_betas",
    "flat_hand_mean",
    "frame",
    "units",
)


def merged_passport(passports: Sequence[Passport]) -> Passport:
    """The passport of a concatenation.

    Raises
    ------
    PassportError : two passports differ in a field that decides what the numbers mean.
    """
    first = passports[0]
    for other in passports[1:]:
        for name in MEANING:
            a, b = getattr(first, name), getattr(other, name)
            if a != b:
                raise PassportError(
                    f"{first.dataset} and {other.dataset} differ in {name}: {a!r} and {b!r}",
                    fix=f"convert one of them first (ehps.body.variants), or leave the {name} columns out",
                )

    def joined(name: str) -> str:
        return "+".join(dict.fromkeys(str(getattr(p, name)) for p in passports))

    def same_or(name: str, otherwise: Any) -> Any:
        values = {getattr(p, name) for p in passports}
        return values.pop() if len(values) == 1 else otherwise

    return first.with_(
        gender=same_or("gender", "per-instance"),
        focal=same_or("focal", "per-instance"),
        dataset=joined("dataset"),
        split=joined("split"),
        sampling=same_or("sampling", 0),
        converter=joined("converter"),
    )
