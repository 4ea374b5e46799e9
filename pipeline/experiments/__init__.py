"""Many trainings of one store: crossval, ablation, and runs compared."""
