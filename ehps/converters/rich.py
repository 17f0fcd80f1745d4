"""RICH: people in scanned outdoor and indoor scenes before six to eight cameras."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="rich",
    name="RICH",
    homepage="https://rich.is.tue.mpg.de",
    licence="non-commercial research, after registration",
    commercial=False,
    paper="Huang et al., Capturing and Inferring Dense Full-Body Human-Scene Contact, CVPR 2022",
    annotation="SMPL-X, gendered, fitted to several views",
    body_model="smplx",
    appearance="real",
    scene="outdoor and indoor",
    persons="several",
    splits={"train": 243_364, "val": None, "test": None},
    layout="""
RICH/
  images/{train,val,test}/<sequence>/cam_00/00001_00.jpeg      (or {train,val,test}/...)
  bodies/{train,val,test}/<sequence>/00001/001.pkl             (or {train,val,test}_body/...)
  scan_calibration/<scene>/calibration/000.xml
  gender.json
""",
    needs=("scan_calibration",),
    get="register on the homepage; gender.json from the toolkit's resource folder",
    reprojection="none",
    fps=30,
)
