"""Human3.6M: actors in a studio before four cameras; the parsed release with NeuralAnnot SMPL-X fits."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="h36m",
    name="Human3.6M",
    homepage="http://vision.imar.ro/human3.6m/description.php",
    licence="research only, after registration; no redistribution",
    commercial=False,
    paper=(
        "Ionescu et al., Human3.6M: Large Scale Datasets and Predictive Methods for 3D Human "
        "Sensing in Natural Environments, TPAMI 2014"
    ),
    annotation="SMPL-X body, pseudo (NeuralAnnot); 17 joints from markers",
    body_model="smplx",
    appearance="real",
    scene="studio",
    persons="one",
    splits={"train": 312_188, "test": None},
    layout="""
Human36M/
  images/s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg
  annotations/Human36M_subject<S>_{data,camera,joint_3d,SMPLX_NeuralAnnot}.json
""",
    needs=("images", "annotations/Human36M_subject*_data.json"),
    get=("parsed package from the Hand4Whole / OSX repositories, fits from github.com/mks0601/NeuralAnnot_RELEASE"),
    reprojection="fitted",
    fps=50,
    sampling=5,
)
