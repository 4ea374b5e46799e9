"""The train stage: epochs, their state and log, and the memory they take."""
