"""Writes PyTorch checkpoints, and beside each what its tensors are.

make_checkpoints.py FOLDER [SEED]: prints a JSON list of {"name", "file", "expected", "key"}: `expected` is a
safetensors file of independent, contiguous copies, `key` the part of the checkpoint that they are of. Those that are to
be refused have {"name", "file", "code", "says"} instead.
"""

import io
import json
import os
import pickle
import struct
import sys
import tarfile
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

folder = sys.argv[1]
# Of kinds of tensors that are new, or on their way out.
warnings.simplefilter("ignore")
torch.manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
cases = []


def copy(tensor):
    plain = tensor.detach().resolve_conj().resolve_neg()
    return plain.contiguous().clone(memory_format=torch.contiguous_format)


def add(name, checkpoint, expected, key=None, zip=True, protocol=2):
    stem = os.path.join(folder, f"{name}-{'zip' if zip else 'legacy'}-{protocol}")
    torch.save(
        checkpoint, stem + ".pt", pickle_protocol=protocol, _use_new_zipfile_serialization=zip
    )
    save_file({name: copy(tensor) for name, tensor in expected.items()}, stem + ".expected")
    cases.append({"name": os.path.basename(stem), "file": stem + ".pt", "expected": stem + ".expected", "key": key})


def refuse(name, checkpoint, code, says, protocols=(2, 3, 4, 5), zips=(True, False)):
    for zip in zips:
        for protocol in protocols:
            stem = os.path.join(folder, f"{name}-{'zip' if zip else 'legacy'}-{protocol}")
            torch.save(checkpoint, stem + ".pt", pickle_protocol=protocol, _use_new_zipfile_serialization=zip)
            cases.append({"name": os.path.basename(stem), "file": stem + ".pt", "code": code, "says": says})


def add_all(name, checkpoint, expected, key=None):
    for zip in (True, False):
        for protocol in (2, 3, 4, 5):
            add(name, checkpoint, expected, key, zip, protocol)


class Basic(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )


class ResNet(nn.Module):
    def __init__(self, widths=(8, 16)):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = nn.Sequential(Basic(widths[0], widths[0], 1), Basic(widths[0], widths[0], 1))
        self.layer2 = nn.Sequential(Basic(widths[0], widths[1], 2), Basic(widths[1], widths[1], 1))
        self.fc = nn.Linear(widths[1], 10)


class Conv1D(nn.Module):
    def __init__(self, outputs, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))


class GptBlock(nn.Module):
    def __init__(self, width, positions):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.Module()
        mask = torch.tril(torch.ones(positions, positions, dtype=torch.bool))
        self.attn.register_buffer("bias", mask.view(1, 1, positions, positions))
        self.attn.c_attn = Conv1D(3 * width, width)
        self.attn.c_proj = Conv1D(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.c_fc = Conv1D(4 * width, width)
        self.mlp.c_proj = Conv1D(width, 4 * width)


class Gpt2(nn.Module):
    def __init__(self, vocabulary=101, width=16, positions=12, layers=3):
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(vocabulary, width)
        self.transformer.wpe = nn.Embedding(positions, width)
        self.transformer.h = nn.ModuleList(GptBlock(width, positions) for _ in range(layers))
        self.transformer.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.transformer.wte.weight


class BertLayer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = nn.Module()
        self.attention.self = nn.Module()
        for name in ("query", "key", "value"):
            setattr(self.attention.self, name, nn.Linear(width, width))
        self.attention.output = nn.Module()
        self.attention.output.dense = nn.Linear(width, width)
        self.attention.output.LayerNorm = nn.LayerNorm(width)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(width, 4 * width)
        self.output = nn.Module()
        self.output.dense = nn.Linear(4 * width, width)
        self.output.LayerNorm = nn.LayerNorm(width)


class Bert(nn.Module):
    def __init__(self, vocabulary=97, width=12, positions=20, layers=2):
        super().__init__()
        self.bert = nn.Module()
        self.bert.embeddings = nn.Module()
        self.bert.embeddings.word_embeddings = nn.Embedding(vocabulary, width)
        self.bert.embeddings.position_embeddings = nn.Embedding(positions, width)
        self.bert.embeddings.LayerNorm = nn.LayerNorm(width)
        ids = torch.arange(positions).expand((1, -1))
        self.bert.embeddings.register_buffer("position_ids", ids)
        self.bert.encoder = nn.Module()
        self.bert.encoder.layer = nn.ModuleList(BertLayer(width) for _ in range(layers))
        self.cls = nn.Module()
        self.cls.predictions = nn.Module()
        self.cls.predictions.bias = nn.Parameter(torch.zeros(vocabulary))
        self.cls.predictions.decoder = nn.Linear(width, vocabulary)
        self.cls.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
        self.cls.predictions.decoder.bias = self.cls.predictions.bias


def flat(prefix, value, result):
    if isinstance(value, torch.Tensor):
        result[prefix] = value
    elif isinstance(value, dict):
        for key, item in value.items():
            flat(f"{prefix}.{key}" if prefix else str(key), item, result)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            flat(f"{prefix}.{index}" if prefix else str(index), item, result)
    return result


def models():
    for name, model in (("resnet", ResNet()), ("gpt2", Gpt2()), ("bert", Bert())):
        state = model.state_dict()
        add_all(name, state, state)
        half = model.to(torch.bfloat16).state_dict()
        add(f"{name}-bf16", half, half)
    model = nn.DataParallel(ResNet())
    wrapped = {"epoch": 3, "state_dict": model.state_dict(), "best": 0.5, "arch": "resnet"}
    add("data-parallel", wrapped, model.state_dict())


def training():
    model = Gpt2(layers=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1).state_dict(),
        "rng": torch.get_rng_state(),
        "step": 1,
        "loss": [0.1, 0.2],
        "config": {"name": "tiny", "layers": 1, "dropout": None, "size": torch.Size([1, 2])},
    }
    add_all("training", checkpoint, flat("", checkpoint, {}), key="")
    # The tensor of the random generator at the top does not make it a state dict.
    add_all("training-model", checkpoint, model.state_dict())
    best = {"epoch": 3, "arch": "gpt2", "state_dict": model.state_dict(), "best_acc1": torch.tensor([71.2])}
    add("training-best", {**best, "optimizer": optimizer.state_dict()}, model.state_dict())
    state = flat("state", optimizer.state_dict()["state"], {})
    add("training-optimizer", checkpoint, state, key="optimizer")
    add("optimizer-alone", optimizer.state_dict(), state)


