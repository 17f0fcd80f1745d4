"""HumanSC3D: people touching themselves in a studio with four cameras, neutral SMPL-X in the world frame.

Layout and cameras: :mod:`ehps.converters.datasets.imar`.
Source: Fieraru et al., "Learning Complex 3D Human Self-Contact", AAAI 2021, and the official toolkit.
"""

from ehps.converters.base import DatasetCard
from ehps.converters.datasets import imar

CARD = DatasetCard(
    id="humansc3d",
    config="humansc3d_{split}",
    name="HumanSC3D",
    homepage="https://sc3d.imar.ro",
    paper="Fieraru et al., Learning Complex 3D Human Self-Contact, AAAI 2021",
    annotation="marker capture",
    annotation_note="SMPL-X, fitted to markers",
    persons="one",
    splits={"train": 288_362, "test": None},
    uncertain=("train",),
    layout=imar.layout("HumanSC3D", "self_contact_signature.json", "not read"),
    options=imar.OPTIONS,
    variants={"FlickrSC3D*": "images with contact labels only; the train and test archives of HumanSC3D are needed"},
    notes=imar.NOTES,
    **imar.SHARED,
)


class HumanSC3D(imar.Studio):
    card = CARD
