"""The other ways to feed batches of the same windows: in memory, TFRecord, memmap, HDF5, peers.

All deliver raw and features (float32) and labels in batches of 128. `compiled` and `batch_by_batch`
make of a dataset a function that consumes one epoch, touches every batch and returns the rows that
came; feeds that are no dataset are made as such a function.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headrace.pipeline.rows.order import Order
from headrace.stores import Store

BATCH = 128
Epoch = Callable[[], int]
Arrays = dict[str, NDArray[Any]]
NAMES = ("raw", "features", "label")


def compiled(data: tf.data.Dataset) -> Epoch:
    """Batches of any structure taken inside a compiled function, as `model.fit` takes them."""

    @tf.function(input_signature=[tf.data.IteratorSpec(data.element_spec)])
    def epoch(batches: tf.data.Iterator) -> tf.Tensor:
        rows = tf.constant(0, tf.int64)
        for batch in batches:
            values = tf.nest.flatten(batch)
            rows += tf.shape(values[0], tf.int64)[0]
            # What a first operation would do: look at the data.
            touched = [tf.cast(tf.reshape(value, [-1])[0], tf.float32) for value in values]
            rows += tf.cast(tf.math.is_nan(tf.add_n(touched)), tf.int64)
        return rows

    return lambda: int(epoch(iter(data)))


def batch_by_batch(data: tf.data.Dataset) -> Epoch:
    """Batches of any structure handed to Python one by one."""

    def epoch() -> int:
        rows = 0
        for batch in data:
            values = tf.nest.flatten(batch)
            rows += int(values[0].shape[0])
            for value in values:
                # A view: what a first operation would do, looking at the data.
                np.asarray(memoryview(value)).item(0)
        return rows

    return epoch


def in_memory(arrays: Arrays) -> tf.data.Dataset:
    """All arrays in RAM, every row shuffled on its own."""
    data = tf.data.Dataset.from_tensor_slices(arrays)
    return data.shuffle(len(arrays["label"]), seed=0).batch(BATCH).prefetch(2)


def tfrecord(arrays: Arrays, folder: Path, buffer_rows: int) -> tf.data.Dataset:
    """Eight files of serialised examples, interleaved, with a shuffle buffer of as many rows."""
    folder.mkdir(exist_ok=True)
    files = [str(folder / f"{number}.tfrecord") for number in range(8)]
    if not Path(files[-1]).exists():
        for number, path in enumerate(files):
            with tf.io.TFRecordWriter(path) as writer:
                for row in range(number, len(arrays["label"]), len(files)):
                    writer.write(_example({name: arrays[name][row] for name in NAMES}))
    kinds = {name: tf.io.FixedLenFeature([], tf.string) for name in NAMES}

    def parse(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.io.parse_example(serialised, kinds)
        return {
            name: tf.reshape(
                tf.io.decode_raw(found[name], arrays[name].dtype), (-1, *arrays[name].shape[1:])
            )
            for name in NAMES
        }

    data = tf.data.Dataset.from_tensor_slices(files)
    data = data.interleave(tf.data.TFRecordDataset, cycle_length=4, num_parallel_calls=2)
    data = data.shuffle(buffer_rows, seed=0).batch(BATCH).map(parse, num_parallel_calls=2)
    return data.prefetch(2)


def _example(columns: dict[str, NDArray[Any]]) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[np.asarray(v).tobytes()]))
        for name, v in columns.items()
    }
    made: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return made


class MappedStore:
    """A store whose rows are read from uncompressed files that are mapped into memory."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        folder.mkdir(exist_ok=True)
        self._arrays = {}
        for name in (*NAMES, "source_index"):
            path = folder / f"{name}.npy"
            if not path.exists():
                np.save(path, store.read(name, 0, store.windows))
            self._arrays[name] = np.load(path, mmap_mode="r")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read_many(self, names: Any, ranges: Any) -> Arrays:
        return {
            name: np.concatenate([self._arrays[name][start:stop] for start, stop in ranges])
            for name in names
        }


def mapped_numpy(store: MappedStore, order: Order) -> Epoch:
    """The same buffers from the mapped files, batches cut in NumPy, no TensorFlow."""

    def epoch() -> int:
        rows = 0
        for buffer in range(order.buffers):
            ranges = order.buffer_ranges(0, buffer)
            permuted = order.row_order(0, buffer, sum(stop - start for start, stop in ranges))
            held = store.read_many(NAMES, ranges)
            for start in range(0, len(permuted), BATCH):
                chosen = permuted[start : start + BATCH]
                batch = {name: held[name][chosen] for name in NAMES}
                rows += len(batch["label"])
        return rows

    return epoch


def hdf5_by_sample(source: Path, samples: int) -> Epoch:
    """So many windows of the source, each read on its own."""

    def epoch() -> int:
        with h5py.File(source, "r") as file:
            chosen = np.random.default_rng(0).permutation(len(file["X"]))[:samples]
            for start in range(0, samples, BATCH):
                np.stack([file["X"][row] for row in chosen[start : start + BATCH]])
        return samples

    return epoch


def annbatch(store: Store, chunks: int) -> Epoch | None:
    """annbatch's loader over the same raw array, chunk and buffer; raw only: it takes matrices."""
    if importlib.util.find_spec("annbatch") is None:
        return None
    import zarr
    from annbatch import Loader

    if importlib.util.find_spec("zarrs") is not None:
        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    array = zarr.open_array(str(store.path / "raw"), mode="r")

    def epoch() -> int:
        loader = Loader(
            chunk_size=store.chunk_windows,
            preload_nchunks=chunks,
            shuffle=True,
            batch_size=BATCH,
            preload_to_gpu=False,
        ).add_dataset(array)
        return sum(batch["X"].shape[0] for batch in loader)

    return epoch


def insitubatch(store: Store, chunks: int) -> tf.data.Dataset | None:
    """insitubatch's tf.data view over the same arrays, chunk and block."""
    if importlib.util.find_spec("insitubatch") is None:
        return None
    from insitubatch import InSituDataset, as_tf_dataset, obstore_store, split_by_chunk
    from insitubatch.store import open_geometries

    opened = obstore_store(f"file://{store.path.resolve()}")
    geometries = {name: open_geometries(opened)[name] for name in NAMES}
    split = split_by_chunk(geometries["raw"], fractions=(1.0, 0.0, 0.0))
    dataset = InSituDataset(
        opened, split, geometries, batch_size=BATCH, block_chunks=chunks, shuffle=True
    )
    return as_tf_dataset(dataset.train)
