"""What ml_dtypes and numpy say about the number formats, as JSON on standard output.

    number_formats.py > test/fixtures/number-formats.json

decode: dtype -> F32 of every pattern (base64; of 16-bit formats the SHA-256). Every NaN is given as
0x7fc00000, or 0xffc00000 where numpy says that it is negative: payloads are nothing that libraries
agree on.
encode: F32 `inputs` (base64): every number of the F8, some of the 16-bit formats (SIXTEEN_BITS), the
middle between each and the next, and what comes right before and after that, of both signs; what is
too large, too small or no number; and `outputs` of each dtype.
"""

import base64
import hashlib
import json

import ml_dtypes
import numpy as np

DTYPES = {
    "F4": (ml_dtypes.float4_e2m1fn, 4),
    "F6_E2M3": (ml_dtypes.float6_e2m3fn, 6),
    "F6_E3M2": (ml_dtypes.float6_e3m2fn, 6),
    "F8_E5M2": (ml_dtypes.float8_e5m2, 8),
    "F8_E4M3": (ml_dtypes.float8_e4m3fn, 8),
    "F8_E8M0": (ml_dtypes.float8_e8m0fnu, 8),
    "F8_E4M3FNUZ": (ml_dtypes.float8_e4m3fnuz, 8),
    "F8_E5M2FNUZ": (ml_dtypes.float8_e5m2fnuz, 8),
    "F16": (np.float16, 16),
    "BF16": (ml_dtypes.bfloat16, 16),
}
ENCODED = [name for name, (_, bits) in DTYPES.items() if bits >= 8]


def every_pattern(name):
    dtype, bits = DTYPES[name]
    return np.arange(1 << bits, dtype=np.uint16 if bits == 16 else np.uint8).view(dtype)


def as_f32(values):
    decoded = values.astype("<f4").view("<u4")
    nan = np.isnan(decoded.view("<f4"))
    decoded[nan] = (decoded[nan] & 0x80000000) | 0x7FC00000
    return decoded


# Places in the order of their positive numbers: around zero, around the smallest that is normal, odd and
# even ones in between, the largest.
SIXTEEN_BITS = {
    "F16": (0x400, 0x7BFF, 3571),
    "BF16": (0x80, 0x7F7F, 3571),
}


def some_of(name, positive):
    if name not in SIXTEEN_BITS:
        return [positive]
    normal, largest, stride = SIXTEEN_BITS[name]
    places = [0, normal, *range(0, largest - 24, stride), largest - 8]
    return [positive[max(0, place - 8) : place + 9] for place in places]


def encode_inputs():
    numbers = {0.0, np.inf, 1e-45, 3.4028235e38, 65504.0, 65519.0, 65520.0, 1e9}
    for name in ENCODED:
        values = as_f32(every_pattern(name)).view("<f4").astype(np.float64)
        all_positive = np.unique(np.abs(values[np.isfinite(values)]))
        for positive in some_of(name, all_positive):
            # Beyond the largest: where the next number would be.
            beyond = 2 * positive[-1] - positive[-2]
            steps = np.append(positive, beyond)
            middles = ((steps[1:] + steps[:-1]) / 2).astype(np.float32)
            for group in (
                steps.astype(np.float32),
                middles,
                np.nextafter(middles, np.float32(0)),
                np.nextafter(middles, np.float32(np.inf)),
            ):
                numbers.update(group.tolist())
    rng = np.random.default_rng(7)
    some = rng.integers(0, 1 << 32, 2048, dtype=np.uint32)
    both = np.array([*sorted(numbers), np.nan], dtype="<f4")
    return np.concatenate([both, -both, some.view("<f4")])


def text(array):
    return base64.b64encode(array.tobytes()).decode()


with np.errstate(all="ignore"):
    decode = {}
    for name, (_, bits) in DTYPES.items():
        decoded = as_f32(every_pattern(name))
        decode[name] = (
            {"sha256": hashlib.sha256(decoded.tobytes()).hexdigest()}
            if bits == 16
            else {"f32": text(decoded)}
        )
    inputs = encode_inputs()
    outputs = {
        name: text(
            inputs.astype(DTYPES[name][0]).view("<u2" if DTYPES[name][1] == 16 else np.uint8)
        )
        for name in ENCODED
    }
print(
    json.dumps(
        {
            "ml_dtypes": ml_dtypes.__version__,
            "numpy": np.__version__,
            "decode": decode,
            "encode": {"inputs": text(inputs), "outputs": outputs},
        },
        indent=1,
    )
)
