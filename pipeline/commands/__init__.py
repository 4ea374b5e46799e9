"""What the commands do that are no stages: plan, inspect, init, export, doctor."""
