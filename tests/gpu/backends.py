# SPDX-License-Identifier: LGPL-2.1-or-later
# Which of ATen's attention kernels at our shapes, and what a new shape costs: tests/gpu/backends.py [SECONDS]
# Also a big product and a big copy: this card's ceilings. Ends by itself after `budget` seconds.
import json, sys, time
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

budget = float(sys.argv[1]) if len(sys.argv) > 1 else 60
begin, dev, bf16 = time.time(), "cuda", torch.bfloat16
say = lambda **k: print(json.dumps(k), flush=True)
def clock(f, n=5):
    for _ in range(2): f()
    times = []
    for _ in range(n):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record(); f(); b.record(); b.synchronize(); times.append(a.elapsed_time(b))
    return sorted(times)[n // 2]
say(part="card", name=torch.cuda.get_device_name(), torch=torch.__version__, cudnn=torch.backends.cudnn.version())
a = torch.randn(8192, 8192, device=dev, dtype=bf16); b = torch.randn_like(a)
say(part="ceiling", gemm_tflops=round(2 * 8192**3 / clock(lambda: a @ b) / 1e9))
src = torch.empty(1 << 30, device=dev, dtype=torch.float32); dst = torch.empty_like(src)
say(part="ceiling", copy_tb_s=round(2 * src.nbytes / clock(lambda: dst.copy_(src)) / 1e9, 2)); del src, dst
D, H, F = 1536, 12, 8960
for m in (20400, 10200, 4080, 2040, 510):
    x = torch.randn(m, D, device=dev, dtype=bf16)
    for n, gelu in ((3 * D, False), (D, False), (F, True)):
        w, bias = torch.randn(n, D, device=dev, dtype=bf16) / 40, torch.randn(n, device=dev, dtype=bf16)
        f = ((lambda: torch._addmm_activation(bias, x, w.t(), use_gelu=True)) if gelu else
             (lambda: torch.addmm(bias, x, w.t())))
        say(part="linear", m=m, n=n, k=D, gelu=gelu, tflops=round(2 * m * n * D / clock(f) / 1e9))
keys = torch.randn(1, 51000, H, 128, device=dev, dtype=bf16)
kinds = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION,
         "efficient": SDPBackend.EFFICIENT_ATTENTION}
for m in (10200, 2040, 2041, 1000, 510):
    q = torch.randn(1, m, H, 128, device=dev, dtype=bf16).transpose(1, 2)
    for n in (51000, 30600, 10200, 512):
        if time.time() - begin > budget: sys.exit(0)
        k = keys[:, :n].transpose(1, 2)
        for name, kind in kinds.items():
            with sdpa_kernel(kind):
                f = lambda: torch.nn.functional.scaled_dot_product_attention(q, k, k)
                try:
                    torch.cuda.synchronize(); t = time.time(); f(); torch.cuda.synchronize(); first = time.time() - t
                    ms = clock(f)
                except RuntimeError as e:
                    say(part="attention", kind=name, m=m, n=n, error=str(e)[:100]); continue
                say(part="attention", kind=name, m=m, n=n, first_ms=round(first * 1e3, 1), ms=round(ms, 3),
                    tflops=round(4 * m * n * D / ms / 1e9))
mask = torch.zeros(1, 1, 1, 61, device=dev).expand(1, H, 2040, 61); mask = mask.contiguous(); mask[..., -1] = 6
q, k = torch.randn(1, H, 2040, 128, device=dev, dtype=bf16), torch.randn(1, H, 61, 128, device=dev, dtype=bf16)
want = torch.softmax(q.double() @ k.double().transpose(2, 3) / 128**.5 + mask.double(), -1) @ k.double()
for name, kind in kinds.items(): # what attend() in engine/networks/wan_dit/transformer.cpp asks for
    with sdpa_kernel(kind):
        try:
            got = torch.nn.functional.scaled_dot_product_attention(q, k, k, mask).double()
            say(part="float32 mask", kind=name, relative_error=((got - want).norm() / want.norm()).item())
        except RuntimeError as e: say(part="float32 mask", kind=name, error=str(e).split("\n")[0][:120])
for dtype, tf32 in ((torch.float32, False), (torch.float32, True), (bf16, True)): # VAE: its widest layers
    torch.backends.cudnn.allow_tf32 = tf32
    for c, h, w in ((96, 544, 960), (192, 272, 480), (384, 136, 240)):
        for shape, layout in (("3d", torch.contiguous_format), ("3d", torch.channels_last_3d),
                              ("2d of 3c", torch.channels_last)):
            if time.time() - begin > budget: sys.exit(0)
            if shape == "3d":
                x = torch.randn(1, c, 3, h, w, device=dev, dtype=dtype).to(memory_format=layout)
                k = torch.randn(c, c, 3, 3, 3, device=dev, dtype=dtype).to(memory_format=layout)
                f = lambda: torch.nn.functional.conv3d(x, k, padding=(0, 1, 1))
            else:
                x = torch.randn(1, 3 * c, h, w, device=dev, dtype=dtype).to(memory_format=layout)
                k = torch.randn(c, 3 * c, 3, 3, device=dev, dtype=dtype).to(memory_format=layout)
                f = lambda: torch.nn.functional.conv2d(x, k, padding=1)
            torch.cuda.reset_peak_memory_stats(); held = torch.cuda.memory_allocated()
            ms = clock(f, 3)
            say(part="conv", dtype=str(dtype), tf32=tf32, c=c, shape=shape, layout=str(layout), ms=round(ms, 3),
                tflops=round(2 * 27 * c * c * h * w / ms / 1e9),
                extra_mb=(torch.cuda.max_memory_allocated() - held) >> 20)
