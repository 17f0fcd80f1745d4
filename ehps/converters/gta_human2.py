"""GTA-Human II: scenes of a computer game, SMPL-X fitted to the game's 3D and 2D points."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="gta_human2",
    name="GTA-Human II",
    homepage="https://caizhongang.github.io/projects/GTA-Human/",
    licence="non-commercial research",
    commercial=False,
    paper="Cai et al., Playing for 3D Human Recovery, TPAMI 2024",
    annotation="SMPL-X, pseudo (fitted to game points)",
    body_model="smplx",
    appearance="synthetic",
    scene="outdoor and indoor",
    persons="several",
    splits={"train": 1_802_200},
    layout="""
gta-human_v2_release/
  images/seq_00087011/00000000.jpeg
  annotations/seq_00087011/154131.npz        one file per person
""",
    needs=("images/seq_*", "annotations/seq_*"),
    get=(
        "OpenXDLab/GTA-Human or the Hugging Face dataset caizhongang/GTA-Human; unpack "
        "images_part_1..5.7z and annotations.7z"
    ),
    reprojection="fitted",
)
