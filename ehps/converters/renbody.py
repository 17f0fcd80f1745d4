"""DNA-Rendering: actors in a light stage, the 48 low-resolution cameras, fitted SMPL-X."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="renbody",
    name="DNA-Rendering",
    homepage="https://dna-rendering.github.io",
    licence="research only, signed licence and e-mail",
    commercial=False,
    paper=(
        "Cheng et al., DNA-Rendering: A Diverse Neural Actor Repository for High-Fidelity Human- "
        "centric Rendering, ICCV 2023"
    ),
    annotation="SMPL-X, pseudo (fitted to triangulated points)",
    body_model="smplx",
    appearance="real",
    scene="studio",
    persons="one",
    splits={"train": 3_992_000, "test": None},
    layout="""
DNA-Rendering/
  dna_rendering_part<1,2>_main/<actor>_<performance>.smc
  dna_rendering_part<1,2>_annotations/<actor>_<performance>_annots.smc
""",
    needs=("*.smc | */*.smc | */*/*.smc",),
    get="sign the licence; unpack main and annotations of parts 1 and 2",
    reprojection="fitted",
    fps=15,
)
