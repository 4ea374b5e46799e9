"""Which files, or parts of files, are the recordings of a source, and what is known of each."""
