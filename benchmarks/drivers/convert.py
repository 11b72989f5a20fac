"""Converts a PyTorch checkpoint as one does in Python, and prints what that cost, as JSON.

convert.py write FILE BLOCKS     writes a checkpoint of so many blocks of 64 MiB
convert.py convert FILE OUTPUT   torch.load, then save_file
"""

import json
import re
import sys
from time import perf_counter

import torch
from safetensors.torch import save_file


def own_memory():
    with open("/proc/self/status", encoding="utf-8") as status:
        return 1024 * int(re.search(r"RssAnon:\s+(\d+) kB", status.read()).group(1))


def write(path, blocks):
    tensors = {}
    for block in range(int(blocks)):
        for name, shape in (("q", (2048, 2048)), ("up", (2816, 4096)), ("k", (512, 2048))):
            tensors[f"layers.{block}.{name}.weight"] = torch.randn(shape)
        tensors[f"layers.{block}.norm.weight"] = torch.ones(2048)
    torch.save(tensors, path)
    return {}


def convert(path, output):
    before = own_memory()
    start = perf_counter()
    tensors = torch.load(path, weights_only=True)
    save_file(tensors, output)
    time = perf_counter() - start
    return {"time": 1e3 * time, "memory": own_memory() - before}


task, *arguments = sys.argv[1:]
print(json.dumps({"write": write, "convert": convert}[task](*arguments)))
