"""Print the peak of resident memory, in bytes, after a few training steps of each batch size.

Run as a process. Arguments: the network's options as JSON, time, channels, features, classes, and
batch sizes, each larger than the one before it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import tensorflow as tf

from headrace.model.interface import NetworkTarget
from headrace.model.network import build_network
from headrace.model.optimisation import compile_network
from headrace.model.options import NetworkOptions, OptimiserOptions

options = NetworkOptions.model_validate(json.loads(sys.argv[1]))
time, channels, features, classes, *batches = map(int, sys.argv[2:])
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
target = NetworkTarget(tuple(map(str, range(classes))))
network = build_network(options, time, channels, features, target)
compile_network(network, target, options, OptimiserOptions(), 3, 1)
shapes = {"raw": (None, time, channels), "features": (None, features)}
given = (
    {name: tf.TensorSpec(shapes[name]) for name in network.input},
    dict.fromkeys(network.output, tf.TensorSpec((None, classes))),
    dict.fromkeys(network.output, tf.TensorSpec((None,))),
)
step = tf.function(lambda *given: network.train_step(given), input_signature=given)
for batch in batches:
    ones = [
        {name: tf.ones((batch, *each.shape[1:])) for name, each in part.items()} for part in given
    ]
    for _ in range(2):
        step(*ones)
    # Not `ru_maxrss`: it begins with what the parent held when it started this process.
    status = Path("/proc/self/status").read_text()
    print(1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]))
