// Step 2: a block computes a tile of BM outputs × BN pixels, and shares what it reads.
//
// The sum over (ky, kx, c) goes in steps of BK channels of one tap.  In each, the block loads BK × BM
// weights and BK × BN samples of x into shared memory, once; then each thread adds their products to
// its TM × TN sums, which never leave its registers.  A number loaded from memory is used BM or BN
// times, one loaded from shared memory TM or TN times.
//
// Neither matrix exists in memory: the tile of x is gathered from the image (an implicit GEMM).

template <int BM, int BN, int BK, int TM, int TN>
DEVICE void conv_tile(In<real> x, In<real> w, In<real> styles, Out<real> y, int splits,
                      CONV_PARAMS, FINISH_PARAMS) {
    constexpr int ROWS = BM / TM, COLUMNS = BN / TN, THREADS = ROWS * COLUMNS;
    SHARED(real, weights, BK * BM);
    SHARED(real, samples, BK * BN);
    int thread = threadIdx.x, row = thread / COLUMNS, column = thread % COLUMNS;
    int o0 = blockIdx.y * BM, group = blockIdx.z / splits, split = blockIdx.z % splits;
    long long p0 = (long long)blockIdx.x * BN;

    Pixel mine = pixel_of(p0 + thread % BN, CONV_ARGS);  // whose samples this thread loads
    int slices = (C + BK - 1) / BK, steps = KH * KW * slices;
    int last = (long long)steps * (split + 1) / splits;
    real sums[TM][TN] = {};
    for (int step = (long long)steps * split / splits; step < last; ++step) {
        int tap = step / slices, c0 = step % slices * BK;
        for (int k = thread / BN; k < BK; k += THREADS / BN) {
            samples[k * BN + thread % BN] =
                c0 + k < C ? sample(x, styles, mine, group * C + c0 + k, tap / KW, tap % KW,
                                    CONV_ARGS)
                           : real(0);
        }
        for (int e = thread; e < BK * BM; e += THREADS) {
            int c = c0 + e / BM, o = o0 + e % BM;
            long long at = (((long long)group * KH * KW + tap) * C + c) * O + o;
            weights[e] = c < C && o < O ? w[at] : real(0);
        }
        __syncthreads();  // the tiles are complete
#pragma unroll
        for (int k = 0; k < BK; ++k) {
            real a[TM], b[TN];
#pragma unroll
            for (int m = 0; m < TM; ++m) a[m] = weights[k * BM + row + m * ROWS];
#pragma unroll
            for (int n = 0; n < TN; ++n) b[n] = samples[k * BN + column + n * COLUMNS];
#pragma unroll
            for (int m = 0; m < TM; ++m) {
#pragma unroll
                for (int n = 0; n < TN; ++n) sums[m][n] += a[m] * b[n];
            }
        }
        __syncthreads();  // nobody reads them any more
    }
#pragma unroll
    for (int n = 0; n < TN; ++n) {
        Pixel pixel = pixel_of(p0 + column + n * COLUMNS, CONV_ARGS);
#pragma unroll
        for (int m = 0; m < TM; ++m) {
            int o = o0 + row + m * ROWS;
            if (o < O && pixel.exists) {
                store(sums[m][n], pixel, group * O + o, split, splits, y, CONV_ARGS, FINISH_ARGS);
            }
        }
    }
}

KERNEL void conv_tiled(In<real> x, In<real> w, In<real> styles, Out<real> y, int splits,
                       CONV_PARAMS, FINISH_PARAMS) {
    conv_tile<64, 64, 16, 4, 4>(x, w, styles, y, splits, CONV_ARGS, FINISH_ARGS);
}

KERNEL void conv_tiled_wide(In<real> x, In<real> w, In<real> styles, Out<real> y, int splits,
                            CONV_PARAMS, FINISH_PARAMS) {
    conv_tile<128, 128, 8, 8, 8>(x, w, styles, y, splits, CONV_ARGS, FINISH_ARGS);
}

// ∂w: for each tap, a product of g [O, pixels] and x [pixels, C].  The sum over pixels is long and
// the result small, so it is split among blocks; their parts, dw [splits, …], are added afterwards
// in a fixed order: the same sum each time, which atomic additions would not give.
KERNEL void weight_gradient_tiled(In<real> x, In<real> g, Out<real> dw, int splits, CONV_PARAMS) {
    constexpr int BM = 64, BN = 64, BK = 16, TM = 4, TN = 4;
    constexpr int ROWS = BM / TM, COLUMNS = BN / TN, THREADS = ROWS * COLUMNS;
    SHARED(real, grads, BM * (BK + 1));  // one more, so that columns fall into different banks
    SHARED(real, samples, BN * (BK + 1));
    int thread = threadIdx.x, row = thread / COLUMNS, column = thread % COLUMNS;
    int c0 = blockIdx.x * BN, o0 = blockIdx.y * BM;
    int split = blockIdx.z % splits, tap = blockIdx.z / splits % (KH * KW);
    int group = blockIdx.z / splits / (KH * KW);
    long long plane = (long long)OH * OW, pixels = N * plane;
    long long steps = (pixels + BK - 1) / BK, last = steps * (split + 1) / splits;
    int k = thread % BK;  // this thread loads of every BK pixels the same one: neighbours, neighbours
    real sums[TM][TN] = {};
    for (long long step = steps * split / splits; step < last; ++step) {
        long long p = step * BK + k;
        Pixel pixel = pixel_of(p, CONV_ARGS);
        for (int m = thread / BK; m < BM; m += THREADS / BK) {
            int o = o0 + m;
            long long at = ((long long)pixel.n * groups * O + group * O + o) * plane + p % plane;
            grads[m * (BK + 1) + k] = o < O && pixel.exists ? g[at] : real(0);
        }
        for (int n = thread / BK; n < BN; n += THREADS / BK) {
            int c = c0 + n;
            samples[n * (BK + 1) + k] =
                c < C ? sample(x, In<real>(), pixel, group * C + c, tap / KW, tap % KW, CONV_ARGS)
                      : real(0);
        }
        __syncthreads();
#pragma unroll
        for (int q = 0; q < BK; ++q) {
            real a[TM], b[TN];
#pragma unroll
            for (int m = 0; m < TM; ++m) a[m] = grads[(row + m * ROWS) * (BK + 1) + q];
#pragma unroll
            for (int n = 0; n < TN; ++n) b[n] = samples[(column + n * COLUMNS) * (BK + 1) + q];
#pragma unroll
            for (int m = 0; m < TM; ++m) {
#pragma unroll
                for (int n = 0; n < TN; ++n) sums[m][n] += a[m] * b[n];
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int m = 0; m < TM; ++m) {
#pragma unroll
        for (int n = 0; n < TN; ++n) {
            int o = o0 + row + m * ROWS, c = c0 + column + n * COLUMNS;
            if (o < O && c < C) {
                long long weight = ((long long)(group * O + o) * C + c) * KH * KW + tap;
                dw[(long long)split * groups * O * C * KH * KW + weight] = sums[m][n];
            }
        }
    }
}
