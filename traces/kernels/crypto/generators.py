"""Input arrays for ciphers and hashes: padded messages, tables and keys of AES."""

import numpy as np


def sha256_message(shape, dtype, random, options):
    """Random messages of 0 to 55 bytes, padded to their one block of 64 as FIPS 180-4 says."""
    blocks = np.zeros(shape, dtype)
    for block in blocks:
        length = int(random.integers(0, 56))
        block[:length] = random.integers(0, 256, length)
        block[length] = 0x80
        block[62:] = length * 8 >> 8, length * 8 & 255
    return blocks


def _field_product(a: int, b: int) -> int:
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11B << bit - 8
    return product


def aes_sbox(shape, dtype, random, options):
    """Inverse in the field, then the affine map of FIPS 197."""
    inverse = [next((b for b in range(256) if _field_product(a, b) == 1), 0) for a in range(256)]
    box = [0] * 256
    for a, b in enumerate(inverse):
        wide = b | b << 8
        box[a] = (b ^ wide >> 7 ^ wide >> 6 ^ wide >> 5 ^ wide >> 4 ^ 0x63) & 255
    return np.array(box, dtype)


def aes_table(shape, dtype, random, options):
    """S-box value times the first MixColumns column (2, 1, 1, 3), lowest byte first."""
    box = aes_sbox(shape, np.uint8, random, options)
    return np.array([_field_product(s, 2) | s << 8 | s << 16 | _field_product(s, 3) << 24 for s in box.tolist()], dtype)


def aes_round_keys(shape, dtype, random, options):
    """The 44 words of the key expansion of FIPS 197 for a random key, lowest byte first."""
    box = aes_sbox(shape, np.uint8, random, options)
    words = list(random.integers(0, 256, (4, 4), dtype=np.uint8))
    constant = 1
    for i in range(4, 44):
        word = words[-1]
        if i % 4 == 0:
            word = box[np.roll(word, -1)]
            word[0] ^= constant
            constant = _field_product(constant, 2)
        words.append(words[i - 4] ^ word)
    return np.array(words).view(np.uint32)[:, 0].astype(dtype)
