"""Sources that are made here: synthetic ones, and the default data set."""
