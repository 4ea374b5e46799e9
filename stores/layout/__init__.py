"""Which window stands in which row: folds, and the shuffle within them."""
