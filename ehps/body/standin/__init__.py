"""The licence-free body of the demo and the tests: files in the layout of SMPL-X, SMPL-H and SMPL."""

from ehps.body.standin.model_files import write_standin

__all__ = ["write_standin"]
