"""What is seen in a source that its owner should look at."""