def dtypes():
    bits = torch.randint(0, 256, (16 * 5,), dtype=torch.uint8)
    names = (
        "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 complex64 "
        "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"
    ).split()
    tensors = {name: bits.clone().view(getattr(torch, name)).reshape(5, -1) for name in names}
    tensors["bool"] = (bits % 2).bool().reshape(5, 16)
    for name in list(tensors):
        tensors[f"{name}.scalar"] = tensors[name][0, 0].clone()
        tensors[f"{name}.empty"] = torch.empty((0, 3), dtype=tensors[name].dtype)
        tensors[f"{name}.t"] = tensors[name].clone().t()
    tensors["float4"] = bits.clone().view(torch.float4_e2m1fn_x2).reshape(5, 4, 4)
    tensors["float4.part"] = bits.clone().view(torch.float4_e2m1fn_x2).reshape(5, 4, 4)[1:4, 1:3, 2:]
    tensors["float4.turned"] = bits.clone().view(torch.float4_e2m1fn_x2).reshape(5, 4, 4).transpose(0, 1)
    tensors["float4.empty"] = bits[:0].clone().view(torch.float4_e2m1fn_x2).reshape(0, 3)
    add_all("dtypes", tensors, tensors)


def views():
    base = torch.randn(6, 7, 8)
    weight = torch.randn(9, 11)
    bits = torch.complex(torch.randn(4, 5), torch.randn(4, 5))
    tensors = OrderedDict(
        transposed=weight.clone().t(),
        permuted=base.clone().permute(2, 0, 1),
        expanded=torch.randn(1, 5, 1).expand(4, 5, 6),
        expanded_scalar=torch.tensor(3.0).expand(2, 3),
        offset=torch.randn(10)[3:7],
        stepped=torch.randn(20)[1::3],
        columns=torch.randn(6, 10)[:, 2:5],
        one=torch.randn(5, 1, 3).transpose(0, 1),
        conjugate=bits.clone().conj(),
        conjugate_t=bits.clone().mH,
        negative=bits.clone().conj().imag,
        negative_part=bits.clone().conj().imag[1:3, ::2],
        real=bits.clone().real,
        parameter=nn.Parameter(torch.randn(3, 4)),
        frozen=nn.Parameter(torch.randn(3, 4), requires_grad=False),
        buffer=nn.Buffer(torch.randn(2)),
        channels_last=torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        scalar=torch.tensor(7),
        empty=torch.empty(3, 0, 2),
    )
    marked = torch.randn(3)
    marked.note = "an attribute"
    tensors["marked"] = marked
    # Nothing that is read, but a storage of the file.
    tensors.attribute = torch.randn(5)
    add_all("views", tensors, tensors)
    # More than is in memory at once.
    long = torch.randn(3000, 1500)
    large = {
        "t": long.t(),
        "rows": long.clone()[::2],
        "permuted": long.clone().view(30, 100, 1500).permute(1, 2, 0),
        "conjugate": torch.randn(1_100_000, dtype=torch.complex64).conj(),
        "expanded": torch.randn(7).expand(900_000, 7),
    }
    add("large-views", large, large)


