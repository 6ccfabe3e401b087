// Step 2: a block computes a tile of BM outputs × BN pixels, and shares what it reads.
//
// The sum over (ky, kx, c) goes in steps of BK channels of one tap.  In each, the block loads BK × BM
// weights and BK × BN samples of x into shared memory, once; then each thread adds their products to
// its TM × TN sums, which never leave its registers.  A number loaded from memory is used BM or BN
// times, one loaded from shared memory TM or TN times.
//
// Neither matrix exists in memory: the tile of x is gathered from the image (an implicit GEMM).
//
// There are two tiles of each: while one is multiplied, what the other will hold is read into registers.
// So a step needs one barrier, and nobody waits for memory before there is nothing left to multiply.

// Add the products of BK rows of a and of b: TM × TN sums a thread, in fours: rows 4 · row … of every
// 4 · ROWS, and likewise columns.
template <int BK, int TM, int TN, int ROWS, int COLUMNS>
DEVICE void multiply(Shared<real> a, int a_pitch, Shared<real> b, int b_pitch, real (*sums)[TN]) {
    int row = threadIdx.x / COLUMNS * 4, column = threadIdx.x % COLUMNS * 4;
#pragma unroll
    for (int k = 0; k < BK; ++k) {
        real mine[TM], others[TN];
#pragma unroll
        for (int m = 0; m < TM; m += 4) {
            load_some<4>(a, k * a_pitch + m * ROWS + row, mine + m);
        }
#pragma unroll
        for (int n = 0; n < TN; n += 4) {
            load_some<4>(b, k * b_pitch + n * COLUMNS + column, others + n);
        }
#pragma unroll
        for (int m = 0; m < TM; ++m) {
#pragma unroll
            for (int n = 0; n < TN; ++n) sums[m][n] += mine[m] * others[n];
        }
    }
}

