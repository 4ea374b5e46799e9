"""Print the peak of resident memory, in bytes, after a few training steps of each batch size.

Run as a process. Arguments: the network's options and its target as JSON, time, channels, features,
and batch sizes, each larger than the one before it.
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
from headrace.model.targets.registry import target_model

options = NetworkOptions.model_validate(json.loads(sys.argv[1]))
target = NetworkTarget(
    **{
        key: tuple(each) if isinstance(each, list) else each
        for key, each in json.loads(sys.argv[2]).items()
    }
)
time, channels, features, *batches = map(int, sys.argv[3:])
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
network = build_network(options, time, channels, features, target)
compile_network(network, target, options, OptimiserOptions(), 3, 1)
shapes = {"raw": (None, time, channels), "features": (None, features)}
given = (
    {name: tf.TensorSpec(shapes[name]) for name in network.input},
    dict.fromkeys(network.output, tf.TensorSpec((None, *target.shape))),
    dict.fromkeys(network.output, tf.TensorSpec((None, *target_model(target).weight_shape))),
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
