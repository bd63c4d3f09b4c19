"""The products of bench_test.go by OpenBLAS on one core, beside ours.

    go test -c -o kernel.test ./internal/kernel
    pip install numpy && python openblas_bench.py ./kernel.test [avx512|avx2 [turns [shape...]]]

prints Gflop/s of both, the best of some turns, and their ratio. OpenBLAS is the
library that NumPy's wheel brings along, called without NumPy; the time of a
call that has nothing to do is taken off its times.
"""

import ctypes
import glob
import os
import re
import subprocess
import sys
import time

KERNEL = sys.argv[1]
INSTRUCTIONS = sys.argv[2] if len(sys.argv) > 2 else "avx512"
TURNS = int(sys.argv[3]) if len(sys.argv) > 3 else 10
SHAPES = sys.argv[4:] or ["256x128x128", "1024x128x128", "4096x64x64", "64x64x64", "200x50x50"]
SECONDS = 0.02
NO_TRANS, TRANS, ROW_MAJOR = 111, 112, 101

# OpenBLAS chooses its kernels when it is loaded, the processor's best unless told.
os.environ.pop("OPENBLAS_CORETYPE", None)
if INSTRUCTIONS == "avx2":
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
site = next(p for p in sys.path if p.endswith("site-packages"))
blas = ctypes.CDLL(glob.glob(site + "/numpy.libs/libscipy_openblas64_*")[0])
blas.scipy_openblas_get_config64_.restype = ctypes.c_char_p
blas.scipy_openblas_get_corename64_.restype = ctypes.c_char_p


def openblas(kind, m, n, k, trans):
    """Seconds of one product."""
    real, gemm = {"float32": (ctypes.c_float, blas.scipy_cblas_sgemm64_),
                  "float64": (ctypes.c_double, blas.scipy_cblas_dgemm64_)}[kind]
    x, y, z = ((real * size)(*[1 + i % 7 for i in range(size)]) for size in (m * k, k * n, m * n))
    ta, tb = trans == "TN", trans == "NT"

    def call(rows):
        size = ctypes.c_int64
        return (ROW_MAJOR, TRANS if ta else NO_TRANS, TRANS if tb else NO_TRANS,
                size(rows), size(n), size(k), real(1), x, size(m if ta else k), y, size(k if tb else n), real(0), z, size(n))

    def seconds(args):
        repeats, end, total = 0, time.perf_counter() + SECONDS, 0.0
        while time.perf_counter() < end:
            t = time.perf_counter()
            for _ in range(10):
                gemm(*args)
            total += time.perf_counter() - t
            repeats += 10
        return total / repeats

    product, nothing = call(m), call(0)
    seconds(product)
    return lambda: seconds(product) - seconds(nothing)


def ours(kind, m, n, k, trans):
    """Seconds of one product."""
    out = subprocess.run(
        [KERNEL, "-test.run=XXX", "-test.cpu=1", f"-test.benchtime={SECONDS}s", f"-instructions={INSTRUCTIONS}",
         f"-test.bench=^BenchmarkGemm$/^{kind}$/^{m}x{n}x{k}$/^{trans}$"], capture_output=True, text=True, check=True).stdout
    return float(re.search(r"([0-9.]+) ns/op", out).group(1)) * 1e-9


print(blas.scipy_openblas_get_config64_().decode(), blas.scipy_openblas_get_corename64_().decode(), "against", INSTRUCTIONS)
for kind in ("float32", "float64"):
    for m, n, k in (map(int, shape.split("x")) for shape in SHAPES):
        for trans in ("NN", "TN", "NT"):
            measure = openblas(kind, m, n, k, trans)
            pairs = [(measure(), ours(kind, m, n, k, trans)) for _ in range(TURNS)]
            flops = 2e-9 * m * n * k
            theirs, we = (flops / min(p[i] for p in pairs) for i in (0, 1))
            print(f"{kind} {m}x{n}x{k} {trans}: OpenBLAS {theirs:6.1f}, ours {we:6.1f} Gflop/s, ratio {we / theirs:.2f}", flush=True)
