"""ARCTIC: two hands with articulated objects in a motion-capture room, SMPL-X from markers on scanned templates."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="arctic",
    name="ARCTIC",
    homepage="https://arctic.is.tue.mpg.de",
    licence="non-commercial research, after registration; no redistribution",
    commercial=False,
    paper="Fan et al., ARCTIC: A Dataset for Dexterous Bimanual Hand-Object Manipulation, CVPR 2023",
    annotation="SMPL-X, from markers",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    persons="one",
    splits={"train": 1_539_100, "val": None, "test": None},
    layout="""
ARCTIC/
  meta/misc.json
  meta/subject_vtemplates/s01.obj
  raw_seqs/s01/<sequence>.smplx.npy, <sequence>.egocam.dist.npy
  splits_json/protocol_p1.json
  images/s01/<sequence>/<view 0..8>/00001.jpg      (or cropped_images/)
""",
    needs=("meta/misc.json", "raw_seqs", "splits_json/protocol_p1.json"),
    get=(
        "register on the homepage and use the download scripts of github.com/zc-alexfan/arctic; all "
        "cameras of one split are some 650 GB"
    ),
    reprojection="none",
    fps=30,
    notes=(
        "Protocol p1; its test split (subject s03) has hidden ground truth.",
        "Each subject has a personal template.",
    ),
)
