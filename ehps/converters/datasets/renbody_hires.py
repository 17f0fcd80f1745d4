"""DNA-Rendering-HiRes: actors in a light stage, the 12 cameras of 12 megapixels (48 to 59), fitted SMPL-X.

All frames of all cameras: the loader of SMPLer-X takes every 5th row itself, its test every 10th.
"""

from ehps.converters.datasets import dna_rendering

CAMERAS = tuple(str(number) for number in range(48, 60))
CARD = dna_rendering.card(
    "renbody_hires",
    "DNA-Rendering-HiRes",
    CAMERAS,
    {"train": 999_900, "test": 102_600},  # 83,325 and 8,550 fitted frames
    (
        "All frames of all cameras are rows, as in SMPLer-X's files; its loader takes every 5th, its test every 10th.",
        "The same persons in the 48 cameras of 5 megapixels are `renbody`.",
    ),
    config="renbody_hires_{split}",
)


class RenBodyHiRes(dna_rendering.DNARendering):
    card = CARD
    group = "Camera_12mp"
