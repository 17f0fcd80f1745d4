"""The tiny model."""

from __future__ import annotations

import torch

from ehps.benchmark.models.tiny import TinyViT


def test_the_last_layers_are_not_rounded_in_half_precision() -> None:
    torch.manual_seed(0)
    net, image = TinyViT(width=32, depth=1).eval(), torch.rand(2, 3, 128, 96)
    with torch.no_grad():
        for head in net.heads.values():
            head.weight.zero_()  # what they predict does not depend on the rounded layers before
            head.bias += torch.rand_like(head.bias)
        exact = net(image)
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(image)
    for name in ("global_orient", "body_pose", "left_hand_pose", "betas", "cam_trans"):
        torch.testing.assert_close(getattr(rough, name), getattr(exact, name), atol=1e-6, rtol=1e-6)
