"""LSP-Extended: photographs of athletes (the high-resolution set) with EFT SMPL fits."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="lspet",
    name="LSPET",
    homepage="http://sam.johnson.io/research/lspet.html",
    licence="research use; EFT fits CC BY-NC 4.0",
    commercial=False,
    paper=(
        "Johnson and Everingham, Learning Effective Human Pose Estimation from Inaccurate "
        "Annotation, CVPR 2011; Joo et al., EFT, 3DV 2021"
    ),
    annotation="SMPL, pseudo (EFT); 14 crowd-labelled 2D joints",
    body_model="smpl",
    appearance="real",
    scene="in the wild, sports",
    persons="one",
    splits={"train": 2_946, "test": 2_433},
    layout="""
lspet/
  im00001.png                            HR-LSPET (or below hr-lspet/ or images/)
  eft_fit/LSPet_{train,test}_ver10.json  (or in the root)
""",
    needs=("im*.png | hr-lspet/im*.png | images/im*.png",),
    get=(
        "hr-lspet.zip from datasets.d2.mpi-inf.mpg.de, fits with the download script of github.com/facebookresearch/eft"
    ),
    reprojection="fitted",
    notes=("The original low-resolution jpg release has other pixel coordinates than the fits.",),
)
