"""The library's data set: a store as batches for a user's own loop, within a budget."""
