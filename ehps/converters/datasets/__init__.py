"""One module a dataset, and the modules that families of datasets share: the place to add things."""
