"""PoseTrack18: sports and street videos with EFT SMPL fits."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="posetrack",
    name="PoseTrack",
    homepage="https://posetrack.net",
    licence="non-commercial research, after registration; EFT fits CC BY-NC 4.0",
    commercial=False,
    paper=(
        "Andriluka et al., PoseTrack: A Benchmark for Human Pose Estimation and Tracking, CVPR "
        "2018; Joo et al., EFT, 3DV 2021"
    ),
    annotation="SMPL, pseudo (EFT); 15 hand-labelled 2D joints",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    persons="several",
    splits={"train": 28_457, "val": None},
    layout="""
posetrack/                               (or below data/)
  images/{train,val}/<sequence>/000000.jpg
  posetrack_data/annotations/{train,val}/<sequence>.json      (or annotations/)
  eft_fit/PoseTrack_ver01.json
""",
    needs=("images | data/images",),
    get="register on the homepage, fits with the download script of github.com/facebookresearch/eft",
    reprojection="fitted",
)
