"""Reads all tensors of a file, touches every page of them, and prints what that took, as JSON.

touch.py safetensors FILE mmap|pread   the reference, with that backend
touch.py torch FILE mmap|read          torch.load of the same weights: FILE with .pt for .safetensors
touch.py torch-write FILE              writes that, and prints the version of torch
touch.py torch-evict FILE              evicts it, and prints how much of it stays in memory
touch.py random FILE NAMES             tensors (a JSON array in the file NAMES) through a mapping without
                                       read-ahead, posix_fadvise(RANDOM)
"""

import ctypes
import json
import mmap
import os
import sys
from time import perf_counter

import numpy

PAGE_WORDS = 1024


def torch_path(path):
    return path.removesuffix(".safetensors") + ".pt"


def words_of(array):
    return array.reshape(-1).view(numpy.uint32)


def read_reference(path, backend):
    from safetensors.numpy import load_file

    return lambda: [words_of(array) for array in load_file(path, backend=backend).values()]


def read_torch(path, mode):
    import torch

    def read():
        tensors = torch.load(torch_path(path), mmap=mode == "mmap", weights_only=True)
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


def torch_write(path):
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(path), torch_path(path))
    return {"version": torch.__version__, "path": torch_path(path)}


def torch_evict(path):
    """As makeCold does it for safetensors files."""
    with open(torch_path(path), "r+b") as file:
        length = os.fstat(file.fileno()).st_size
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), 0) as mapped:
            pages = (length + mmap.PAGESIZE - 1) // mmap.PAGESIZE
            states = (ctypes.c_ubyte * pages)()
            address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
            libc = ctypes.CDLL(None, use_errno=True)
            libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
            if libc.mincore(address, length, states) != 0:
                raise OSError(ctypes.get_errno(), "mincore")
            resident = mmap.PAGESIZE * sum(state & 1 for state in bytes(states))
            return {"residentBytes": resident}


def main():
    task, *arguments = sys.argv[1:]
    tasks = {
        "safetensors": lambda path, backend: touch(read_reference(path, backend)),
        "torch": lambda path, mode: touch(read_torch(path, mode)),
        "torch-write": torch_write,
        "torch-evict": torch_evict,
        "random": lambda path, names: touch(read_random(path, names)),
    }
    print(json.dumps(tasks[task](*arguments)))


main()
