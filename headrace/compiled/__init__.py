"""How loops are compiled, and kernels that stores and pipeline share: functions of arrays."""
