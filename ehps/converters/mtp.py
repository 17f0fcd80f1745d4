"""MTP: crowd workers mimicking a shown pose with self-contact, SMPL-X fitted with SMPLify-XMC."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="mtp",
    name="MTP",
    homepage="https://tuch.is.tue.mpg.de",
    licence="non-commercial research, after registration; faces must not be shown",
    commercial=False,
    paper="Müller et al., On Self-Contact and Human Pose, CVPR 2021",
    annotation="SMPL-X, gendered, pseudo (SMPLify-XMC)",
    body_model="smplx",
    appearance="real",
    scene="indoor, in the wild",
    persons="one",
    splits={"train": 3_187, "val": None},
    layout="""
mtp/
  train_val_split.json, subject_meta.json
  images/<subset>/<name>.png
  keypoints/openpose/<subset>/<name>.json
  smplify-xmc/smplx/params/<subset>/<name>.pkl
""",
    needs=("train_val_split.json", "images", "smplify-xmc/smplx/params"),
    get="register on the homepage",
    reprojection="fitted",
)
