"""Compares converted arrays with what they were, as Python's safetensors sees both.

compare_arrays.py CASES: a JSON file with a list of {"name", "expected", "converted"}. Prints a JSON object:
for each name the number of tensors that are equal bit for bit, or what is not.
"""

import json
import sys

from safetensors import deserialize


def load(path):
    with open(path, "rb") as file:
        return dict(deserialize(file.read()))


def compare(case):
    expected, found = load(case["expected"]), load(case["converted"])
    if found.keys() != expected.keys():
        return f"names differ: {sorted(found.keys() ^ expected.keys())}"
    for name, tensor in expected.items():
        there = found[name]
        # numpy has no bfloat16 of its own.
        dtype = "BF16" if name == "bf16" else tensor["dtype"]
        if there["dtype"] != dtype or list(there["shape"]) != list(tensor["shape"]):
            return f"{name}: {there['dtype']} {there['shape']}, not {dtype} {tensor['shape']}"
        if bytes(there["data"]) != bytes(tensor["data"]):
            return f"{name}: other bits"
    return len(expected)


with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps({case["name"]: compare(case) for case in json.load(file)}))
