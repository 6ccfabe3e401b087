// ∂w on tensor cores: for each tap, g [outputs, pixels] times x [pixels, channels], a sum over pixels.
//
// Both are packed as the forward kernels want them (conv2d_tensor_pack.cu), with pixels counted alike, g in
// an image as large as x's padded one, zeros where it has none; with a stride, it is spread out.  So
// under each tap, neighbouring pixels of g meet neighbouring pixels of x.
//
// Pixels are rows of a tile here and channels lie side by side, while a factor's words go along the sum:
// factors are turned over on their way to registers.

constexpr int AHEAD = 2;  // steps that are on their way

// x [groups, x_slices, pixels, 16], g [groups, g_slices, all, 16]; what lies in x after `all` pixels is
// nothing.
// first: the pixel that pixel 0 of g meets under the first tap.
#define GRADIENT_PARAMS                                                                        \
    In<unsigned> x, In<unsigned> g, Out<float> dw, int splits, In<float> x_max,                \
        In<float> g_max, int x_slices, int g_slices, int pixels, int all, int PW, int first,   \
        int O, int C, int KH, int KW, int groups
#define GRADIENT_ARGS \
    x, g, dw, splits, x_max, g_max, x_slices, g_slices, pixels, all, PW, first, O, C, KH, KW, groups

// 16 M outputs, 8 N channels of the pixels of the k-th half of a step.  In a tile lie slices of a step's
// pixels, one after another; there are as many as channels in a slice.
template <bool HALF, int M, int N>
DEVICE void load_turned(Fragments<HALF, M, N>& into, Shared<unsigned> a, Shared<unsigned> b, int k) {
    constexpr int SLICE = HALF ? 32 : 16;
    int lane = threadIdx.x % 32;
    if constexpr (HALF) {
        int row = k * 16 + lane % 8, low = lane / 8 % 2, high = lane / 16;
#pragma unroll
        for (int m = 0; m < M; ++m) {
            load_turned_matrices(into.a[m], a, m * 16 / SLICE * SLICE * WORDS +
                                 place(row + high * 8, m * 16 % SLICE / 8 + low));
        }
#pragma unroll
        for (int n = 0; n < N / 2; ++n) {
            load_turned_matrices(into.b[n], b, n * 16 / SLICE * SLICE * WORDS +
                                 place(row + low * 8, n * 16 % SLICE / 8 + high));
        }
    } else {
        // The order of the pixels does not matter.  In this one, lanes meet all banks.
        int of = lane / 4, row = k * 8 + lane % 2 + lane % 4 / 2 * 4;
        auto word = [&](Shared<unsigned> tile, int eight, int later) -> unsigned {
            int four = eight % 2 * 2 + of / 4;
            return tile[eight / 2 * SLICE * WORDS + place(row + later * 2, four) + of % 4];
        };
#pragma unroll
        for (int e = 0; e < 4 * M; ++e) into.a[e / 4][e % 4] = word(a, e / 4 * 2 + e % 2, e % 4 / 2);
#pragma unroll
        for (int e = 0; e < 2 * N; ++e) into.b[e / 4][e % 4] = word(b, e / 2, e % 2);
    }
}

