"""Print the peak of resident memory, in bytes, after a few training steps; run as a process.

Arguments: the network's options as JSON, time, channels, features, classes, batch.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from headrace.model.network import build_network
from headrace.model.optimisation import compile_network
from headrace.model.options import NetworkOptions, OptimiserOptions

options = NetworkOptions.model_validate(json.loads(sys.argv[1]))
time, channels, features, classes, batch = map(int, sys.argv[2:])
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
network = build_network(options, time, channels, features, classes)
compile_network(network, options, OptimiserOptions(), 3, 1)
shapes = {"raw": (batch, time, channels), "features": (batch, features)}
inputs = {name: np.ones(shapes[name], np.float32) for name in network.input}
labels = dict.fromkeys(network.output, np.eye(classes, dtype=np.float32)[np.zeros(batch, int)])
weights = dict.fromkeys(network.output, np.ones(batch, np.float32))
step = tf.function(network.train_step)
given = tf.nest.map_structure(tf.constant, (inputs, labels, weights))
for _ in range(3):
    step(given)
# Not `ru_maxrss`: it begins with what the parent held when it started this process.
status = Path("/proc/self/status").read_text()
print(1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]))
