"""InstaVariety: crops of Instagram videos with OpenPose points and NeuralAnnot SMPL fits."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="insta_variety",
    name="InstaVariety",
    homepage="https://github.com/akanazawa/human_dynamics/blob/master/doc/insta_variety.md",
    licence="not stated",
    commercial=None,
    paper="Kanazawa et al., Learning 3D Human Dynamics from Video, CVPR 2019",
    annotation="SMPL, pseudo (NeuralAnnot); detected 2D points",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    persons="one",
    splits={"train": 2_184_800},
    layout="""
InstaVariety/
  images/<file name>                     224 x 224 crops
  annotations/insta_train_db.pt
  annotations/InstaVariety_train_SMPL_NeuralAnnot.json
""",
    needs=("images", "annotations/insta_train_db.pt"),
    get="github.com/mks0601/NeuralAnnot_RELEASE",
    reprojection="fitted",
)
