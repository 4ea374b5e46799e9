"""Files that are wrong or hostile, of every format: refused in one line, or read as they are."""
