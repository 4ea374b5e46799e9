"""Functions of the user's own, named `module:function`: found, followed to their files, loaded."""
