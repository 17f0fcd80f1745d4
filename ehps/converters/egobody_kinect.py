"""EgoBody MVSet: two interacting people seen by three to five fixed Kinects."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="egobody_kinect",
    name="EgoBody-MVSet",
    homepage="https://sanweiliti.github.io/egobody/egobody.html",
    licence="research only, after registration and a signed licence",
    commercial=False,
    paper=(
        "Zhang et al., EgoBody: Human Body Shape and Motion of Interacting People from Head-Mounted Devices, ECCV 2022"
    ),
    annotation="SMPL-X, gendered, fitted to several depth cameras",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    persons="several",
    splits={"train": 845_918, "val": None, "test": None},
    layout="""
EgoBody/
  data_info_release.csv, data_splits.csv
  kinect_cam_params/kinect_{master,sub_1,..,sub_4}/Color.json
  calibrations/<recording>/cal_trans/kinect_{11,13,14,15}to12_color.json
  kinect_color/<recording>/{master,sub_1,..,sub_4}/frame_00001.jpg
  smplx_{interactee,camera_wearer}_{train,val,test}/<recording>/body_idx_{0,1}/results/frame_00001/000.pkl
""",
    needs=("data_info_release.csv", "data_splits.csv", "kinect_cam_params", "calibrations", "kinect_color"),
    get="register at egobody.inf.ethz.ch; unpack side by side",
    reprojection="none",
    fps=30,
)
