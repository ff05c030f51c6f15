/* Kernels in C behind the protocol of docs/adapters.md: conv_forward, conv_backward, relu and
 * relu_backward in float32, NHWC; a convolution with any window, stride, dilation and groups.
 *
 *   cc -O2 -o kernels kernels.c
 *   conformance run --impl 'exec:./kernels' --ops 'conv_forward,conv_backward,relu,relu_backward'
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARRAYS 8
#define MAX_AXES 8

typedef struct {
    char name[32];
    int axes;
    long extent[MAX_AXES], size;
    float *data;
} Array;

static Array given[MAX_ARRAYS];
static int count;

static void fail(const char *what)
{
    fprintf(stderr, "kernels: %s\n", what);
    exit(2);
}

/* An array of zeros of the given extents. */
static Array zeros(const char *name, int axes, const long *extent)
{
    Array a = {.axes = axes, .size = 1};
    snprintf(a.name, sizeof a.name, "%s", name);
    for (int i = 0; i < axes; i++)
        a.size *= a.extent[i] = extent[i];
    a.data = calloc(a.size ? a.size : 1, sizeof(float));
    if (!a.data)
        fail("out of memory");
    return a;
}

/* "array NAME f32 AXES EXTENT ...", then the elements. Elements of another width are read and left. */
static Array receive(void)
{
    char line[512], name[32], dtype[8];
    int axes, used;
    long extent[MAX_AXES];
    if (!fgets(line, sizeof line, stdin) || sscanf(line, "array %31s %7s %d%n", name, dtype, &axes, &used) != 3
        || axes < 0 || axes > MAX_AXES)
        fail("expected an array");
    for (int i = 0, n; i < axes; i++, used += n)
        if (sscanf(line + used, "%ld%n", &extent[i], &n) != 1)
            fail("expected an extent");
    Array a = zeros(name, axes, extent);
    if (!strcmp(dtype, "f32")) {
        if (fread(a.data, sizeof(float), a.size, stdin) != (size_t)a.size)
            fail("too few elements");
    } else {
        for (long i = 0; i < 8 * a.size; i++)
            if (getchar() == EOF)
                fail("too few elements");
    }
    return a;
}

static Array *find(const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(given[i].name, name))
            return &given[i];
    fail("an array is missing");
    return NULL;
}

static void reply(Array a)
{
    printf("array %s f32 %d", a.name, a.axes);
    for (int i = 0; i < a.axes; i++)
        printf(" %ld", a.extent[i]);
    putchar('\n');
    fwrite(a.data, sizeof(float), a.size, stdout);
    free(a.data);
}

/* The number behind "NAME=" in the request, or the two of "NAME=ROWSxCOLUMNS"; 1 where it is not given. */
static void pair(const char *line, const char *name, long value[2])
{
    char key[16];
    snprintf(key, sizeof key, " %s=", name);
    const char *at = strstr(line, key);
    value[0] = value[1] = 1;
    if (at && sscanf(at + strlen(key), "%ldx%ld", &value[0], &value[1]) == 1)
        value[1] = value[0];
}

/* Calls for every product of the convolution: z, x and w are places in Z, A_prev and W. */
#define EACH_PRODUCT(body)                                                                        \
    for (long m = 0; m < A->extent[0]; m++)                                                       \
        for (long r = 0; r < rows; r++)                                                           \
            for (long q = 0; q < columns; q++)                                                    \
                for (long i = 0; i < F[0]; i++)                                                   \
                    for (long j = 0; j < F[1]; j++) {                                             \
                        long h = r * s[0] + i * d[0] - p[0], v = q * s[1] + j * d[1] - p[1];      \
                        if (h < 0 || h >= H || v < 0 || v >= V)                                   \
                            continue;                                                             \
                        for (long c = 0; c < F[2]; c++)                                           \
                            for (long k = 0; k < K; k++) {                                        \
                                long of_group = k / (K / g[0]) * F[2] + c;                        \
                                long z = ((m * rows + r) * columns + q) * K + k;                  \
                                long x = ((m * H + h) * V + v) * A->extent[3] + of_group;         \
                                long w = ((i * F[1] + j) * F[2] + c) * K + k;                     \
                                body;                                                             \
                            }                                                                     \
                    }

static void conv(const char *line, int backward)
{
    Array *A = find("A_prev"), *W = find("W"), *b = find("b");
    long *F = W->extent, H = A->extent[1], V = A->extent[2], K = W->extent[3], s[2], p[2], d[2], g[2];
    pair(line, "s", s), pair(line, "p", p), pair(line, "d", d), pair(line, "g", g);
    long rows = (H + 2 * p[0] - d[0] * (F[0] - 1) - 1) / s[0] + 1;
    long columns = (V + 2 * p[1] - d[1] * (F[1] - 1) - 1) / s[1] + 1;
    if (!backward) {
        Array Z = zeros("Z", 4, (long[]){A->extent[0], rows, columns, K});
        EACH_PRODUCT(Z.data[z] += A->data[x] * W->data[w])
        for (long z = 0; z < Z.size; z++)
            Z.data[z] += b->data[z % K];
        printf("ok 1\n");
        reply(Z);
        return;
    }
    Array *dZ = find("dZ");
    Array dA = zeros("dA_prev", 4, A->extent), dW = zeros("dW", 4, W->extent), db = zeros("db", 4, b->extent);
    EACH_PRODUCT(dA.data[x] += dZ->data[z] * W->data[w]; dW.data[w] += A->data[x] * dZ->data[z])
    for (long z = 0; z < dZ->size; z++)
        db.data[z % K] += dZ->data[z];
    printf("ok 3\n");
    reply(dA), reply(dW), reply(db);
}

static void relu(int backward)
{
    Array *Z = find("Z"), *dA = backward ? find("dA") : Z, out = zeros(backward ? "dZ" : "A", Z->axes, Z->extent);
    for (long i = 0; i < Z->size; i++)
        out.data[i] = Z->data[i] <= 0 ? 0 : dA->data[i]; /* NaN stays, as in PyTorch */
    printf("ok 1\n");
    reply(out);
}

int main(void)
{
    char line[512], name[64], dtype[8];
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(line, "functions\n")) {
            printf("options conv_*.f conv_*.stride conv_*.dilation conv_*.groups\n");
            printf("dtypes f32\n");
            printf("functions conv_forward conv_backward relu relu_backward\n");
        } else if (sscanf(line, "call %63s %7s %d", name, dtype, &count) != 3 || count > MAX_ARRAYS) {
            fail("expected a call");
        } else {
            for (int i = 0; i < count; i++)
                given[i] = receive();
            if (strcmp(dtype, "f32"))
                printf("absent float32 only\n");
            else if (!strncmp(name, "conv", 4))
                conv(line, !strcmp(name, "conv_backward"));
            else
                relu(!strcmp(name, "relu_backward"));
            for (int i = 0; i < count; i++)
                free(given[i].data);
        }
        fflush(stdout);
    }
    return 0;
}
