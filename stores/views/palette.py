"""Colours of classes and channels."""

from __future__ import annotations

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Of Okabe and Ito (2008), which colour-blind eyes tell apart."""
