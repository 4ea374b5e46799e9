"""Networks to start from, one short file each, named by `model.build`; copy one and change it."""
