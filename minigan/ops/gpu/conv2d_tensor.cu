// Step 3: the same tiles, their products by tensor cores (tensor.cuh), of numbers that are ready
// (conv2d_tensor_pack.cu).
//
// So that tensor cores need not wait for numbers, bringing them is spared in two ways.
// The image is padded, and its pixels are counted one row after another: so under each tap, BP
// neighbouring outputs read BP neighbouring pixels, without a gap and without asking where the image
// ends.  A step is a tap and 16 words of channels.
// And the tiles of three steps lie in shared memory: while one is multiplied, the next two are on
// their way.  Warpgroups are a step behind: their products of the last one may still be under way when
// the next ones begin, so there are tiles of four steps.
//
// Outputs are counted as pixels are, so some lie in the padding: they are computed and thrown away.

constexpr int AHEAD = 2;  // steps that are on their way

// first: the pixel that output 0 reads under the first tap.
#define TENSOR_PARAMS                                                                         \
    In<unsigned> x, In<unsigned> w, Out<float> y, int splits, In<float> x_max,                \
        In<float> w_max, int slices, int pixels, int plane, int PW, int first, CONV_PARAMS,   \
        EPILOGUE_PARAMS
#define TENSOR_ARGS \
    x, w, y, splits, x_max, w_max, slices, pixels, plane, PW, first, CONV_ARGS, EPILOGUE_ARGS

// BO outputs × BP pixels by DOWN × ACROSS warps, or by their warpgroups.  x [groups, slices, pixels, 16] and
// w [groups, slices, KH, KW, O, 16], packed.
template <bool HALF, int BO, int BP, int DOWN, int ACROSS, bool WARPGROUPS = false>
DEVICE void conv_tensor(TENSOR_PARAMS) {
    constexpr int ROWS = BO / DOWN, COLUMNS = BP / ACROSS;  // of a warp
    constexpr int FM = ROWS / 16, FN = COLUMNS / 8;         // fragments of a warp
    constexpr int APART = 8 * DOWN * ACROSS;                // rows of 16 words sent at once
    constexpr int STAGE = (BO + BP) * WORDS, STAGES = AHEAD + (WARPGROUPS ? 2 : 1);
    constexpr int END = (STAGES - 1) * STAGE;
    Shared<unsigned> memory = dynamic_shared<unsigned>();
    int o0 = blockIdx.y * BO, p0 = blockIdx.x * BP;
    int group = blockIdx.z / splits, split = blockIdx.z % splits, steps = slices * KH * KW;
    int step = (long long)steps * split / splits, last = (long long)steps * (split + 1) / splits;

    // What this thread sends: four words of every APART-th row of both tiles.
    int line = threadIdx.x / 4, quarter = threadIdx.x % 4;
    int next = step, into = place(line, quarter);  // the step that is sent next, and where to
    int slice = step / (KH * KW), ky = step / KW % KH, kx = step % KW;
    auto send_weights = [&](int i) {
        int o = o0 + line + i * APART;
        long long row = (long long)(group * steps + next) * O + o;
        send<4>(memory, into + i * APART * WORDS, w, row * WORDS + quarter * 4,
                next < last && o < O);
    };
    auto send_pixels = [&](int i) {
        long long row = (long long)(group * slices + slice) * pixels + p0 + first + ky * PW + kx;
        send<4>(memory, into + (BO + i * APART) * WORDS, x,
                (row + line + i * APART) * WORDS + quarter * 4, next < last);
    };
    auto sent = [&]() {
        close_sending();
        ++next;
        if (++kx == KW) {
            kx = 0;
            if (++ky == KH) ky = 0, ++slice;
        }
        into += into >= END ? -END : STAGE;
    };
    for (int k = 0; k < AHEAD; ++k) {
        for (int i = 0; i < BO / APART; ++i) send_weights(i);
        for (int i = 0; i < BP / APART; ++i) send_pixels(i);
        sent();
    }

    int warp = threadIdx.x / 32, o1 = warp / ACROSS * ROWS, p1 = warp % ACROSS * COLUMNS;
    float sums[FM][FN][4] = {};
    for (int at = 0; step < last; ++step) {
        await_all_but<AHEAD - 1>();
        if (WARPGROUPS) show_to_warpgroups();
        __syncthreads();  // this step's tiles are complete, and nobody reads those that are sent next
        if constexpr (WARPGROUPS) {
            open_products();
#pragma unroll
            for (int k = 0; k < WORDS; k += 8) {
                begin_product<HALF>(sums[0][0], memory, at + o1 / 64 * 64 * WORDS + k,
                                    at + BO * WORDS + k);
            }
            close_products();
            for (int i = 0; i < BO / APART; ++i) send_weights(i);
            for (int i = 0; i < BP / APART; ++i) send_pixels(i);
            await_products_but<1, FN * 4>(sums[0][0]);  // the last step's are done
        } else {
            Shared<unsigned> a = memory + (at + o1 * WORDS), b = memory + (at + (BO + p1) * WORDS);
            Fragments<HALF, FM, FN> now, then;
            load(now, a, b, 0, 0);
            load(then, a, b, 0, 1);
            // Between the products, a step is sent a bit at a time.
            multiply(now, sums, [&](int share) {
#pragma unroll
                for (int i = 0; i < BO / APART; ++i) {
                    if (i * FM / (BO / APART) == share) send_weights(i);
                }
            });
            multiply(then, sums, [&](int share) {
#pragma unroll
                for (int i = 0; i < BP / APART; ++i) {
                    if (i * FM / (BP / APART) == share) send_pixels(i);
                }
            });
        }
        sent();
        at = at == END ? 0 : at + STAGE;
    }
    if (WARPGROUPS) await_products_but<0, FN * 4>(sums[0][0]);

    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    float by[2 * FM], largest = HALF ? nonzero(x_max[0]) : 1;
#pragma unroll
    for (int m = 0; m < 2 * FM; ++m) {
        int o = o0 + o1 + m * 8 + g;
        by[m] = HALF && o < O ? largest * nonzero(w_max[group * O + o]) : 1;
    }
#pragma unroll
    for (int n = 0; n < FN; ++n) {
        Pixel places[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
            unsigned p = p0 + p1 + n * 8 + 2 * t + e, i = p % plane / PW, j = p % plane % PW;
            places[e].n = p / plane;
            places[e].exists = places[e].n < N && i < OH && j < OW;
            places[e].at = (i * DY + top) * TW + j * DX + left;
        }
#pragma unroll
        for (int m = 0; m < 2 * FM; ++m) {
            int o = o0 + o1 + m * 8 + g;
            float* c = sums[m / 2][n] + m % 2 * 2;
            float both[2] = {c[0] * by[m], c[1] * by[m]};
            if (o < O) {
                store<2>(both, places, group * O + o, split, splits, y, CONV_ARGS, EPILOGUE_ARGS);
            }
        }
    }
}

