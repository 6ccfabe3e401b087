// bias_act and what its derivatives need.  Each reads its input once and writes its output once,
// so memory sets the pace.

// A block: 4 · EACH · blockDim elements of a plane, y = clamp(gain · act((Σ x) · scale + noise + bias)).
// x [parts, planes, inner], y [planes, inner]; a plane is an (n, channel).  Parts are added in their
// order.  The first axis of the grid goes along a plane, so that blocks which run at the same time read
// what lies near.  EACH elements are read and written at once: 16 bytes, where planes begin at multiples
// of that.
#define SUM_PARAMS \
    In<real> x, Out<real> y, int parts, int planes, int channels, int inner, EPILOGUE_PARAMS
template <int EACH> DEVICE void sum_and_epilogue(SUM_PARAMS) {
    int apart = blockDim.x * EACH, first = blockIdx.x * 4 * apart + threadIdx.x * EACH;
    for (int plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        int n = plane / channels, c = plane % channels;
        long long start = (long long)plane * inner;
        real v[4][EACH] = {}, more[4][EACH] = {};
        auto load_part = [&](int part, real (*into)[EACH]) {
            long long at = (long long)part * planes * inner + start;
#pragma unroll
            for (int k = 0; k < 4; ++k) {  // four loads are on their way before the first is needed
                int i = first + k * apart;
                if (i < inner) load_some<EACH>(x, at + i, into[k]);
            }
        };
        load_part(0, v);
        for (int part = 1; part < parts; ++part) {
            load_part(part, more);
#pragma unroll
            for (int k = 0; k < 4 * EACH; ++k) v[k / EACH][k % EACH] += more[k / EACH][k % EACH];
        }
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            int i = first + k * apart;
            if (i >= inner) break;
#pragma unroll
            for (int e = 0; e < EACH; ++e) {
                v[k][e] = epilogue(v[k][e], n, c, channels, i + e, inner, EPILOGUE_ARGS);
            }
            store_some<EACH>(y, start + i, v[k]);
        }
    }
}

KERNEL void bias_act(SUM_PARAMS) {
    sum_and_epilogue<1>(x, y, parts, planes, channels, inner, EPILOGUE_ARGS);
}
KERNEL void bias_act_fours(SUM_PARAMS) {
    sum_and_epilogue<4>(x, y, parts, planes, channels, inner, EPILOGUE_ARGS);
}

// dx = g times the slope of a piecewise linear act whose result was y.
#define SLOPE_PARAMS \
    In<real> g, In<real> y, Out<real> dx, long long size, real alpha, real gain, real clamp
template <int EACH> DEVICE void times_slope(SLOPE_PARAMS) {
    int apart = blockDim.x * EACH;
    long long first = (long long)blockIdx.x * 4 * apart + threadIdx.x * EACH;
    real v[4][EACH], d[4][EACH];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        long long i = first + k * apart;
        if (i < size) load_some<EACH>(y, i, v[k]), load_some<EACH>(g, i, d[k]);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        long long i = first + k * apart;
        if (i >= size) return;
#pragma unroll
        for (int e = 0; e < EACH; ++e) {
            real slope = v[k][e] > 0 ? gain : gain * alpha;
            d[k][e] = clamp >= 0 && fabs(v[k][e]) >= clamp ? real(0) : d[k][e] * slope;
        }
        store_some<EACH>(dx, i, d[k]);
    }
}

KERNEL void act_slope(SLOPE_PARAMS) { times_slope<1>(g, y, dx, size, alpha, gain, clamp); }
KERNEL void act_slope_fours(SLOPE_PARAMS) { times_slope<4>(g, y, dx, size, alpha, gain, clamp); }

// out[plane] = Σ over its pixels of x · y.  A block a plane; x, y [planes, pixels].
KERNEL void pixel_dot(In<real> x, In<real> y, Out<real> out, int pixels) {
    SHARED(real, parts, 32);
    long long start = (long long)blockIdx.x * pixels;
    real sum = 0;
    for (int i = threadIdx.x; i < pixels; i += blockDim.x) sum += x[start + i] * y[start + i];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {  // the first warp adds what the warps have
        sum = warp_sum(threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : real(0));
        if (threadIdx.x == 0) out[blockIdx.x] = sum;
    }
}

// out[row] = Σ x², x [rows, size]: short rows, a thread each.
KERNEL void square_sums(In<real> x, Out<real> out, int rows, int size) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    real sum = 0;
    for (int i = 0; i < size; ++i) {
        real v = x[(long long)row * size + i];
        sum += v * v;
    }
    out[row] = sum;
}

// y[n, o] = epilogue(Σ_c x[n, c] · w[o, c]).  A warp for each o, which reads w[o] once for 8 rows
// of x.
KERNEL void dense(In<real> x, In<real> w, Out<real> y, int N, int C, int O, EPILOGUE_PARAMS) {
    int o = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (o >= O) return;  // a whole warp leaves, none waits for it
    int first = blockIdx.y * 8, rows = N - first < 8 ? N - first : 8;
    real sums[8] = {};
    for (int c0 = lane; c0 < C; c0 += 128) {
        real weights[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) {  // four loads are on their way before the first is needed
            int c = c0 + 32 * k;
            weights[k] = c < C ? w[(long long)o * C + c] : real(0);
        }
#pragma unroll
        for (int r = 0; r < 8; ++r) {
            if (r >= rows) break;
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                int c = c0 + 32 * k;
                if (c < C) sums[r] += weights[k] * x[(long long)(first + r) * C + c];
            }
        }
    }
#pragma unroll
    for (int r = 0; r < 8; ++r) {
        if (r >= rows) break;
        real sum = warp_sum(sums[r]);
        if (lane == 0) {
            y[(long long)(first + r) * O + o] = epilogue(sum, first + r, o, O, 0, 1, EPILOGUE_ARGS);
        }
    }
}
