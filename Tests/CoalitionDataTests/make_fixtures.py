"""Writes the files in Fixtures/, which are committed. Made with numpy 2.4.6 and Pillow 13.0.0.

The values follow formulas that the tests repeat: number k of an array is k - 2 (k for unsigned types), the
pixel of an image is (37 y + 11 x + 71 c) mod 256. Where Pillow computes (resampling, JPEG), its result
is written beside as .u8.
"""
import gzip, io, os, struct, warnings, zipfile, zlib
import numpy as np
from PIL import Image

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "Fixtures"))


def put(name, data):
    with open(name, "wb") as f:
        f.write(data)


# npy
for code in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]:
    a = np.arange(6).reshape(2, 3) - (0 if code[0] == "u" else 2)
    for mark, order in [("<", "le"), (">", "be")]:
        np.save(f"{code}_{order}.npy", a.astype(mark + code))
np.save("bool.npy", np.array([True, False, True]))
np.save("fortran.npy", np.asfortranarray(np.arange(24, dtype="<i4").reshape(2, 3, 4)))
np.save("scalar.npy", np.float64(1.5))
np.save("empty.npy", np.zeros((0, 3), "<f4"))
np.save("u8_overflow.npy", np.array([1, 2**63], "<u8"))
np.save("structured.npy", np.zeros(2, [("a", "<f4"), ("b", "<i4")]))
np.save("complex.npy", np.zeros(2, "<c8"))
np.save("strings_le.npy", np.array(["conv1", "", "größe 🙂"], "<U12"))
np.save("strings_be.npy", np.array(["conv1", "", "größe 🙂"], ">U12"))
np.save("half_special.npy", np.array(
    [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xC000, 0x7BFF, 0x7C00, 0xFC00, 0x3555],
    "<u2").view("<f2"))
for version in [(2, 0), (3, 0)]:
    with open(f"version{version[0]}.npy", "wb") as f:
        np.lib.format.write_array(f, np.arange(3, dtype="<f4"), version=version)

# npz
arrays = {"attributions": np.arange(6, dtype="<f8").reshape(2, 3), "target": np.arange(2)}
np.savez("stored.npz", **arrays)
np.savez_compressed("deflated.npz", **arrays)
np.savez("single.npz", only=np.arange(4, dtype="<i4"))


def member(name):
    return zipfile.ZipInfo(name)  # of 1980: the files do not change from run to run


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    with zipfile.ZipFile("duplicate.npz", "w") as z:
        z.writestr(member("a.npy"), b"1")
        z.writestr(member("a.npy"), b"2")
with zipfile.ZipFile("bzip2.npz", "w") as z:
    z.writestr(member("a.npy"), b"1" * 100, zipfile.ZIP_BZIP2)
with zipfile.ZipFile("bomb.npz", "w") as z:
    z.writestr(member("a.npy"), bytes(4_000_000), zipfile.ZIP_DEFLATED, 9)

# IDX
for code, letter in [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]:
    a = np.arange(24).reshape(2, 3, 4) - (0 if letter == "u1" else 2)
    data = bytes([0, 0, code, 3]) + struct.pack(">3I", 2, 3, 4) + a.astype(letter).tobytes()
    put(f"type{code:02x}.idx", data)
    if code == 8:
        put("members.gz", gzip.compress(data[:9], mtime=0) + gzip.compress(data[9:], mtime=0))
big = (np.arange(4000) % 251).astype("u1")
put("long.gz", gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 4000) + big.tobytes(), mtime=0))
put("liar.gz", gzip.compress(bytes([0, 0, 8, 2]) + struct.pack(">2I", 2**32 - 1, 2**30) + bytes(2000), mtime=0))


