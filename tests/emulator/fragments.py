"""Matrix fragments of the PTX ISA in numpy: which lane holds which element, encodings, and kernels of one `mma`."""
# ruff: noqa: E501 (tables and CUDA source in strings)

from dataclasses import dataclass

import numpy as np

LANES = np.arange(32)
GROUP, THREAD = LANES >> 2, LANES & 3
BITS = {"f16": 16, "bf16": 16, "tf32": 32, "e4m3": 8, "e5m2": 8, "e3m2": 8, "e2m3": 8, "e2m1": 8, "f64": 64}
BITS |= {"s8": 8, "u8": 8, "s4": 4, "u4": 4, "b1": 1}
SMALL = {"e4m3": (4, 3, 7), "e5m2": (5, 2, 15), "e3m2": (3, 2, 3), "e2m3": (2, 3, 1), "e2m1": (2, 1, 1)}


@dataclass(frozen=True)
class Case:
    """One form of mma. `since`, `until`: architectures that have it; `selector`: of sparse metadata, or -1."""

    m: int
    k: int
    a: str
    b: str
    c: str  # f16, f32, f64, s32
    since: int
    until: int = 999
    selector: int = -1
    prefix: str = ""
    suffix: str = ""
    layout: str = "row.col"
    ordered: bool = False

    @property
    def ptx(self):
        kind = "mma" if self.selector < 0 else "mma.sp::ordered_metadata" if self.ordered else "mma.sp"
        types = f"{self.c}.{self.a}.{self.b}.{self.c}"
        saturate = ".satfinite" if self.suffix == "satfinite" else ""
        bits = "" if self.suffix in ("", "satfinite") else f".{self.suffix}.popc"
        return f"{kind}.sync.aligned{self.prefix}.m{self.m}n8k{self.k}.{self.layout}{saturate}.{types}{bits}"

    @property
    def name(self):
        return "k_" + "".join(c if c.isalnum() else "_" for c in self.ptx) + f"_{self.selector + 1}"

    def registers(self):
        """Registers of A, B and C per lane (64-bit ones of FP64)."""
        size = 64 if self.a == "f64" else 32
        sparse = 2 if self.selector >= 0 else 1
        if self.m == 8 and self.k == 4 and self.a == "f16":
            return 2, 2, 4 if self.c == "f16" else 8
        a = self.m * self.k * BITS[self.a] // 32 // size // sparse
        b = 8 * self.k * BITS[self.b] // 32 // size
        c = self.m * 8 * {"f16": 16, "f32": 32, "s32": 32, "f64": 64}[self.c] // 32 // size
        return a, b, c

    def source(self):
        """A kernel that reads the fragments of every lane, multiplies once and writes the result."""
        na, nb, nc = self.registers()
        kind = {"f32": ("f", "float"), "f64": ("d", "double")}.get(self.c, ("r", "unsigned"))
        factor = ("d", "double") if self.a == "f64" else ("r", "unsigned")
        numbers = iter(range(100))
        lists = [",".join(f"%{next(numbers)}" for _ in range(n)) for n in (nc, na, nb, nc)]
        inputs = [f'"{factor[0]}"(a[l*{na}+{i}])' for i in range(na)] + [
            f'"{factor[0]}"(b[l*{nb}+{i}])' for i in range(nb)
        ]
        inputs += [f'"{kind[0]}"(c[l*{nc}+{i}])' for i in range(nc)]
        tail = ""
        if self.selector >= 0:
            tail = f", %{next(numbers)}, {self.selector}"
            inputs.append('"r"(e[l])')
        outputs = ",".join(f'"={kind[0]}"(d[l*{nc}+{i}])' for i in range(nc))
        operands = ",".join(f"{{{text}}}" for text in lists)
        return (
            f'extern "C" __global__ void {self.name}(const {factor[1]}* a, const {factor[1]}* b, const {kind[1]}* c, '
            f"{kind[1]}* d, const unsigned* e) {{ int l = threadIdx.x; "
            f'asm volatile("{self.ptx} {operands}{tail};" : {outputs} : {",".join(inputs)}); }}\n'
        )