def shared():
    weight = torch.randn(8, 6)
    whole = torch.randn(30)
    tensors = OrderedDict()
    tensors["head.weight"] = weight
    tensors["emb.weight"] = weight
    tensors["again"] = weight[:]
    tensors["transposed"] = weight.t()
    tensors["rows"] = weight[2:5]
    tensors["q"], tensors["k"], tensors["v"] = whole.chunk(3)
    tensors["\U0001f600 name"] = torch.ones(2)
    tensors["__proto__"] = torch.ones(2)
    tensors["12"] = torch.zeros(2)
    add_all("shared", tensors, tensors)


def arrays():
    generator = np.random.default_rng(0)
    tensors = {"weight": torch.randn(3)}
    expected = dict(tensors)
    for code in "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1 c8".split():
        array = generator.integers(0, 2, size=(3, 4, 5)).astype(code)
        for name, made in (
            ("c", array),
            ("fortran", np.asfortranarray(array)),
            ("big", array.astype(np.dtype(code).newbyteorder(">"))),
            ("scalar", array[0, 0, 0]),
            ("empty", array[:0]),
        ):
            tensors[f"{code}.{name}"] = made
            native = np.ascontiguousarray(made).astype(np.dtype(code))
            expected[f"{code}.{name}"] = torch.from_numpy(native.copy()).reshape(np.shape(made))
    tensors["text"] = np.array(["a", "bc"])
    tensors["bytes"] = np.array([b"a", b"bc"])
    tensors["letters"] = np.str_("abc")
    tensors["objects"] = np.array([{"a": 1}, None], dtype=object)
    tensors["date"] = np.array(["2020-01-01"], dtype="M8[s]")
    tensors["time"] = np.array([3], dtype="m8[ms]")
    tensors["fields"] = np.zeros(2, dtype=[("a", "f4"), ("b", "i8")])
    tensors["object fields"] = np.zeros(2, dtype=[("a", "f4"), ("b", "O")])
    add_all("arrays", tensors, expected)


