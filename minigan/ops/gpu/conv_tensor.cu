// Step 3: the same tiles, their products by tensor cores: 16 × 8 sums of 8 or 16 products each in one
// instruction of a warp.  They take rounded numbers (tf32: 10 bits of mantissa; f16: 10, and a
// narrow range) and add in float.  float only; `real` is float here.
//
// The instructions are written in PTX, which needs no header.  Which lane holds what is in the PTX
// manual, "Matrix fragments for mma.m16n8k8 / m16n8k16": with g = lane / 4, t = lane % 4, and a word
// of 32 bits holding one tf32 or two neighbouring f16,
//     a: rows g, g + 8 × words t, t + 4     b: column g × words t, t + 4     c: rows g, g + 8 × 2t, 2t + 1

#ifndef EMULATED
DEVICE unsigned round_tf32(float v) {
    unsigned bits = 0;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
#endif
    return bits;
}

DEVICE unsigned round_f16(float v) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
}

DEVICE void mma_tf32(float* c, const unsigned* a, const unsigned* b) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

DEVICE void mma_f16(float* c, const unsigned* a, const unsigned* b) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif __CUDA_ARCH__ >= 750  // the first tensor cores with this layout take half as many at once
    for (int half = 0; half < 2; ++half) {
        asm volatile(
            "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
            "{%0,%1,%2,%3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
    }
#endif
}
#endif

// A block of 4 warps: 64 × 64 sums, 16 words of the sum's axis at a time.
constexpr int TILE = 64, WORDS = 16, PITCH = WORDS + 4;  // pitch: rows fall into different banks

// Four warps, 32 × 32 sums each: two fragments of 16 rows by four of 8 columns.
template <bool HALF>
DEVICE void multiply(Shared<unsigned> a, Shared<unsigned> b, float* sums) {
    int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int row = threadIdx.x / 64 * 32, column = threadIdx.x / 32 % 2 * 32;
#pragma unroll
    for (int k = 0; k < WORDS; k += 8) {
        unsigned fa[2][4], fb[2];
#pragma unroll
        for (int m = 0; m < 2; ++m) {
            int at = (row + m * 16 + g) * PITCH + k + t;
            fa[m][0] = a[at];
            fa[m][1] = a[at + 8 * PITCH];
            fa[m][2] = a[at + 4];
            fa[m][3] = a[at + 8 * PITCH + 4];
        }
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            int at = (column + n * 8 + g) * PITCH + k + t;
            fb[0] = b[at];
            fb[1] = b[at + 4];
#pragma unroll
            for (int m = 0; m < 2; ++m) {
                float* c = sums + (m * 4 + n) * 4;
                if (HALF) mma_f16(c, fa[m], fb);
                else mma_tf32(c, fa[m], fb);
            }
        }
    }
}

// Row and column in the tile of this lane's sum number e = 0 … 31, as `multiply` leaves them.
DEVICE int sum_row(int e) {
    return threadIdx.x / 64 * 32 + e / 16 * 16 + e % 4 / 2 * 8 + threadIdx.x % 32 / 4;
}
DEVICE int sum_column(int e) {
    return threadIdx.x / 32 % 2 * 32 + e / 4 % 4 * 8 + threadIdx.x % 4 * 2 + e % 2;
}

// Before they are rounded to f16, numbers are divided by the largest magnitude among them, and the sums
// multiplied by it: what lies in [−1, 1] does not overflow.  (StyleGAN2-ADA scales its weights and
// styles beforehand for the same reason.)
DEVICE float nonzero(float largest) { return largest > 1e-30f ? largest : 1; }

template <bool HALF>
DEVICE void conv_tensor(In<float> x, In<float> w, In<float> styles, Out<float> y, int splits,
                        In<float> x_max, In<float> w_max, CONV_PARAMS, FINISH_PARAMS) {
    constexpr int EACH = HALF ? 2 : 1, BK = WORDS * EACH;  // numbers a word, numbers a step
    SHARED(unsigned, weights, TILE * PITCH);
    SHARED(unsigned, samples, TILE * PITCH);
    int thread = threadIdx.x, threads = 128, line = thread % TILE;
    int o0 = blockIdx.y * TILE, group = blockIdx.z / splits, split = blockIdx.z % splits;
    long long p0 = (long long)blockIdx.x * TILE;
    Pixel mine = pixel_of(p0 + line, CONV_ARGS);
    int slices = (C + BK - 1) / BK, steps = KH * KW * slices;
    int last = (long long)steps * (split + 1) / splits, o = o0 + line;
    float x_largest = HALF ? nonzero(x_max[0]) : 1, x_by = 1 / x_largest;
    float w_by = HALF && o < O ? 1 / nonzero(w_max[group * O + o]) : 1;
    float sums[32] = {};
    for (int step = (long long)steps * split / splits; step < last; ++step) {
        int tap = step / slices, c0 = step % slices * BK;
        for (int word = thread / TILE; word < WORDS; word += threads / TILE) {
            unsigned packed_w = 0, packed_x = 0;
            for (int e = EACH - 1; e >= 0; --e) {
                int c = c0 + word * EACH + e;
                float a = 0, b = 0;
                if (c < C) {
                    if (o < O) a = w[(((long long)group * KH * KW + tap) * C + c) * O + o];
                    b = sample(x, styles, mine, group * C + c, tap / KW, tap % KW, CONV_ARGS);
                }
                packed_w = HALF ? packed_w << 16 | round_f16(a * w_by) : round_tf32(a);
                packed_x = HALF ? packed_x << 16 | round_f16(b * x_by) : round_tf32(b);
            }
            weights[line * PITCH + word] = packed_w;
            samples[line * PITCH + word] = packed_x;
        }
        __syncthreads();
        multiply<HALF>(weights, samples, sums);
        __syncthreads();
    }
#pragma unroll  // so that sums stay in registers, which have no addresses
    for (int e = 0; e < 32; ++e) {
        int output = o0 + sum_row(e);
        Pixel pixel = pixel_of(p0 + sum_column(e), CONV_ARGS);
        if (output < O && pixel.exists) {
            output += group * O;
            float sum = sums[e];
            if (HALF) sum = sum * x_largest * nonzero(w_max[output]);
            store(sum, pixel, output, split, splits, y, CONV_ARGS, FINISH_ARGS);
        }
    }
}

