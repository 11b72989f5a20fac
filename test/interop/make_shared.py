"""Saves dicts of tensors that share memory, and says what the reference makes of their names.

make_shared.py FOLDER: prints a JSON list of {"name", "file", "links"}: `links` has the names that the reference drops, and
those that stand for them; `null` where it refuses the dict. As `convert.py` of the reference does, a part of a storage that
nothing else is in is copied first.
"""

import json
import os
import sys

import torch
from safetensors.torch import _find_shared_tensors, _remove_duplicate_names

folder = sys.argv[1]
w = torch.randn(4, 4)
y = torch.randn(4)

dicts = {
    "alone": {"a": w},
    "tied": {"b": w, "a": w},
    "tied-thrice": {"c": w, "b": w[:], "a": w.view(4, 4)},
    "two-pairs": {"d": w, "c": y, "b": y, "a": w},
    "one-part": {"q": y[:2]},
    "parts": {"q": y[:2], "k": y[2:]},
    "parts-that-overlap": {"a": y[:3], "b": y[1:]},
    "a-part-twice": {"a": y[:2], "b": y[:2]},
    "overlap-in-a-chain": {"a": y[:2], "b": y[1:3], "c": y[2:]},
    "parts-and-the-whole": {"q": y[:2], "k": y[2:], "full": y},
    "another-shape": {"b": w, "a": w.view(16)},
    "a-row": {"a": w[1], "b": w},
    "code-points": {"\U0001f600": w, "\uff5e": w},
}


def links_of(tensors):
    tensors = dict(tensors)
    for shared in _find_shared_tensors(tensors):
        if len(shared) == 1:
            (name,) = shared
            tensors[name] = tensors[name].clone()
    try:
        kept = _remove_duplicate_names(tensors)
    except RuntimeError:
        return None
    return {name: keep for keep, names in kept.items() for name in names}


cases = []
for name, tensors in dicts.items():
    path = os.path.join(folder, name + ".pt")
    torch.save(tensors, path)
    cases.append({"name": name, "file": path, "links": links_of(tensors)})
print(json.dumps(cases))
