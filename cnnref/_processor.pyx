"""What this processor can run, and how the extensions were built."""

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(_M_X64)
    #include <cpuid.h>
    static int cnnref_has_f16c(void) { /* which not every compiler's __builtin_cpu_supports knows */
        unsigned int a, b, c, d;
        return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    }
    static int cnnref_has_avx2(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi2") && cnnref_has_f16c();
    }
    static int cnnref_has_avx512(void) {
        return cnnref_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    }
    #else
    static int cnnref_has_avx2(void) { return 0; }
    static int cnnref_has_avx512(void) { return 0; }
    #endif
    #if defined(__clang__)
    #define CNNREF_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define CNNREF_COMPILER "gcc " __VERSION__
    #else
    #define CNNREF_COMPILER "unknown"
    #endif
    #ifdef _OPENMP
    #define CNNREF_OPENMP _OPENMP
    #else
    #define CNNREF_OPENMP 0
    #endif
    """
    bint cnnref_has_avx2()
    bint cnnref_has_avx512()
    const char* CNNREF_COMPILER
    int CNNREF_OPENMP


def runnable():
    """The instruction sets this processor can run, best first."""
    found = []
    if cnnref_has_avx512():
        found.append("avx512")
    if cnnref_has_avx2():
        found.append("avx2")
    found.append("baseline")
    return tuple(found)


def compiler():
    """Name and version of the compiler."""
    return CNNREF_COMPILER.decode("ascii", "replace")


def openmp():
    """The OpenMP specification's date the build supports (201511, say), or 0 without OpenMP."""
    return CNNREF_OPENMP
