"""`ci/disassembly` reads the loops of built kernels, and finds spills and multiply-adds of single values."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cnnref._processor import compiler

import cnnref
from cnnref._dispatch import available

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "ci" / "disassembly"

#: Loops as of a micro-kernel: of single values, of sums that are in memory, of vectors.
PLANTED = """
#include <immintrin.h>
#include <math.h>
void depthwise_1micro_kernel_single(const float *a, float *sum, long n) {
    float s = 0;
    for (long i = 0; i < n; i++) s = fmaf(a[i], a[i + n], s);
    *sum = s;
}
void gemm_1micro_kernel_spilled(const float *a, float *sums, long n) {
    volatile __m256 s = _mm256_setzero_ps();
    for (long i = 0; i < n; i++) s = _mm256_fmadd_ps(_mm256_loadu_ps(a + 8 * i), _mm256_set1_ps(a[i]), s);
    _mm256_storeu_ps(sums, s);
}
void gemm_1micro_kernel_right(const float *a, float *sums, long n) {
    __m256 s = _mm256_setzero_ps();
    for (long i = 0; i < n; i++) s = _mm256_fmadd_ps(_mm256_loadu_ps(a + 8 * i), _mm256_set1_ps(a[i]), s);
    _mm256_storeu_ps(sums, s);
}
"""

pytestmark = [
    pytest.mark.skipif(not SCRIPT.exists(), reason="a check of the source tree"),
    pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("objdump"), reason="reads x86-64"),
]


def read(*files):
    command = [sys.executable, SCRIPT, *files]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif("avx2" not in available(), reason="AVX2 does not run here")
@pytest.mark.skipif(not compiler().startswith("gcc"), reason="clang 16 spills in AVX2")
def test_the_loops_of_the_build_are_vectors_in_registers():
    done = read(*sorted((Path(cnnref.__file__).parent / "_avx2").glob("conv.*.so")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) > 50  # 111 by gcc 12


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_spills_and_single_values_are_found(tmp_path):
    source, built = tmp_path / "planted.c", tmp_path / "planted.o"
    source.write_text(PLANTED)
    subprocess.run(
        ["gcc", "-O2", "-mavx2", "-mfma", "-fno-math-errno", "-c", source, "-o", built], check=True
    )
    done = read(built)
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert len(said) == 3
    assert said[-1] == "3 loops in 1 files"
    assert "depthwise_1micro_kernel_single: 1 multiply-adds of single values" in said[0]
    assert "gemm_1micro_kernel_spilled: 2 vectors to or from the stack for 1 multiply-adds" in said[1]


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_nothing_read_is_no_success(tmp_path):
    built = tmp_path / "empty.o"
    subprocess.run(["gcc", "-x", "c", "-c", "-", "-o", built], input="int nothing;", text=True, check=True)
    assert read(built).returncode == 2
    assert read(tmp_path / "absent.o").returncode == 2
