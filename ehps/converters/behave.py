"""BEHAVE: people handling objects before four Kinects, SMPL-H fitted to colour and depth."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="behave",
    name="BEHAVE",
    homepage="https://virtualhumans.mpi-inf.mpg.de/behave/",
    licence="non-commercial research, licence agreement on the data page",
    commercial=False,
    paper=("Bhatnagar et al., BEHAVE: Dataset and Method for Tracking Human Object Interactions, CVPR 2022"),
    annotation="SMPL-H, fitted to several depth cameras",
    body_model="smplh",
    appearance="real",
    scene="indoor and outdoor",
    persons="one",
    splits={"train": 44_431, "test": None},
    layout="""
BEHAVE/
  split.json
  calibs/intrinsics/{0,1,2,3}/calibration.json
  calibs/Date[01-07]/config/{0,1,2,3}/config.json
  sequences/<sequence>/info.json
  sequences/<sequence>/t0003.000/k{0..3}.color.jpg, k{0..3}.color.json
  sequences/<sequence>/t0003.000/person/fit02/person_fit.pkl
""",
    needs=("split.json", "calibs/intrinsics", "sequences"),
    get="accept the licence; unpack Date01..Date07 into sequences/ and calibs beside it",
    reprojection="fitted",
    fps=1,
)
