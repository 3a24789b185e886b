"""The methods: one file each. `base.resolve(name, options)` turns a name and options into a config."""