KERNEL void conv_tf32(In<float> x, In<float> w, In<float> styles, Out<float> y, int splits,
                      In<float> x_max, In<float> w_max, CONV_PARAMS, FINISH_PARAMS) {
    conv_tensor<false>(x, w, styles, y, splits, x_max, w_max, CONV_ARGS, FINISH_ARGS);
}

KERNEL void conv_f16(In<float> x, In<float> w, In<float> styles, Out<float> y, int splits,
                     In<float> x_max, In<float> w_max, CONV_PARAMS, FINISH_PARAMS) {
    conv_tensor<true>(x, w, styles, y, splits, x_max, w_max, CONV_ARGS, FINISH_ARGS);
}

// ∂w, as in conv_tiled.cu: for each tap, g [O, pixels] times x [pixels, C].
template <bool HALF>
DEVICE void weight_gradient(In<float> x, In<float> g, Out<float> dw, int splits, In<float> x_max,
                            In<float> g_max, CONV_PARAMS) {
    constexpr int EACH = HALF ? 2 : 1, BK = WORDS * EACH;
    SHARED(unsigned, grads, TILE * PITCH);
    SHARED(unsigned, samples, TILE * PITCH);
    int thread = threadIdx.x, threads = 128, word = thread % WORDS;
    int c0 = blockIdx.x * TILE, o0 = blockIdx.y * TILE;
    int split = blockIdx.z % splits, tap = blockIdx.z / splits % (KH * KW);
    int group = blockIdx.z / splits / (KH * KW);
    long long plane = (long long)OH * OW, pixels = N * plane;
    long long steps = (pixels + BK - 1) / BK, last = steps * (split + 1) / splits;
    float x_largest = HALF ? nonzero(x_max[0]) : 1, x_by = 1 / x_largest;
    float g_largest = HALF ? nonzero(g_max[0]) : 1, g_by = 1 / g_largest;
    float sums[32] = {};
    for (long long step = steps * split / splits; step < last; ++step) {
        for (int line = thread / WORDS; line < TILE; line += threads / WORDS) {
            int o = o0 + line, c = c0 + line;
            unsigned packed_g = 0, packed_x = 0;
            for (int e = EACH - 1; e >= 0; --e) {
                long long p = step * BK + word * EACH + e;
                Pixel pixel = pixel_of(p, CONV_ARGS);
                long long at = ((long long)pixel.n * groups * O + group * O + o) * plane + p % plane;
                float a = o < O && pixel.exists ? g[at] : 0.0f, b = 0;
                if (c < C) {
                    b = sample(x, In<float>(), pixel, group * C + c, tap / KW, tap % KW, CONV_ARGS);
                }
                packed_g = HALF ? packed_g << 16 | round_f16(a * g_by) : round_tf32(a);
                packed_x = HALF ? packed_x << 16 | round_f16(b * x_by) : round_tf32(b);
            }
            grads[line * PITCH + word] = packed_g;
            samples[line * PITCH + word] = packed_x;
        }
        __syncthreads();
        multiply<HALF>(grads, samples, sums);
        __syncthreads();
    }
#pragma unroll
    for (int e = 0; e < 32; ++e) {
        int o = o0 + sum_row(e), c = c0 + sum_column(e);
        if (o < O && c < C) {
            float sum = sums[e];
            if (HALF) sum = sum * x_largest * g_largest;
            long long weight = ((long long)(group * O + o) * C + c) * KH * KW + tap;
            dw[(long long)split * groups * O * C * KH * KW + weight] = sum;
        }
    }
}

KERNEL void weight_gradient_tf32(In<float> x, In<float> g, Out<float> dw, int splits,
                                 In<float> x_max, In<float> g_max, CONV_PARAMS) {
    weight_gradient<false>(x, g, dw, splits, x_max, g_max, CONV_ARGS);
}

KERNEL void weight_gradient_f16(In<float> x, In<float> g, Out<float> dw, int splits,
                                In<float> x_max, In<float> g_max, CONV_PARAMS) {
    weight_gradient<true>(x, g, dw, splits, x_max, g_max, CONV_ARGS);
}
