"""The stages that join stores and model, their configuration and the command line."""
