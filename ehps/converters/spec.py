"""SPEC: AGORA scans rendered with varied cameras (SPEC-SYN), and people mimicking poses (SPEC-MTP)."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="spec",
    name="SPEC",
    homepage="https://spec.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial=False,
    paper="Kocabas et al., SPEC: Seeing People in the Wild with an Estimated Camera, ICCV 2021",
    annotation="SMPL, neutral, fitted to 3D scans",
    body_model="smpl",
    appearance="synthetic",
    scene="indoor and outdoor",
    persons="several",
    splits={"train": 71_982, "test": None, "mtp_test": None},
    layout="""
SPEC/
  spec-syn/annotations/{train,test}.npz, spec-syn/images/...
  spec-mtp/annotations/test.npz, spec-mtp/images/...
""",
    needs=("spec-syn/annotations | annotations | spec-mtp/annotations",),
    get="register on the homepage; unpack spec-syn.zip and spec-mtp.zip side by side",
    reprojection="exact",
)