def decode(kind, code):
    """Values of the encodings 0 ... of a narrow type."""
    code = np.asarray(code, np.int64)
    if kind in ("s8", "s4"):
        bits = BITS[kind]
        return np.where(code >> (bits - 1) & 1, code - (1 << bits), code).astype(np.float64)
    if kind in ("u8", "u4", "b1"):
        return code.astype(np.float64)
    exponent_bits, mantissa_bits, bias = SMALL[kind]
    if kind == "e2m1":
        code = code >> 2  # the middle bits of its byte
    mantissa, exponent = code & ((1 << mantissa_bits) - 1), code >> mantissa_bits & ((1 << exponent_bits) - 1)
    value = np.where(
        exponent,
        (1 + mantissa / 2.0**mantissa_bits) * 2.0 ** (exponent - bias),
        mantissa * 2.0 ** (1 - bias - mantissa_bits),
    )
    return np.where(code >> (exponent_bits + mantissa_bits) & 1, -value, value)


def encode(kind, values):
    """Encodings of values that the type can represent."""
    values = np.asarray(values, np.float64)
    if kind == "f16":
        return values.astype(np.float16).view(np.uint16).astype(np.int64)
    if kind in ("bf16", "tf32"):
        words = values.astype(np.float32).view(np.uint32).astype(np.int64)
        return words >> 16 if kind == "bf16" else words
    table = {float(v): c for c, v in reversed(list(enumerate(decode(kind, np.arange(1 << BITS[kind])))))}
    return np.vectorize(lambda v: table[float(v)], otypes=[np.int64])(values)


def pack(codes, bits):
    """Codes, shape (32, n), as 32-bit registers, shape (32, n * bits / 32), lowest first."""
    per = 32 // bits
    grouped = codes.reshape(32, -1, per)
    return np.bitwise_or.reduce(grouped << (np.arange(per) * bits), axis=2).astype(np.uint32)


def a_places(m, k, bits):
    """Rows and columns of the elements a0, a1 ... of every lane, shape (32, n)."""
    e = max(1, 32 // bits)
    i = np.arange(m * k // 32)[None, :]
    high = i // e % 2 if m == 16 else 0 * i
    block = i // (2 * e) if m == 16 else i // e
    return GROUP[:, None] + 8 * high, THREAD[:, None] * e + i % e + 4 * e * block


def b_places(k, bits):
    e = max(1, 32 // bits)
    i = np.arange(k // 4)[None, :]
    return THREAD[:, None] * e + i % e + 4 * e * (i // e), GROUP[:, None] + 0 * i


def c_places(m):
    i = np.arange(m // 4)[None, :]
    return GROUP[:, None] + 8 * (i // 2), THREAD[:, None] * 2 + i % 2


def quarter_places(operand, layout, quarter_of):
    """m8n8k4: rows and columns of A, B or C by lane and element."""
    upper, within = LANES[:, None] >> 4, LANES[:, None] & 3
    if operand == "c32":
        i = np.arange(8)[None, :]
        return (LANES[:, None] & 1) + (i & 2) + 4 * upper, (i & 4) + (LANES[:, None] & 2) + (i & 1)
    if operand == "c16":
        i = np.arange(8)[None, :]
        return within + 4 * upper + 0 * i, i + 0 * within
    i = np.arange(4)[None, :]
    long = i + 4 * upper  # the index of the side that has 8
    if operand == "a":
        return (within + 4 * upper + 0 * i, i + 0 * within) if layout == "row" else (long, within + 0 * i)
    return (within + 0 * i, long) if layout == "row" else (i + 0 * within, within + 4 * upper + 0 * i)


def compress(a, granule_columns, byte, random):
    """Keep two of every four granules of each row: (sparse A, kept values (m, k / 2), positions (m, k / 2 granules))."""
    m, k = a.shape
    chunks = k // (4 * granule_columns)
    positions = np.empty((m, chunks, 2), np.int64)
    for row in range(m):
        for chunk in range(chunks):
            positions[row, chunk] = np.sort(random.choice(4, 2, replace=False))
    grouped = a.reshape(m, chunks, 4, granule_columns)
    kept = np.take_along_axis(grouped, positions[:, :, :, None], axis=2)
    sparse = np.zeros_like(grouped)
    np.put_along_axis(sparse, positions[:, :, :, None], kept, axis=2)
    return sparse.reshape(m, k), kept.reshape(m, k // 2), positions.reshape(m, -1)