template <int BM, int BN, int BK, int TM, int TN>
DEVICE void conv_tile(In<real> x, In<real> w, In<real> styles, Out<real> y, int splits,
                      CONV_PARAMS, EPILOGUE_PARAMS) {
    constexpr int ROWS = BM / TM, COLUMNS = BN / TN, THREADS = ROWS * COLUMNS;
    constexpr int SAMPLES = BK * BN / THREADS, WEIGHTS = BK * BM / THREADS;  // loaded by a thread
    SHARED(real, weights, 2 * BK * BM);
    SHARED(real, samples, 2 * BK * BN);
    int thread = threadIdx.x, row = thread / COLUMNS, column = thread % COLUMNS;
    int o0 = blockIdx.y * BM, group = blockIdx.z / splits, split = blockIdx.z % splits;
    int p0 = blockIdx.x * BN;
    int slices = (C + BK - 1) / BK, steps = KH * KW * slices;
    int step = (long long)steps * split / splits, last = (long long)steps * (split + 1) / splits;

    // What this thread loads: samples under one pixel's window, weights of one output; of the step
    // read next, channels from c0 on, under tap (ky, kx).
    Pixel mine = pixel_of(p0 + thread % BN, CONV_ARGS);
    int image = mine.n * groups * C + group * C, my_o = o0 + thread % BM;
    int tap = step / slices, c0 = step % slices * BK, ky = tap / KW, kx = tap % KW;
    real next_samples[SAMPLES], next_weights[WEIGHTS];
    auto read = [&]() {
        int i = mine.row + ky, j = mine.column + kx, c = c0 + thread / BN;
        bool inside = mine.exists && i >= 0 && i < H && j >= 0 && j < W;
        long long at = ((long long)(image + c) * H + i) * W + j;
#pragma unroll
        for (int e = 0; e < SAMPLES; ++e) {
            constexpr int APART = THREADS / BN;
            next_samples[e] =
                inside && c + e * APART < C ? x[at + (long long)e * APART * H * W] : real(0);
        }
        c = c0 + thread / BM;
        at = ((long long)((group * KH + ky) * KW + kx) * C + c) * O + my_o;
#pragma unroll
        for (int e = 0; e < WEIGHTS; ++e) {
            constexpr int APART = THREADS / BM;
            next_weights[e] = c + e * APART < C && my_o < O ? w[at + e * APART * O] : real(0);
        }
    };
    auto keep = [&](int half) {
        if (styles && mine.exists) {  // StyleGAN2 Eq. 1, on the way in
#pragma unroll
            for (int e = 0; e < SAMPLES; ++e) {
                int c = c0 + thread / BN + e * (THREADS / BN);
                next_samples[e] *= c < C ? styles[image + c] : real(0);
            }
        }
#pragma unroll
        for (int e = 0; e < SAMPLES; ++e) {
            samples[half * BK * BN + thread + e * THREADS] = next_samples[e];
        }
#pragma unroll
        for (int e = 0; e < WEIGHTS; ++e) {
            weights[half * BK * BM + thread + e * THREADS] = next_weights[e];
        }
        c0 += BK;
        if (c0 >= C) {
            c0 = 0;
            if (++kx == KW) kx = 0, ++ky;
        }
    };

    real sums[TM][TN] = {};
    if (step < last) read(), keep(0);
    for (int half = 0; step < last; ++step, half ^= 1) {
        __syncthreads();  // the tiles are complete, and nobody reads the others any more
        if (step + 1 < last) read();
        multiply<BK, TM, TN, ROWS, COLUMNS>(weights + half * BK * BM, BM, samples + half * BK * BN,
                                            BN, sums);
        if (step + 1 < last) keep(half ^ 1);
    }
#pragma unroll
    for (int n = 0; n < TN; n += 4) {
        Pixel pixels[4];
        for (int q = 0; q < 4; ++q) {
            pixels[q] = pixel_of(p0 + n * COLUMNS + 4 * column + q, CONV_ARGS);
        }
#pragma unroll
        for (int m = 0; m < TM; ++m) {
            int o = o0 + m / 4 * 4 * ROWS + 4 * row + m % 4;
            if (o < O) {
                store<4>(sums[m] + n, pixels, group * O + o, split, splits, y, CONV_ARGS,
                         EPILOGUE_ARGS);
            }
        }
    }
}

KERNEL void conv_tiled(In<real> x, In<real> w, In<real> styles, Out<real> y, int splits,
                       CONV_PARAMS, EPILOGUE_PARAMS) {
    conv_tile<64, 64, 16, 4, 4>(x, w, styles, y, splits, CONV_ARGS, EPILOGUE_ARGS);
}

// Wider tiles, for images that fill them; by how many outputs there are.
KERNEL_OF(256, 2) void conv_wide_128(In<real> x, In<real> w, In<real> styles, Out<real> y,
                                     int splits, CONV_PARAMS, EPILOGUE_PARAMS) {
    conv_tile<128, 128, 8, 8, 8>(x, w, styles, y, splits, CONV_ARGS, EPILOGUE_ARGS);
}
KERNEL void conv_wide_64(In<real> x, In<real> w, In<real> styles, Out<real> y, int splits,
                         CONV_PARAMS, EPILOGUE_PARAMS) {
    conv_tile<64, 128, 8, 8, 8>(x, w, styles, y, splits, CONV_ARGS, EPILOGUE_ARGS);
}
KERNEL void conv_wide_32(In<real> x, In<real> w, In<real> styles, Out<real> y, int splits,
                         CONV_PARAMS, EPILOGUE_PARAMS) {
    conv_tile<32, 128, 16, 4, 8>(x, w, styles, y, splits, CONV_ARGS, EPILOGUE_ARGS);
}

