"""What is done to rows before windows are cut: filters, means, slow channels, other rates."""
