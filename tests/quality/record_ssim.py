# SPDX-License-Identifier: LGPL-2.1-or-later
"""record_ssim.py > recorded.inc: what scikit-image says of the pictures of frames.h. Needs scikit-image alone:

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install scikit-image==0.26.0
    /tmp/venv/bin/python tests/quality/record_ssim.py > tests/quality/recorded.inc
"""
import numpy
import skimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

WINDOW = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
SIZES = ((160, 96), (33, 47), (11, 12), (11, 11))
DISTORTIONS = (("noise", 1), ("noise", 10), ("noise", 60), ("shift", 5), ("shift", 90), ("moved", 1), ("moved", 4),
               ("contrast", 30), ("blue", 0), ("other", 0))


def scramble(x):
    x = (x ^ x >> 16) * 0x7feb352d & 0xffffffff
    x = (x ^ x >> 15) * 0x846ca68b & 0xffffffff
    return x ^ x >> 16


def scene(x, y, c):
    disc = (x - 40) ** 2 + (y - 30) ** 2 < 500
    slope = 20 + (2 + c) * x // 3 % 160 + (3 - c) * y // 2 % 60
    return min(255, (230 - 70 * c if disc else slope) + scramble(x + 1000 * y + 1000000 * c) % 8)


def distorted(how, amount, x, y, c):
    v, grain = scene(x, y, c), scramble(7 + x + 1000 * y + 1000000 * c)
    return {"noise": lambda: min(max(v + grain % (2 * amount + 1) - amount, 0), 255),
            "shift": lambda: min(v + amount, 255),
            "moved": lambda: scene(x + amount, y, c),
            "contrast": lambda: v * (100 - amount) // 100 + amount * 128 // 100,
            "blue": lambda: 0 if c == 2 else v,
            "other": lambda: grain % 256,
            "same": lambda: v}[how]()


def frame(width, height, how="same", amount=0):
    return numpy.array([[[distorted(how, amount, x, y, c) for c in range(3)] for x in range(width)]
                        for y in range(height)], dtype=numpy.uint8)


def luma(rgb):
    return rgb.astype(numpy.float64) @ [0.2126, 0.7152, 0.0722]


print("// SPDX-License-Identifier: LGPL-2.1-or-later")
print(f"// Written by record_ssim.py with scikit-image {skimage.__version__}, numpy {numpy.__version__}: "
      "PSNR and SSIM in RGB, of luma.")
for width, height in SIZES:
    reference = frame(width, height)
    for how, amount in DISTORTIONS:
        other = frame(width, height, how, amount)
        y, other_y = luma(reference), luma(other)
        values = (peak_signal_noise_ratio(reference, other, data_range=255),
                  structural_similarity(reference, other, channel_axis=-1, **WINDOW),
                  peak_signal_noise_ratio(y, other_y, data_range=255), structural_similarity(y, other_y, **WINDOW))
        print(f'{{{width}, {height}, "{how}", {amount}, {", ".join(f"{v:.12f}" for v in values)}}},')