# PNG, by hand: Pillow writes neither interlaced nor all of these depths
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(name, samples, depth, color, interlaced=False, extra=b""):
    """samples [H, W, C] of `depth` bits."""
    h, w, _ = samples.shape
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    raw = b""
    for x0, y0, dx, dy in passes:
        part = samples[y0::dy, x0::dx]
        if part.size == 0:
            continue
        for row in part:
            flat = row.reshape(-1)
            if depth == 16:
                line = flat.astype(">u2").tobytes()
            elif depth == 8:
                line = flat.astype("u1").tobytes()
            else:
                bits = np.unpackbits(flat.astype("u1")[:, None], axis=1)[:, 8 - depth:]
                line = np.packbits(bits.reshape(-1)).tobytes()
            raw += b"\0" + line
    header = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, int(interlaced))
    put(name, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
        + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


H, W = 7, 10
y, x, c = np.meshgrid(np.arange(H), np.arange(W), np.arange(3), indexing="ij")
rgb = (37 * y + 11 * x + 71 * c) % 256
gray = rgb[:, :, :1]
opaque = np.full((H, W, 1), 255)
see_through = opaque.copy()
see_through[3, 4] = 200
for depth in [1, 2, 4]:
    png(f"gray{depth}.png", gray % 2**depth, depth, 0)
png("gray8.png", gray, 8, 0)
png("gray16.png", gray * 257, 16, 0)
png("gray2_interlaced.png", gray % 4, 2, 0, True)
png("rgb8.png", rgb, 8, 2)
png("rgb16.png", rgb * 257, 16, 2)
png("rgb8_interlaced.png", rgb, 8, 2, True)
png("gray_alpha_opaque.png", np.concatenate([gray, opaque], 2), 8, 4)
png("gray_alpha_transparent.png", np.concatenate([gray, see_through], 2), 8, 4)
png("rgba_opaque.png", np.concatenate([rgb, opaque], 2), 8, 6)
png("rgba_transparent.png", np.concatenate([rgb, see_through], 2), 8, 6)
png("rgba16_opaque_interlaced.png", np.concatenate([rgb, opaque], 2) * 257, 16, 6, True)
palette = bytes((37 * i + 71 * k) % 256 for i in range(16) for k in range(3))
index = (y + x)[:, :, :1] % 16
png("palette4.png", index, 4, 3, extra=chunk(b"PLTE", palette))
png("palette8_opaque.png", index, 8, 3, extra=chunk(b"PLTE", palette) + chunk(b"tRNS", b"\xff" * 4))
png("palette8_transparent.png", index, 8, 3, extra=chunk(b"PLTE", palette) + chunk(b"tRNS", b"\x00"))
for name in sorted(os.listdir()):
    if name.endswith(".png"):
        Image.open(name).load()  # Pillow accepts them all

# JPEG
pattern = ((np.sin(np.arange(24)[:, None, None] / 5) + np.cos(np.arange(33)[None, :, None] / 7)
            + np.arange(3) / 3) * 45 + 100).clip(0, 255).astype("u1")
for name, image, options in [
    ("color.jpg", Image.fromarray(pattern), {}),
    ("progressive.jpg", Image.fromarray(pattern), {"progressive": True}),
    ("gray.jpg", Image.fromarray(pattern[:, :, 0].copy()), {}),
]:
    image.save(name, quality=85, **options)
    put(name + ".u8", np.asarray(Image.open(name)).tobytes())
Image.fromarray(pattern).convert("CMYK").save("cmyk.jpg")

# Resampling of the formula at 23 x 17
y, x, c = np.meshgrid(np.arange(23), np.arange(17), np.arange(3), indexing="ij")
image = Image.fromarray(((37 * y + 11 * x + 71 * c) % 256).astype("u1"))
for h, w in [(11, 9), (40, 31), (23, 5), (60, 17), (1, 1), (22, 16)]:
    put(f"resized_{h}x{w}.u8", np.asarray(image.resize((w, h), Image.BILINEAR)).tobytes())
put("luma_23x17.u8", np.asarray(image.convert("L")).tobytes())
