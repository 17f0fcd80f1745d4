"""SynBody: layered synthetic people rendered in game-engine scenes."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="synbody",
    name="SynBody",
    homepage="https://synbody.github.io",
    licence="CC BY-NC-SA 4.0",
    commercial=False,
    paper=(
        "Yang et al., SynBody: Synthetic Dataset with Layered Human Models for 3D Human Perception "
        "and Modeling, ICCV 2023"
    ),
    annotation="SMPL-X, exact",
    body_model="smplx",
    appearance="synthetic",
    scene="outdoor and indoor",
    persons="several",
    splits={"train": 633_496},
    layout="""
synbody_v1_0/
  <batch>/<place>/<sequence>_CAM002/rgb/0001.jpeg
  <batch>/<place>/<sequence>_CAM002/smplx/<actor>.npz
""",
    needs=("*/*/*/rgb | */*/*/*/rgb",),
    get="Hugging Face dataset caizhongang/SynBody: the SMPL-X subset",
    reprojection="none",
)
