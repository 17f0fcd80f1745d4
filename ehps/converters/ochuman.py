"""OCHuman: photographs of heavily occluding people with EFT SMPL fits."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="ochuman",
    name="OCHuman",
    homepage="https://github.com/liruilong940607/OCHumanApi",
    licence="API MIT; data on request, research use; EFT fits CC BY-NC 4.0",
    commercial=False,
    paper=("Zhang et al., Pose2Seg: Detection Free Human Instance Segmentation, CVPR 2019; Joo et al., EFT, 3DV 2021"),
    annotation="SMPL, pseudo (EFT); 17 hand-labelled 2D joints",
    body_model="smpl",
    appearance="real",
    scene="in the wild, occluded",
    persons="several",
    splits={"train": 2_495, "test": 1_783},
    layout="""
ochuman/
  images/000001.jpg
  eft_fit/OCHuman_{train,test}_ver10.json                     (or in the root or annotations/)
  ochuman_coco_format_{val,test}_range_0.00_1.00.json         optional
""",
    needs=("images",),
    get=("request the images as the homepage says, fits with the download script of github.com/facebookresearch/eft"),
    reprojection="fitted",
)