// B outputs × B channels by DOWN × ACROSS warps, of which each turns over what it needs; or by their
// warpgroups, whose tensor cores turn over what they read.
template <bool HALF, int B, int DOWN, int ACROSS, bool WARPGROUPS = false>
DEVICE void weight_gradient(GRADIENT_PARAMS) {
    constexpr int STEP = HALF ? 32 : 16;  // pixels; and channels of a slice
    constexpr int ROWS = B / DOWN, COLUMNS = B / ACROSS, FM = ROWS / 16, FN = COLUMNS / 8;
    constexpr int APART = 8 * DOWN * ACROSS;  // rows of 16 words sent at once
    constexpr int STAGE = 2 * B * WORDS, STAGES = AHEAD + (WARPGROUPS ? 2 : 1);  // conv2d_tensor.cu
    constexpr int END = (STAGES - 1) * STAGE;
    Shared<unsigned> memory = dynamic_shared<unsigned>();
    int c0 = blockIdx.x * B, o0 = blockIdx.y * B;
    int split = blockIdx.z % splits, tap = blockIdx.z / splits % (KH * KW);
    int group = blockIdx.z / splits / (KH * KW), steps = (all + STEP - 1) / STEP;
    int step = (long long)steps * split / splits, last = (long long)steps * (split + 1) / splits;
    int shift = first + tap / KW * PW + tap % KW;  // from a pixel of g to the one of x

    // What this thread sends: four words of every APART-th row of both tiles, which are of the same pixel.
    int line = threadIdx.x / 4, quarter = threadIdx.x % 4, into = place(line, quarter);
    int at_next = step * STEP + line % STEP;  // the pixel that is sent next
    int end = last < steps ? last * STEP : all;
    int x_end = end < all - shift ? end : all - shift;  // after the last pixel lies nothing
    int g_slice = o0 / STEP + line / STEP, x_slice = c0 / STEP + line / STEP;
    long long word_g = ((long long)group * g_slices + g_slice) * all + at_next;
    long long word_x = ((long long)group * x_slices + x_slice) * pixels + at_next + shift;
    word_g = word_g * WORDS + quarter * 4, word_x = word_x * WORDS + quarter * 4;
    auto send_step = [&]() {
#pragma unroll
        for (int i = 0; i < B / APART; ++i) {
            constexpr int FURTHER = APART / STEP;  // slices
            send<4>(memory, into + i * APART * WORDS, g, word_g + i * FURTHER * WORDS * (long long)all,
                    at_next < end && g_slice + i * FURTHER < g_slices);
            send<4>(memory, into + (B + i * APART) * WORDS, x,
                    word_x + i * FURTHER * WORDS * (long long)pixels,
                    at_next < x_end && x_slice + i * FURTHER < x_slices);
        }
        close_sending();
        at_next += STEP, word_g += STEP * WORDS, word_x += STEP * WORDS;
        into += into >= END ? -END : STAGE;
    };
    for (int k = 0; k < AHEAD; ++k) send_step();

    int warp = threadIdx.x / 32, o1 = warp / ACROSS * ROWS, c1 = warp % ACROSS * COLUMNS;
    float sums[FM][FN][4] = {};
    for (int at = 0; step < last; ++step) {
        await_all_but<AHEAD - 1>();
        if (WARPGROUPS) show_to_warpgroups();
        __syncthreads();  // this step's tiles are complete, and nobody reads those that are sent next
        if constexpr (WARPGROUPS) {
            open_products();
#pragma unroll
            for (int k = 0; k < STEP; k += 16) {
                begin_product<HALF, STEP * WORDS>(sums[0][0], memory,
                                                  at + (o1 / 64 * 64 + k) * WORDS,
                                                  at + (B + k) * WORDS);
            }
            close_products();
            send_step();
            await_products_but<1, FN * 4>(sums[0][0]);  // the last step's are done
        } else {
            Shared<unsigned> a = memory + (at + o1 * WORDS), b = memory + (at + (B + c1) * WORDS);
#pragma unroll
            for (int k = 0; k < 2; ++k) {
                Fragments<HALF, FM, FN> of;
                load_turned(of, a, b, k);
                if (k == 0) send_step();
                multiply(of, sums, [](int) {});
            }
        }
        at = at == END ? 0 : at + STAGE;
    }
    if (WARPGROUPS) await_products_but<0, FN * 4>(sums[0][0]);

    int lane = threadIdx.x % 32;
    float by = HALF ? nonzero(x_max[0]) * nonzero(g_max[0]) : 1;
    long long parts = (long long)split * groups * O * C * KH * KW;
#pragma unroll
    for (int m = 0; m < 2 * FM; ++m) {
        int o = o0 + o1 + m * 8 + lane / 4;
#pragma unroll
        for (int e = 0; e < 2 * FN; ++e) {
            int c = c0 + c1 + e / 2 * 8 + lane % 4 * 2 + e % 2;
            if (o < O && c < C) {
                long long weight = ((long long)(group * O + o) * C + c) * KH * KW + tap;
                dw[parts + weight] = sums[m / 2][e / 2][m % 2 * 2 + e % 2] * by;
            }
        }
    }
}

KERNEL_OF(256, 2) void weight_gradient_tf32_128(GRADIENT_PARAMS) {
    weight_gradient<false, 128, 2, 4>(GRADIENT_ARGS);
}
KERNEL_OF(128, 4) void weight_gradient_tf32_64(GRADIENT_PARAMS) {
    weight_gradient<false, 64, 2, 2>(GRADIENT_ARGS);
}
KERNEL_OF(256, 2) void weight_gradient_f16_128(GRADIENT_PARAMS) {
    weight_gradient<true, 128, 2, 4>(GRADIENT_ARGS);
}
KERNEL_OF(128, 4) void weight_gradient_f16_64(GRADIENT_PARAMS) {
    weight_gradient<true, 64, 2, 2>(GRADIENT_ARGS);
}
#ifdef WARPGROUPS_ARE_THERE
KERNEL_OF(256, 2) void weight_gradient_f16_128_warpgroups(GRADIENT_PARAMS) {
    weight_gradient<true, 128, 8, 1, true>(GRADIENT_ARGS);
}
#endif
