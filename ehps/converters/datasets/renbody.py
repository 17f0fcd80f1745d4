"""DNA-Rendering: actors in a light stage, the 48 cameras of 5 megapixels (0 to 47), fitted SMPL-X.

All frames of all cameras: the loader of SMPLer-X takes every 10th row itself.
"""

from ehps.converters.datasets import dna_rendering

CAMERAS = tuple(str(number) for number in range(48))
CARD = dna_rendering.card(
    "renbody",
    "DNA-Rendering",
    CAMERAS,
    {"train": 3_999_600, "test": 410_400},  # 83,325 and 8,550 fitted frames
    (
        "All frames of all cameras are rows, as in SMPLer-X's files; its loader takes every 10th row.",
        "The same persons in the 12 cameras of 12 megapixels are `renbody_hires`.",
    ),
)


class RenBody(dna_rendering.DNARendering):
    card = CARD
    group = "Camera_5mp"
