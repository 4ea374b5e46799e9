"""The predict stage: windows without labels in, files of predictions out."""
