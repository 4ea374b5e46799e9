"""A store in the making: begun, gone on with, and put into place when it is whole."""
