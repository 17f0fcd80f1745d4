"""CHI3D: pairs of people in close contact in a studio with four cameras, neutral SMPL-X in the world frame.

Person 0 wears markers, person 1 does not; both are fitted. Layout and cameras: :mod:`ehps.converters.datasets.imar`.
Source: Fieraru et al., "Three-Dimensional Reconstruction of Human Interactions", CVPR 2020, and the official toolkit.
"""

from ehps.converters.base import DatasetCard
from ehps.converters.datasets import imar
from ehps.converters.options import Option

CONTACTS = "interaction_contact_signature.json"
CARD = DatasetCard(
    id="chi3d",
    config="chi3d_{split}",
    name="CHI3D",
    homepage="https://ci3d.imar.ro",
    paper="Fieraru et al., Three-Dimensional Reconstruction of Human Interactions, CVPR 2020",
    annotation="marker capture",
    annotation_note="SMPL-X, fitted to markers and views",
    persons="several",
    splits={"train": 252_416, "test": None},
    uncertain=("train",),
    layout=imar.layout("CHI3D", CONTACTS, "for the option frames"),
    options=(
        *imar.OPTIONS,
        Option(
            "frames",
            "contact: the one frame marked as contact; interval: from the start of the contact to its end",
            "all",
            choices=("all", "contact", "interval"),
        ),
    ),
    notes=(
        *imar.NOTES,
        "Person 0 wears markers, person 1 does not; downloads before 2023 have person 0 only, and the other "
        "one is counted as left out.",
    ),
    **imar.SHARED,
)


class CHI3D(imar.Studio):
    card = CARD
    people = 2
    contacts = CONTACTS
