"""UP-3D: photographs of LSP, LSPET, MPII and FashionPose with SMPL fits that people judged good."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="up3d",
    name="UP-3D",
    homepage="https://files.is.tuebingen.mpg.de/classner/up/",
    licence="CC BY-NC 4.0; photographs keep their owners' rights",
    commercial=False,
    paper=("Lassner et al., Unite the People: Closing the Loop Between 3D and 2D Human Representations, CVPR 2017"),
    annotation="SMPL, neutral, pseudo (fitted to joints and silhouettes)",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    persons="one",
    splits={"trainval": 7_126, "train": 5_703, "val": 1_423, "test": 1_389},
    layout="""
up-3d/
  {train,val,trainval,test}.txt
  00000_image.png, 00000_joints.npy, 00000_body.pkl, 00000_fit_crop_info.txt
""",
    needs=("*_image.png", "*_body.pkl"),
    get="up-3d.zip from the homepage",
    reprojection="fitted",
)
