"""Ciphers, hashes and codes: what the kernels beside this file compute, by Python's own libraries or in numpy."""

import base64
import hashlib
import zlib

import numpy as np

from traces.kernels.reference import Inputs, Outputs


def sha256(inputs: Inputs) -> Outputs:
    """The length of a message, in bits, ends its padded block."""
    rows = inputs["message"]
    lengths = rows[:, 62].astype(int) * 32 + rows[:, 63] // 8
    digests = [hashlib.sha256(row[:length].tobytes()).digest() for row, length in zip(rows, lengths, strict=True)]
    return {"digest": np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)}


def _double(x: np.ndarray) -> np.ndarray:
    """Times x in the field of AES."""
    return ((x.astype(int) << 1) ^ np.where(x & 0x80, 0x11B, 0)).astype(np.uint8)


def aes128(inputs: Inputs) -> Outputs:
    """Straight from FIPS 197: state[block, column, row], steps one after the other."""
    plain, sbox = inputs["in"], inputs["sbox"]
    keys = inputs["round_key"].view(np.uint8).reshape(11, 4, 4)
    counter = np.zeros((len(plain), 16), np.uint8)
    counter[:, 12:] = np.arange(len(plain), dtype=">u4").view(np.uint8).reshape(-1, 4)
    state = counter.reshape(-1, 4, 4) ^ keys[0]
    for round_number in range(1, 11):
        state = sbox[state]
        state = np.stack([np.roll(state[:, :, row], -row, axis=1) for row in range(4)], axis=2)
        if round_number < 10:
            total = np.bitwise_xor.reduce(state, axis=2, keepdims=True)
            state = state ^ total ^ _double(state ^ np.roll(state, -1, axis=2))
        state = state ^ keys[round_number]
    return {"out": plain ^ state.reshape(-1, 16)}


def crc32(inputs: Inputs) -> Outputs:
    return {"crc": np.array([zlib.crc32(record.tobytes()) for record in inputs["words"].T], np.uint32)}


def chacha20(inputs: Inputs) -> Outputs:
    blocks = len(inputs["in"])
    first = np.zeros((16, blocks), np.uint32)
    first[:4] = np.frombuffer(b"expand 32-byte k", np.uint32)[:, None]
    first[4:12] = inputs["key"][:, None]
    first[12] = np.arange(1, blocks + 1)
    first[13:] = inputs["nonce"][:, None]
    x = first.copy()
    columns = [(i, 4 + i, 8 + i, 12 + i) for i in range(4)]
    diagonals = [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]
    for a, b, c, d in 10 * (columns + diagonals):
        for to, add, mix, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[to] += x[add]
            x[mix] ^= x[to]
            x[mix] = x[mix] << np.uint32(bits) | x[mix] >> np.uint32(32 - bits)
    return {"out": inputs["in"] ^ (x + first).T}


def base64_encode(inputs: Inputs) -> Outputs:
    text = base64.b64encode(inputs["in"].tobytes())
    return {"out": np.frombuffer(text, np.uint8).reshape(-1, 16)}
