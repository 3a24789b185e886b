"""The training of the pocket lab's models: one file a model, one loop for all of them."""
