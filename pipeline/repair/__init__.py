"""The verify and repair stages: is a store what its source gives, and mend it."""
