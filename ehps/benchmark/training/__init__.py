"""How a model is learnt: samples, crops, targets, losses, checkpoints and the training loop."""