KERNEL_OF(256, 2) void conv_tf32_128(TENSOR_PARAMS) {
    conv_tensor<false, 128, 128, 2, 4>(TENSOR_ARGS);
}
KERNEL_OF(128, 3) void conv_tf32_64(TENSOR_PARAMS) {
    conv_tensor<false, 64, 128, 2, 2>(TENSOR_ARGS);
}
KERNEL_OF(128, 4) void conv_tf32_32(TENSOR_PARAMS) {
    conv_tensor<false, 32, 128, 1, 4>(TENSOR_ARGS);
}
KERNEL_OF(256, 2) void conv_f16_128(TENSOR_PARAMS) {
    conv_tensor<true, 128, 128, 2, 4>(TENSOR_ARGS);
}
KERNEL_OF(128, 3) void conv_f16_64(TENSOR_PARAMS) {
    conv_tensor<true, 64, 128, 2, 2>(TENSOR_ARGS);
}
KERNEL_OF(128, 4) void conv_f16_32(TENSOR_PARAMS) {
    conv_tensor<true, 32, 128, 1, 4>(TENSOR_ARGS);
}

// Products of 64 outputs × 128 pixels, by warpgroups.
#ifdef WARPGROUPS_ARE_THERE
KERNEL_OF(256, 2) void conv_tf32_128_warpgroups(TENSOR_PARAMS) {
    conv_tensor<false, 128, 128, 8, 1, true>(TENSOR_ARGS);
}
KERNEL_OF(128, 4) void conv_tf32_64_warpgroup(TENSOR_PARAMS) {
    conv_tensor<false, 64, 128, 4, 1, true>(TENSOR_ARGS);
}
KERNEL_OF(256, 2) void conv_f16_128_warpgroups(TENSOR_PARAMS) {
    conv_tensor<true, 128, 128, 8, 1, true>(TENSOR_ARGS);
}
KERNEL_OF(128, 4) void conv_f16_64_warpgroup(TENSOR_PARAMS) {
    conv_tensor<true, 64, 128, 4, 1, true>(TENSOR_ARGS);
}
#endif
