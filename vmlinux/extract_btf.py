#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cuts the kernel's own type information (BTF) out of a kernel image.

usage: extract_btf.py IMAGE OUTPUT

IMAGE is what a distribution installs in /boot: an ELF vmlinux, an x86 bzImage, an arm64 Image, raw, gzipped or wrapped
as an EFI zboot program. Nothing of the wrappers is parsed: every compressed stream in the file is unpacked until one
of them holds a BTF blob, recognised by its header.
"""

import lzma
import struct
import subprocess
import sys
import zlib

BTF_MAGIC = struct.pack("<HBB", 0xEB9F, 1, 0)
BTF_HEADER = struct.Struct("<HBBIIIII")  # magic, version, flags, header length, then types and strings: offset, length
SMALLEST_KERNEL_BTF = 1 << 20  # the magic also occurs by chance, and in the BTF of single objects


def unpack_gzip(data):
    return zlib.decompressobj(wbits=31).decompress(data)


def unpack_lzma(data):
    return lzma.LZMADecompressor().decompress(data)


def unpack_zstd(data):
    # The exit status is non-zero for the bytes that follow the frame; what came before them is whole.
    return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout


UNPACKERS = {
    b"\x28\xb5\x2f\xfd": unpack_zstd,
    b"\x1f\x8b\x08": unpack_gzip,
    b"\xfd7zXZ\x00": unpack_lzma,
    b"\x5d\x00\x00": unpack_lzma,
}


def occurrences(data, pattern):
    at = data.find(pattern)
    while at >= 0:
        yield at
        at = data.find(pattern, at + 1)


def find_btf(data):
    """Returns the largest plausible BTF blob in data, or None."""
    best = None
    for at in occurrences(data, BTF_MAGIC):
        if len(data) - at < BTF_HEADER.size:
            break
        _, _, _, header_len, type_off, type_len, str_off, str_len = BTF_HEADER.unpack_from(data, at)
        end = at + header_len + str_off + str_len
        if header_len < BTF_HEADER.size or header_len > 256 or type_off + type_len > str_off or end > len(data):
            continue
        if data[at + header_len + str_off] != 0 or data[end - 1] != 0:  # the string section starts and ends with NUL
            continue
        if best is None or end - at > len(best):
            best = data[at:end]
    return best if best is not None and len(best) >= SMALLEST_KERNEL_BTF else None


def candidates(image):
    yield image
    for magic, unpack in UNPACKERS.items():
        for at in occurrences(image, magic):
            try:
                yield unpack(image[at:])
            except (zlib.error, lzma.LZMAError):
                continue


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        image = file.read()
    for data in candidates(image):
        btf = find_btf(data)
        if btf is not None:
            with open(sys.argv[2], "wb") as file:
                file.write(btf)
            return
    sys.exit(f"{sys.argv[1]}: no BTF in it")


if __name__ == "__main__":
    main()
