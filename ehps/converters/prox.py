"""PROX: people in scanned rooms before one Kinect, SMPL-X fitted with scene constraints (PROXD)."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="prox",
    name="PROX",
    homepage="https://prox.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial=False,
    paper="Hassan et al., Resolving 3D Human Pose Ambiguities with 3D Scene Constraints, ICCV 2019",
    annotation="SMPL-X, gendered, pseudo (fitted to colour and depth)",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    persons="one",
    splits={"train": 88_484},
    layout="""
PROX/
  recordings/<recording>/Color/<frame>.jpg
  PROXD/<recording>/results/<frame>/000.pkl
  keypoints/<recording>/<frame>_keypoints.json         optional
  calibration/Color.json
""",
    needs=("recordings", "PROXD", "calibration/Color.json"),
    get="register on the homepage; the qualitative set and PROXD.zip",
    reprojection="fitted",
    fps=30,
    notes=("Released pictures are mirrored against the calibration.",),
)
