"""The encoder's answers by numpy, in double precision: what the backends are compared with.

    pip install safetensors==0.8.0 numpy ml_dtypes
    npm run build && node out/main.js --write models      # models/f32 and models/bf16
    python reference.py models > reference.json
"""

import hashlib
import json
import math
import sys
from pathlib import Path

import ml_dtypes  # noqa: F401  (numpy does not have bfloat16 without it)
import numpy as np
from safetensors.numpy import load_file

# A text of twelve tokens, and one of seven that is filled up.
INPUT_IDS = [[2, 17, 900, 33, 5, 1023, 64, 8, 512, 77, 310, 3], [2, 6, 45, 45, 701, 999, 3, 0, 0, 0, 0, 0]]
ATTENTION_MASK = [[1] * 12, [1] * 7 + [0] * 5]

erf = np.vectorize(math.erf)


def linear(weights, name, x):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def layer_norm(weights, name, x, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attention(weights, prefix, x, mask, heads):
    batch, length, hidden = x.shape

    def part(name):
        projected = linear(weights, f"{prefix}.self.{name}", x)
        return projected.reshape(batch, length, heads, hidden // heads).transpose(0, 2, 1, 3)

    query, key, value = part("query"), part("key"), part("value")
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(hidden // heads)
    scores = np.where(mask[:, None, None, :] == 1, scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return (shares @ value).transpose(0, 2, 1, 3).reshape(batch, length, hidden)


def encode(weights, config, ids, mask):
    epsilon = config["layer_norm_eps"]
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(weights, "embeddings.LayerNorm", x, epsilon)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        context = attention(weights, f"{prefix}.attention", x, mask, config["num_attention_heads"])
        attended = linear(weights, f"{prefix}.attention.output.dense", context)
        x = layer_norm(weights, f"{prefix}.attention.output.LayerNorm", attended + x, epsilon)
        inner = linear(weights, f"{prefix}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
        outer = linear(weights, f"{prefix}.output.dense", inner)
        x = layer_norm(weights, f"{prefix}.output.LayerNorm", outer + x, epsilon)
    kept = x * mask[:, :, None]
    mean = kept.sum(1) / mask.sum(1, keepdims=True)
    return x, mean / np.linalg.norm(mean, axis=-1, keepdims=True)


def rounded(array):
    return [float(f"{value:.9g}") for value in array.ravel()]


def reference(folder):
    path = folder / "model.safetensors"
    weights = {name: array.astype(np.float64) for name, array in load_file(path).items()}
    config = json.loads((folder / "config.json").read_text())
    states, embedding = encode(weights, config, np.array(INPUT_IDS), np.array(ATTENTION_MASK))
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "last_hidden_state": rounded(states),
        "sentence_embedding": rounded(embedding),
    }


if __name__ == "__main__":
    models = Path(sys.argv[1])
    answers = {"input_ids": INPUT_IDS, "attention_mask": ATTENTION_MASK}
    for dtype in ["F32", "BF16"]:
        answers[dtype] = reference(models / dtype.lower())
    json.dump(answers, sys.stdout)
    print()
