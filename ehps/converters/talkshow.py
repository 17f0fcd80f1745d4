"""TalkSHOW: talk-show speakers, SMPL-X fitted to the videos by SHOW."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="talkshow",
    name="TalkSHOW",
    homepage="https://talkshow.is.tue.mpg.de",
    licence="non-commercial research, after registration; videos keep their owners' rights",
    commercial=False,
    paper="Yi et al., Generating Holistic 3D Human Motion from Speech, CVPR 2023",
    annotation="SMPL-X, pseudo (SHOW)",
    body_model="smplx",
    appearance="real",
    scene="studio, upper bodies",
    persons="one",
    splits={"train": 3_326_900, "val": None, "test": None},
    layout="""
ExpressiveWholeBodyDatasetReleaseV1.0/
  <speaker>/<video>/[<split>/]<sequence>/<sequence>.pkl
frames/<speaker>/<video>/<sequence>/000001.jpg        (cut from the videos at 30 fps)
""",
    needs=("ExpressiveWholeBodyDatasetReleaseV1.0 | */*/*.pkl | */*/*/*.pkl | */*/*/*/*.pkl",),
    get="register on the homepage (SHOW_dataset_v1.0.zip); the videos come from YouTube",
    reprojection="none",
    fps=30,
)
