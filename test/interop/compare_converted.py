"""Compares converted checkpoints with what they hold, as PyTorch sees both.

compare_converted.py CASES: a JSON file with a list of {"name", "expected", "converted"}. Prints a JSON object:
for each name the number of tensors that are equal bit for bit, or what is not.
"""

import json
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file


def bits(tensor):
    return tensor.contiguous().flatten().view(torch.uint8)


def compare(case):
    expected = load_file(case["expected"])
    found = load_file(case["converted"])
    with safe_open(case["converted"], "pt") as file:
        metadata = dict(file.metadata())
    if metadata.pop("format") != "pt":
        return "no format"
    for name, target in metadata.items():
        if name in found:
            return f"{name} is a link and a tensor"
        found[name] = found[target]
    if found.keys() != expected.keys():
        return f"names differ: {sorted(found.keys() ^ expected.keys())}"
    for name, tensor in expected.items():
        there = found[name]
        if there.dtype != tensor.dtype or there.shape != tensor.shape:
            return f"{name}: {there.dtype} {there.shape}, not {tensor.dtype} {tensor.shape}"
        if not torch.equal(bits(there), bits(tensor)):
            return f"{name}: other bits"
    return len(expected)


with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps({case["name"]: compare(case) for case in json.load(file)}))
