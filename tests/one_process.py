"""Run commands one after another in a process of their own, which loads TensorFlow once.

`python -m tests.one_process COMMANDS`: a list of lists of words, as JSON. Prints their exit codes.
Figures are made and not drawn.
"""

from __future__ import annotations

import json
import sys

from headrace.model import drawing
from headrace.pipeline.cli.main import main

drawing.png = lambda figure: b"\x89PNG"
print(json.dumps([main(command) for command in json.loads(sys.argv[1])]))
