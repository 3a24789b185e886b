"""The methods: one file each. `options.resolve(name, options)` turns a name and options into a config."""

from ivgbench.extras import told

with told():
    import torch  # noqa: F401 every method needs it
