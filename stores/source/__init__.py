"""HDF5 in: windows or recordings, labels, groups, rates, and what is wrong with them."""
