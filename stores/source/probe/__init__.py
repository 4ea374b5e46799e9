"""What a child process looks at in strangers' files first, and its limits."""