// ∂w: for each tap, a product of g [O, pixels] and x [pixels, C].  The sum over pixels is long and
// the result small, so it is split among blocks; their parts, dw [splits, …], are added afterwards
// in a fixed order: the same sum each time, which atomic additions would not give.
template <int BM, int BN, int BK, int TM, int TN>
DEVICE void gradient_tile(In<real> x, In<real> g, Out<real> dw, int splits, CONV_PARAMS) {
    constexpr int ROWS = BM / TM, COLUMNS = BN / TN, THREADS = ROWS * COLUMNS;
    constexpr int GRADS = BK * BM / THREADS, SAMPLES = BK * BN / THREADS, APART = THREADS / BK;
    constexpr int BM4 = BM + 4, BN4 = BN + 4;  // so that neighbours write to different banks
    SHARED(real, grads, 2 * BK * BM4);
    SHARED(real, samples, 2 * BK * BN4);
    int thread = threadIdx.x, k = thread % BK, line = thread / BK;
    int c0 = blockIdx.x * BN, o0 = blockIdx.y * BM;
    int split = blockIdx.z % splits, tap = blockIdx.z / splits % (KH * KW);
    int group = blockIdx.z / splits / (KH * KW);
    int plane = OH * OW, steps = (N * plane + BK - 1) / BK;
    int step = (long long)steps * split / splits, last = (long long)steps * (split + 1) / splits;
    real next_grads[GRADS], next_samples[SAMPLES];
    auto read = [&](int step) {  // of one pixel: neighbouring threads, neighbouring pixels
        int p = step * BK + k;
        Pixel pixel = pixel_of(p, CONV_ARGS);
        int i = pixel.row + tap / KW, j = pixel.column + tap % KW;
        bool inside = pixel.exists && i >= 0 && i < H && j >= 0 && j < W;
#pragma unroll
        for (int e = 0; e < GRADS; ++e) {
            int o = o0 + line + e * APART, image = pixel.n * groups * O + group * O + o;
            next_grads[e] =
                pixel.exists && o < O ? g[(long long)image * plane + p % plane] : real(0);
        }
#pragma unroll
        for (int e = 0; e < SAMPLES; ++e) {
            int c = c0 + line + e * APART, image = pixel.n * groups * C + group * C + c;
            next_samples[e] = inside && c < C ? x[((long long)image * H + i) * W + j] : real(0);
        }
    };
    auto keep = [&](int half) {
#pragma unroll
        for (int e = 0; e < GRADS; ++e) {
            grads[(half * BK + k) * BM4 + line + e * APART] = next_grads[e];
        }
#pragma unroll
        for (int e = 0; e < SAMPLES; ++e) {
            samples[(half * BK + k) * BN4 + line + e * APART] = next_samples[e];
        }
    };

    real sums[TM][TN] = {};
    if (step < last) read(step), keep(0);
    for (int half = 0; step < last; ++step, half ^= 1) {
        __syncthreads();
        if (step + 1 < last) read(step + 1);
        multiply<BK, TM, TN, ROWS, COLUMNS>(grads + half * BK * BM4, BM4,
                                            samples + half * BK * BN4, BN4, sums);
        if (step + 1 < last) keep(half ^ 1);
    }
#pragma unroll
    for (int m = 0; m < TM; ++m) {
#pragma unroll
        for (int n = 0; n < TN; ++n) {
            int o = o0 + m / 4 * 4 * ROWS + thread / COLUMNS * 4 + m % 4;
            int c = c0 + n / 4 * 4 * COLUMNS + thread % COLUMNS * 4 + n % 4;
            if (o < O && c < C) {
                long long weight = ((long long)(group * O + o) * C + c) * KH * KW + tap;
                dw[(long long)split * groups * O * C * KH * KW + weight] = sums[m][n];
            }
        }
    }
}

KERNEL void weight_gradient_tiled(In<real> x, In<real> g, Out<real> dw, int splits, CONV_PARAMS) {
    gradient_tile<64, 64, 16, 4, 4>(x, g, dw, splits, CONV_ARGS);
}

KERNEL_OF(256, 2) void weight_gradient_wide(In<real> x, In<real> g, Out<real> dw, int splits,
                                            CONV_PARAMS) {
    gradient_tile<128, 128, 8, 8, 8>(x, g, dw, splits, CONV_ARGS);
}
