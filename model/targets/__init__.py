"""What is predicted, one module for each kind: head, loss, encoding, scores and baseline."""
