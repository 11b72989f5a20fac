"""Reads all tensors of a file, touches every page of them, and prints what that took, as JSON.

touch.py safetensors FILE mmap|pread   the reference, with that backend
touch.py torch FILE mmap|read          torch.load of the same weights in a file of its own
touch.py torch-write FILE OUTPUT       writes that
touch.py hold FILE                     all tensors by the reference; holds them until standard input ends
touch.py scattered FILE NAMES          some tensors (a JSON array in the file NAMES) by the reference
touch.py random FILE NAMES             the same tensors through a mapping without read-ahead: posix_fadvise(RANDOM)
"""

import json
import mmap
import os
import sys
from time import perf_counter

import numpy

PAGE_WORDS = 1024


def words_of(array):
    return array.reshape(-1).view(numpy.uint32)


def read_reference(path, backend):
    from safetensors.numpy import load_file

    return lambda: [words_of(array) for array in load_file(path, backend=backend).values()]


def read_torch(path, mode):
    import torch

    def read():
        tensors = torch.load(path, mmap=mode == "mmap", weights_only=True)
        return [words_of(tensor.numpy()) for tensor in tensors.values()]

    return read


def read_random(path, names_path):
    with open(names_path, encoding="utf-8") as file:
        names = json.load(file)

    def read():
        descriptor = os.open(path, os.O_RDONLY)
        length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
        header = json.loads(os.pread(descriptor, length, 8))
        # The mapping is of this open file, advice included.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        mapped = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        tensors = []
        for name in names:
            begin, end = header[name]["data_offsets"]
            count = (end - begin) // 4
            tensors.append(numpy.frombuffer(mapped, numpy.uint32, count, 8 + length + begin))
        return tensors

    return read


def touch(read):
    start = perf_counter()
    tensors = read()
    ready = perf_counter()
    # One word of each page, and the last, as in touch.ts.
    sums = [int(words[::PAGE_WORDS].sum(dtype=numpy.uint64)) + int(words[-1]) for words in tensors]
    end = perf_counter()
    return {
        "ready": 1e3 * (ready - start),
        "time": 1e3 * (end - start),
        "checksum": f"{len(tensors)} {sum(sums) % 2**32}",
    }


def torch_write(path, output):
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(path), output)
    return {}


def hold(path):
    from safetensors.numpy import load_file

    words = [words_of(array) for array in load_file(path).values()]
    print(json.dumps(touch(lambda: words)), flush=True)
    sys.stdin.read()
    # The tensors are needed up to here.
    assert words


def scattered(path, names_path):
    from safetensors import safe_open

    with open(names_path, encoding="utf-8") as names_file:
        names = json.load(names_file)
    with safe_open(path, framework="np") as file:
        return touch(lambda: [words_of(file.get_tensor(name)) for name in names])


def main():
    task, *arguments = sys.argv[1:]
    if task == "hold":
        hold(*arguments)
        return
    tasks = {
        "safetensors": lambda path, backend: touch(read_reference(path, backend)),
        "torch": lambda path, mode: touch(read_torch(path, mode)),
        "torch-write": torch_write,
        "scattered": scattered,
        "random": lambda path, names: touch(read_random(path, names)),
    }
    print(json.dumps(tasks[task](*arguments)))


main()
