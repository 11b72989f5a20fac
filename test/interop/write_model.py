"""Writes a sharded model as huggingface_hub would, without torch.

write_model.py FOLDER: prints {name: {"dtype", "shape", "hex": bytes}} in the order of the index.
"""

import json
import os
import sys

import ml_dtypes
import numpy as np
from huggingface_hub import constants
from huggingface_hub.serialization import split_state_dict_into_shards_factory
from safetensors.numpy import save_file

NAMES = {"float32": "F32", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "int64": "I64"}


def model():
    generator = np.random.default_rng(3)

    def some(dtype, *shape):
        return np.asarray(generator.random(shape) * 100).astype(dtype)

    yield "model.embed_tokens.weight", some(ml_dtypes.bfloat16, 40, 32)  # larger than a shard
    for layer in range(30):
        name = f"model.layers.{layer}"
        yield f"{name}.mlp.down_proj.weight", some(ml_dtypes.float8_e4m3fn, 16, 16)
        yield f"{name}.mlp.down_proj.weight_scale_inv", some(np.float32, 1, 1)
        yield f"{name}.input_layernorm.weight", some(ml_dtypes.bfloat16, 16)
        yield f"{name}.steps", some(np.int64)
    yield "Größe\n\u3042\U0001f600", some(np.float32, 3)
    yield "empty", some(np.float32, 0, 4)


def main(folder):
    tensors = dict(model())
    split = split_state_dict_into_shards_factory(
        tensors,
        get_storage_size=lambda tensor: tensor.nbytes,
        filename_pattern=constants.SAFETENSORS_WEIGHTS_FILE_PATTERN,
        max_shard_size="2KB",
    )
    for file, names in split.filename_to_tensors.items():
        shard = {name: tensors[name] for name in names}
        save_file(shard, os.path.join(folder, file), metadata={"format": "pt"})
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    with open(os.path.join(folder, constants.SAFETENSORS_INDEX_FILE), "w") as file:
        json.dump(index, file, indent=2)
    manifest = {
        name: {
            "dtype": NAMES[tensors[name].dtype.name],
            "shape": list(tensors[name].shape),
            "hex": tensors[name].tobytes().hex(),
        }
        for name in split.tensor_to_filename
    }
    print(json.dumps(manifest))


main(sys.argv[1])
