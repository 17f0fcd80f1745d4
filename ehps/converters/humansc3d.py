"""HumanSC3D: people touching themselves in a studio with four cameras, neutral SMPL-X in the world frame."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="humansc3d",
    name="HumanSC3D",
    homepage="https://sc3d.imar.ro",
    licence="research only, after registration; one request per dataset",
    commercial=False,
    paper="Fieraru et al., Learning Complex 3D Human Self-Contact, AAAI 2021",
    annotation="SMPL-X, fitted to markers",
    body_model="smplx",
    appearance="real",
    scene="studio",
    persons="one",
    splits={"train": 288_362, "test": None},
    layout="""
HumanSC3D/
  train/<subject>/camera_parameters/<camera>/<action>.json
  train/<subject>/videos/<camera>/<action>.mp4              (cameras 50591643 58860488 60457274 65906101)
  train/<subject>/smplx/<action>.json, joints3d_25/<action>.json
  train/<subject>/frames/<camera>/<action>/0000.jpg         (cut from the videos, counted from 0)
  test/<subject>/videos/<action>.mp4, camera_parameters/<action>.json
""",
    split_needs={"train": ("train/*/smplx", "train/*/camera_parameters"), "test": ("test/*/videos",)},
    get="register on the homepage; unpack so that train/ and test/ lie in the root",
    reprojection="none",
    fps=50,
    notes=("The test split has videos only.",),
)
