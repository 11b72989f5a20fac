"""Opens or saves a file with the Python reference and prints what that cost, as JSON.

reference.py version
reference.py open FILE OPENS     the first open of this process, and further ones
reference.py open-model FOLDER OPENS   the shards of a folder one after the other, and their names
reference.py open-indexed-model FOLDER OPENS   the same by the index: each tensor must be where that says
reference.py cost FILE           time and peak memory of one open
reference.py save FILE BLOCKS durable|cached
                                 saving the model of models/blocks.ts; durable: with fsync
reference.py slice FILE FIRST LAST TIMES
                                 columns of the tensor x, once and again
"""

import hashlib
import json
import os
import pathlib
import resource
import sys
from time import perf_counter

import numpy  # noqa: F401  safe_open imports it: modules are not what is measured
import safetensors
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file


def lines_of(path):
    with safe_open(path, framework="np") as file:
        for name in file.keys():
            tensor = file.get_slice(name)
            shape = ",".join(map(str, tensor.get_shape()))
            yield f"{name} {tensor.get_dtype()} {shape}\n"


def checksum(*paths):
    # In the order of UTF-16, which for these names is that of Unicode.
    lines = sorted(line for path in paths for line in lines_of(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def open_file(path, opens):
    times = []
    for _ in range(opens):
        start = perf_counter()
        file = safe_open(path, framework="np")
        times.append(1e3 * (perf_counter() - start))
        del file
    return {"first": times[0], "further": times[1:], "checksum": checksum(path)}


def open_model(folder, opens):
    paths = sorted(str(path) for path in pathlib.Path(folder).glob("*.safetensors"))
    times = []
    for _ in range(opens):
        start = perf_counter()
        files = [safe_open(path, framework="np") for path in paths]
        names = [name for file in files for name in file.keys()]
        times.append(1e3 * (perf_counter() - start))
        del files, names
    return {"first": times[0], "further": times[1:], "checksum": checksum(*paths)}


def open_indexed_model(folder, opens):
    times = []
    for _ in range(opens):
        start = perf_counter()
        with open(os.path.join(folder, "model.safetensors.index.json"), encoding="utf-8") as index:
            weight_map = json.load(index)["weight_map"]
        names = sorted(set(weight_map.values()))
        files = {name: safe_open(os.path.join(folder, name), framework="np") for name in names}
        where = {tensor: name for name, file in files.items() for tensor in file.keys()}
        if where != weight_map:
            sys.exit("a tensor is not where the index says")
        times.append(1e3 * (perf_counter() - start))
        paths = [os.path.join(folder, name) for name in files]
        del weight_map, files, where
    return {"first": times[0], "further": times[1:], "checksum": checksum(*paths)}


def memory_status(field):
    """A field of /proc/self/status in bytes; ru_maxrss where there is no /proc."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return 1024 * int(line.split()[1])
    except FileNotFoundError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cost(path):
    before = memory_status("VmRSS")
    file = None
    start = perf_counter()
    try:
        file = safe_open(path, framework="np")
    except SafetensorError:
        pass
    time = 1e3 * (perf_counter() - start)
    memory = memory_status("VmHWM") - before
    verdict = "refused" if file is None else f"{len(file.keys())} tensors"
    return {"time": time, "memory": memory, "checksum": verdict}


def block_model(blocks):
    """The model of models/blocks.ts."""
    width = 4096
    pattern = numpy.arange(width, dtype=numpy.uint32) * numpy.uint32(2654435761)
    tensors = {}
    for layer in range(blocks):
        weight = numpy.tile(pattern, (width, 1))
        weight[0, 0] = layer
        norm = pattern.copy()
        norm[0] = layer
        tensors[f"layers.{layer}.weight"] = weight.view(numpy.float32)
        tensors[f"layers.{layer}.norm"] = norm.view(numpy.float32)
    return tensors


def fsync(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def save(path, blocks, durable):
    tensors = block_model(blocks)
    start = perf_counter()
    save_file(tensors, path)
    if durable:
        fsync(path)
        fsync(os.path.dirname(path))
    time = 1e3 * (perf_counter() - start)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    os.remove(path)
    return {"time": time, "checksum": digest}


def slice_columns(path, first, last, times):
    measured = []
    with safe_open(path, framework="np") as file:
        tensor = file.get_slice("x")
        for _ in range(times):
            start = perf_counter()
            part = tensor[:, first:last]
            measured.append(1e3 * (perf_counter() - start))
    digest = hashlib.sha256(part.tobytes()).hexdigest()
    return {"first": measured[0], "further": measured[1:], "checksum": digest}


def main():
    task, *arguments = sys.argv[1:]
    if task == "version":
        print(safetensors.__version__)
    elif task == "open":
        print(json.dumps(open_file(arguments[0], int(arguments[1]))))
    elif task == "open-model":
        print(json.dumps(open_model(arguments[0], int(arguments[1]))))
    elif task == "open-indexed-model":
        print(json.dumps(open_indexed_model(arguments[0], int(arguments[1]))))
    elif task == "cost":
        print(json.dumps(cost(arguments[0])))
    elif task == "save":
        path, blocks, mode = arguments
        print(json.dumps(save(path, int(blocks), mode == "durable")))
    elif task == "slice":
        print(json.dumps(slice_columns(arguments[0], *map(int, arguments[1:]))))
    else:
        sys.exit(f"unknown task {task}")


main()
