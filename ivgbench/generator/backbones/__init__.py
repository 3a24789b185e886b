"""The backbones: what a family of models offers (`base`), one file or more for each, and where their files are.

Importing this, `sources` or what is beside it of files, needs no torch.
"""
