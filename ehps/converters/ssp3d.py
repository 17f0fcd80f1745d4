"""SSP-3D: 311 photographs of sports people in tight clothes, SMPL fitted over several frames."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="ssp3d",
    name="SSP-3D",
    homepage="https://github.com/akashsengupta1997/SSP-3D",
    licence="MIT for code and annotations; frames of internet videos",
    commercial=None,
    paper=(
        "Sengupta et al., Synthetic Training for Accurate 3D Human Pose and Shape Estimation in the Wild, BMVC 2020"
    ),
    annotation="SMPL, gendered, pseudo (multi-frame fit)",
    body_model="smpl",
    appearance="real",
    scene="in the wild, sports",
    persons="one",
    splits={"train": 311},
    layout="""
ssp_3d/
  labels.npz
  images/<name>.png                      512 x 512
  silhouettes/<name>.png
""",
    needs=("labels.npz", "images"),
    get="ssp_3d.zip in the repository",
    reprojection="fitted",
)
