"""What numpy makes of weights in blocks that share a scale, as JSON on standard output.

    block_scaled.py > test/fixtures/block-scaled.json

Bytes are those of patternBytes in test/support/build.ts, scales those of test/block-scaled.test.ts;
of the results there is the SHA-256 of their F32, every NaN as 0x7fc00000.

Written after `weight_dequant` in inference/kernel.py of deepseek-ai/DeepSeek-V3, and after
`convert_moe_packed_tensors` of Hugging Face's transformers (without its transposition).
"""

import hashlib
import json

import ml_dtypes
import numpy as np

WEIGHTS = {
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}
TILED = [
    ("F8_E4M3", [256, 384], [128, 128]),
    ("F8_E4M3", [200, 300], [128, 128]),
    ("F8_E4M3", [1, 1], [128, 128]),
    ("F8_E4M3", [3, 9000], [2, 1000]),
    ("F8_E4M3", [7, 33], [3, 5]),
    ("F8_E4M3", [2, 3, 40, 24], [16, 8]),
    ("F8_E4M3", [5, 64], [5, 64]),
    ("F8_E4M3", [9, 17], [1, 1]),
    ("F8_E5M2", [200, 300], [128, 128]),
    ("F8_E4M3FNUZ", [200, 300], [128, 128]),
    ("F8_E5M2FNUZ", [200, 300], [128, 128]),
]
MXFP4 = [[1], [3], [4, 90], [2, 3, 129]]
FP4_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=np.float32)


def pattern(length, seed):
    i = np.arange(length, dtype=np.int64)
    return ((i * 31 + seed * 101 + (i >> 8) * 7) & 0xFF).astype(np.uint8)


def digest(values):
    bits = values.astype("<f4").view("<u4").copy()
    bits[np.isnan(values)] = 0x7FC00000
    return hashlib.sha256(bits.tobytes()).hexdigest()


def tiled(dtype, shape, block):
    weight = pattern(int(np.prod(shape)), 5).view(WEIGHTS[dtype]).astype(np.float32).reshape(shape)
    scale_shape = shape[:-2] + [-(-n // b) for n, b in zip(shape[-2:], block)]
    codes = pattern(int(np.prod(scale_shape)), 11).astype(np.int32)
    scale = np.ldexp((1 + codes / 256).astype(np.float32), codes % 16 - 8).astype(np.float32)
    scale = scale.reshape(scale_shape)
    spread = np.repeat(np.repeat(scale, block[0], axis=-2), block[1], axis=-1)
    return weight * spread[..., : shape[-2], : shape[-1]]


def mxfp4(shape):
    groups = int(np.prod(shape))
    blocks = pattern(groups * 16, 3).reshape(groups, 16)
    scales = pattern(groups, 7)
    lut = np.concatenate([FP4_VALUES, -FP4_VALUES])
    out = np.empty((groups, 32), dtype=np.float32)
    out[:, 0::2] = lut[blocks & 0x0F]
    out[:, 1::2] = lut[blocks >> 4]
    out = np.ldexp(out, scales.astype(np.int32)[:, None] - 127).astype(np.float32)
    out[scales == 255] = np.nan
    return out


with np.errstate(all="ignore"):
    print(
        json.dumps(
            {
                "tiled": [
                    {
                        "dtype": dtype,
                        "shape": shape,
                        "blockSize": block,
                        "sha256": digest(tiled(dtype, shape, block)),
                    }
                    for dtype, shape, block in TILED
                ],
                "mxfp4": [{"groups": shape, "sha256": digest(mxfp4(shape))} for shape in MXFP4],
            },
            indent=1,
        )
    )
