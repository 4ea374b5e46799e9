"""Arrays of a source made of other arrays while they are read: joined, turned, chosen, moved."""