def big_endian():
    """As a machine of the other byte order writes it: PyTorch here reads the same."""
    tensors = {
        "f32": torch.randn(3, 5).t(),
        "f64": torch.randn(4),
        "f16": torch.randn(4).half(),
        "bf16": torch.randn(4).bfloat16(),
        "i64": torch.arange(4) << 33,
        "i32": torch.arange(4, dtype=torch.int32),
        "i16": torch.arange(4, dtype=torch.int16),
        "u8": torch.arange(4, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "c64": torch.randn(4, dtype=torch.complex64).conj(),
    }
    add("big-endian", tensors, tensors)
    path = cases[-1]["file"]
    widths = [1 if t.dtype in (torch.uint8, torch.bool) else t.element_size() // (1 + t.is_complex()) for t in tensors.values()]
    with zipfile.ZipFile(path) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records:
            folder_of, _, last = name.partition("/")
            if last == "byteorder":
                data = b"big"
            elif last.startswith("data/"):
                width = widths[int(last[5:])]
                data = np.frombuffer(data, f"u{width}").byteswap().tobytes()
            archive.writestr(name, data)
    for name, tensor in torch.load(path).items():
        assert torch.equal(tensor, tensors[name]), name


def zip64():
    """With 64-bit sizes and offsets, as in files of over 4 GB: of two records, and at the end."""
    tensors = {"a": torch.randn(5), "b": torch.randn(7)}
    add("zip64", tensors, tensors)
    path = cases[-1]["file"]
    with zipfile.ZipFile(path) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    limits = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 0, 0
    try:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in records:
                archive.writestr(name, data)
    finally:
        zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limits
    with open(path, "rb") as file:
        assert b"PK\x06\x06" in file.read()
    for name, tensor in torch.load(path).items():
        assert torch.equal(tensor, tensors[name]), name


def tar():
    """As PyTorch wrote before 0.1.10, and still reads; nothing writes it any more."""
    base = torch.randn(4, 6)
    tensors = {
        "w": base,
        "t": base.t(),
        "long": torch.arange(7),
        "part": torch.randn(10)[2:5],
        "scalar": torch.tensor([2.5]),
    }
    storages = {}
    for tensor in tensors.values():
        storages.setdefault(tensor.untyped_storage().data_ptr(), tensor)
    types = {torch.float32: torch.FloatStorage, torch.int64: torch.LongStorage}
    path = os.path.join(folder, "tar.pt")
    parts = {"sys_info": pickle.dumps({"protocol_version": 1000, "little_endian": True}, 2)}
    parts["storages"] = pickle.dumps(len(storages), 2)
    for key, tensor in storages.items():
        whole = torch.tensor([], dtype=tensor.dtype).set_(tensor.untyped_storage())
        parts["storages"] += pickle.dumps((key, "cpu", types[tensor.dtype]), 2)
        parts["storages"] += struct.pack("<q", whole.numel()) + whole.numpy().tobytes()
    view = tensors["part"].untyped_storage().data_ptr()
    parts["storages"] += pickle.dumps([(10**9, view, 2, 3)], 2)
    parts["tensors"] = pickle.dumps(len(tensors), 2)
    for number, tensor in enumerate(tensors.values()):
        key, offset = tensor.untyped_storage().data_ptr(), tensor.storage_offset()
        if key == view:
            key, offset = 10**9, 0
        parts["tensors"] += pickle.dumps((number, key, None), 2)
        parts["tensors"] += struct.pack("<ii", tensor.dim(), 0)
        parts["tensors"] += struct.pack(f"<{2 * tensor.dim()}q", *tensor.size(), *tensor.stride())
        parts["tensors"] += struct.pack("<q", offset)

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return str(item[1]) if isinstance(item, tuple) and item[:1] == ("tensor",) else None

    body = io.BytesIO()
    Pickler(body, 2).dump({name: ("tensor", i) for i, name in enumerate(tensors)})
    parts["pickle"] = body.getvalue()
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name, data in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mtime = 1500000000.25
            archive.addfile(member, io.BytesIO(data))
    for name, tensor in torch.load(path, weights_only=False).items():
        assert torch.equal(tensor, tensors[name]), name
    save_file({name: copy(tensor) for name, tensor in tensors.items()}, path + ".expected")
    cases.append({"name": "tar", "file": path, "expected": path + ".expected", "key": None})


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3))


def unsupported():
    """What safetensors does not have, and programs, as PyTorch writes them."""
    square = torch.randn(4, 4)
    parts = [torch.randn(2, 3), torch.randn(3, 3)]
    scales, zeros = torch.ones(4), torch.zeros(4)
    kinds = {
        "quantised": torch.quantize_per_tensor(square, 0.1, 0, torch.qint8),
        "quantised-channels": torch.quantize_per_channel(square, scales, zeros, 0, torch.quint8),
        "sparse-coo": square.to_sparse(),
        "sparse-csr": square.to_sparse_csr(),
        "sparse-csc": square.to_sparse_csc(),
        "sparse-bsr": square.to_sparse_bsr((2, 2)),
        "sparse-bsc": square.to_sparse_bsc((2, 2)),
        "nested": torch.nested.nested_tensor(parts),
        "nested-jagged": torch.nested.nested_tensor(parts, layout=torch.jagged),
        "meta": torch.empty(3, device="meta"),
        "complex128": torch.zeros(3, dtype=torch.complex128),
        "complex32": torch.zeros(3, dtype=torch.complex32),
        "pairs": torch.zeros(2, 4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2).t(),
    }
    for name, tensor in kinds.items():
        checkpoint = {"before": torch.randn(2), "w": tensor, "after": torch.randn(3)}
        refuse(name, checkpoint, "UNSUPPORTED_TENSOR", name.split("-")[0])
    for kind, array in (("f16", np.longdouble(1)), ("c16", np.zeros(2, "c16"))):
        refuse(f"array-{kind}", {"w": torch.ones(2), "x": array}, "UNSUPPORTED_TENSOR", kind)
    refuse("whole-model", Whole(), "UNSAFE_PICKLE", "__main__.Whole")


def formats():
    """What says how elements lie, by names of PyTorch's."""
    state = {"w": torch.randn(3), "layout": torch.sparse_coo, "scheme": torch.per_tensor_affine}
    add_all("layouts", state, {"w": state["w"]})
    for zip in (True, False):
        formats = {"w": state["w"], "last": torch.channels_last, "kept": torch.preserve_format}
        add("memory-formats", formats, {"w": state["w"]}, None, zip, 4)


for make in (formats, unsupported, big_endian, zip64, tar, models, training, dtypes, views, shared, arrays):
    make()
print(json.dumps(cases))
