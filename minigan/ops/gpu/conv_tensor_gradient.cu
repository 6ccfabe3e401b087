// ∂w on tensor cores, as in conv_tiled.cu: for each tap, g [O, pixels] times x [pixels, C].  Both are
// gathered and rounded as they are read.

constexpr int TILE = 64;

template <bool HALF>
DEVICE void weight_gradient(In<float> x, In<float> g, Out<float> dw, int splits, In<float> x_max,
                            In<float> g_max, CONV_PARAMS) {
    constexpr int EACH = HALF ? 2 : 1, BK = WORDS * EACH;
    SHARED(unsigned, grads, TILE * WORDS);
    SHARED(unsigned, samples, TILE * WORDS);
    int thread = threadIdx.x, threads = 128, word = thread % WORDS;
    int c0 = blockIdx.x * TILE, o0 = blockIdx.y * TILE;
    int split = blockIdx.z % splits, tap = blockIdx.z / splits % (KH * KW);
    int group = blockIdx.z / splits / (KH * KW);
    long long plane = (long long)OH * OW, pixels = N * plane;
    long long steps = (pixels + BK - 1) / BK, last = steps * (split + 1) / splits;
    float x_largest = HALF ? nonzero(x_max[0]) : 1, x_by = 1 / x_largest;
    float g_largest = HALF ? nonzero(g_max[0]) : 1, g_by = 1 / g_largest;
    int warp = thread / 32, row = warp / 2 * 32, column = warp % 2 * 32;
    float sums[2][4][4] = {};
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
            grads[place(line, word / 4) + word % 4] = packed_g;
            samples[place(line, word / 4) + word % 4] = packed_x;
        }
        __syncthreads();
        for (int k = 0; k < WORDS / 8; ++k) {
            Fragments<HALF, 2, 4> fragments;
            load(fragments, grads + row * WORDS, samples + column * WORDS, 0, k);
            multiply(fragments, sums, [](int) {});
        }
        __syncthreads();
    }
    int lane = thread % 32;
#pragma unroll
    for (int e = 0; e < 32; ++e) {
        int m = e / 16, n = e / 4 % 4;
        int o = o0 + row + m * 16 + e % 4 / 2 * 8 + lane / 4;
        int c = c0 + column + n * 8 + lane % 4 * 2 + e % 2;
        if (o < O && c < C) {
            float sum = sums[m][n][e % 4];
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
