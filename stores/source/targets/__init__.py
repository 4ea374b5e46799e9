"""Labels that are no classes: values, several labels a window, a class for each sample."""
