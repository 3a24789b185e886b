"""One paper's study on the pocket lab: before its claims, whether the lab stands for real models at all."""
