"""What a run's folder records, and what it refuses."""
