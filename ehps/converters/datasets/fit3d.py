"""FIT3D: fitness exercises in a studio with four cameras, neutral SMPL-X in the world frame.

Layout and cameras: :mod:`ehps.converters.datasets.imar`.
Source: Fieraru et al., "AIFit", CVPR 2021, and the official toolkit.
"""

from ehps.converters.base import DatasetCard
from ehps.converters.datasets import imar

CARD = DatasetCard(
    id="fit3d",
    config="fit3d_{split}",
    name="FIT3D",
    homepage="https://fit3d.imar.ro",
    paper="Fieraru et al., AIFit: Automatic 3D Human-Interpretable Feedback Models for Fitness Training, CVPR 2021",
    annotation="marker capture",
    annotation_note="SMPL-X, fitted to markers",
    persons="one",
    splits={"train": 1_779_300, "test": None},
    layout=imar.layout("FIT3D", "rep_ann.json", "not read"),
    options=imar.OPTIONS,
    notes=(
        *imar.NOTES,
        "SMPLer-X trains on every 10th row of files with all frames (interval=10 is like it).",
    ),
    **imar.SHARED,
)


class FIT3D(imar.Studio):
    card = CARD
