"""Times of rows: the rate that they give, gaps, and their order."""
