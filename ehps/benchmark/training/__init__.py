"""How a model is trained: samples, crops, targets, losses, checkpoints and the training loop."""
