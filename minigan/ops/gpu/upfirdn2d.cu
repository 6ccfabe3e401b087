// upfirdn2d: a block computes a tile of the output of one plane; what it needs of x it loads into
// shared memory once.  Neither inserted zeros nor padding are ever stored or multiplied.
//
// Output (i, j) lies at row i · dy − y0 of the zero-stuffed image; of the filter's taps from there on,
// only those count that meet a sample: every uy-th, from `next_sample` on.

#define RESAMPLE_PARAMS \
    int planes, int H, int W, int OH, int OW, int ux, int uy, int dx, int dy, int x0, int y0, \
        int tx, int ty, int channels, int tile_w, int tile_h
#define RESAMPLE_ARGS planes, H, W, OH, OW, ux, uy, dx, dy, x0, y0, tx, ty, channels, tile_w, tile_h

// f [ty, tx], a correlation kernel: any filter, any rates.
KERNEL void upfirdn2d(In<real> x, In<real> f, Out<real> y, RESAMPLE_PARAMS, EPILOGUE_PARAMS) {
    Shared<real> tile = dynamic_shared();
    int top = blockIdx.y * tile_h, left = blockIdx.x * tile_w;
    int i0 = sample_from(top * dy - y0, uy), j0 = sample_from(left * dx - x0, ux);
    int rows = reach(tile_h, dy, ty, uy), columns = reach(tile_w, dx, tx, ux);
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        load_tile(x, (long long)plane * H * W, tile, columns, i0, j0, rows, columns, H, W, 0);
        __syncthreads();
        for (int e = threadIdx.x; e < tile_h * tile_w; e += THREADS) {
            int i = top + e / tile_w, j = left + e % tile_w;
            if (i >= OH || j >= OW) continue;
            int ky = next_sample(i * dy - y0, uy), kx = next_sample(j * dx - x0, ux);
            int row = (i * dy - y0 + ky) / uy - i0, column = (j * dx - x0 + kx) / ux - j0;
            real sum = 0;
            for (int a = 0; ky + a * uy < ty; ++a) {
                for (int b = 0; kx + b * ux < tx; ++b) {
                    sum += f[(ky + a * uy) * tx + kx + b * ux] *
                           tile[(row + a) * columns + column + b];
                }
            }
            long long pixel = (long long)i * OW + j, pixels = (long long)OH * OW;
            y[plane * pixels + pixel] = epilogue(sum, plane / channels, plane % channels, channels,
                                                 pixel, pixels, EPILOGUE_ARGS);
        }
        __syncthreads();
    }
}

// The same for f = fy ⊗ fx: along the rows into a second tile, then along the columns; tx + ty products
// instead of tx · ty, for a second tile in shared memory.
KERNEL void upfirdn2d_separable(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                                EPILOGUE_PARAMS) {
    Shared<real> tile = dynamic_shared();
    int top = blockIdx.y * tile_h, left = blockIdx.x * tile_w;
    int i0 = sample_from(top * dy - y0, uy), j0 = sample_from(left * dx - x0, ux);
    int rows = reach(tile_h, dy, ty, uy), columns = reach(tile_w, dx, tx, ux);
    Shared<real> across = tile + rows * columns;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        load_tile(x, (long long)plane * H * W, tile, columns, i0, j0, rows, columns, H, W, 0);
        __syncthreads();
        for (int e = threadIdx.x; e < rows * tile_w; e += THREADS) {
            int p = (left + e % tile_w) * dx - x0, kx = next_sample(p, ux);
            int at = e / tile_w * columns + (p + kx) / ux - j0;
            real sum = 0;
            for (; kx < tx; kx += ux) sum += fx[kx] * tile[at++];
            across[e] = sum;
        }
        __syncthreads();
        for (int e = threadIdx.x; e < tile_h * tile_w; e += THREADS) {
            int i = top + e / tile_w, j = left + e % tile_w;
            if (i >= OH || j >= OW) continue;
            int p = i * dy - y0, ky = next_sample(p, uy);
            int at = ((p + ky) / uy - i0) * tile_w + e % tile_w;
            real sum = 0;
            for (; ky < ty; ky += uy, at += tile_w) sum += fy[ky] * across[at];
            long long pixel = (long long)i * OW + j, pixels = (long long)OH * OW;
            y[plane * pixels + pixel] = epilogue(sum, plane / channels, plane % channels, channels,
                                                 pixel, pixels, EPILOGUE_ARGS);
        }
    }
}

// And for the rates and taps of StyleGAN's networks, known to the compiler: a tile of TW × TH outputs.
// First down the columns: a thread makes R outputs below each other of samples that it takes from x
// itself, neighbouring threads beside each other.  Then along the rows: from what lies in shared memory
// a thread makes four outputs beside each other.
#define FIXED_PARAMS \
    In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS, EPILOGUE_PARAMS
#define FIXED_ARGS x, fx, fy, y, RESAMPLE_ARGS, EPILOGUE_ARGS

// How a row lies in shared memory between the two: every D-th column in a part of its own, so that the
// samples which four outputs meet are fours (pairs, if up = 2) beside each other.
template <int U, int D, int T, int TW> struct Row {
    static constexpr int some = 4 / U;  // of a part, between a thread's first sample and the next one's
    static constexpr int times = ((reach(4, D, T, U) + D - 1) / D + some - 1) / some;
    static constexpr int part = (TW / 4 - 1 + times) * some, columns = D * part;
    // Two parts: lanes write both at once, to different banks.
    static constexpr int apart = D > 1 ? (part + 15) / 32 * 32 + 16 : part;
    static constexpr int pitch = (D * apart + 3) / 4 * 4;
};

template <int U, int D, int T, int TW, int TH, int R> DEVICE void upfirdn_fixed(FIXED_PARAMS) {
    using Of = Row<U, D, T, TW>;
    constexpr int SAMPLES = reach(R, D, T, U);
    Shared<real> rows = dynamic_shared();
    int top = blockIdx.y * TH, left = blockIdx.x * TW, p = left * D - x0, q = top * D - y0;
    int i0 = sample_from(q, U), j0 = sample_from(p, U), pixels = OH * OW;
    bool inner = i0 >= 0 && i0 + reach(TH, D, T, U) <= H && j0 >= 0 && j0 + Of::columns <= W;
    bool plain = !scale && !noise && !bias && act == LINEAR && gain == 1 && clamp < 0;
    int strips = top + TH < OH ? TH / R : (OH - top + R - 1) / R;  // those of rows that exist
    real taps[T], sums[R];
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
#pragma unroll
        for (int k = 0; k < T; ++k) taps[k] = fy[k];
        for (int e = threadIdx.x; e < Of::columns * strips; e += THREADS) {
            int strip = e / Of::columns, column = e % Of::columns;
            int i = i0 + strip * (R * D / U), j = j0 + column;
            long long at = ((long long)plane * H + i) * W + j;
            real samples[SAMPLES];
            if (inner) {
#pragma unroll
                for (int k = 0; k < SAMPLES; ++k) samples[k] = x[at + (long long)k * W];
            } else {
                bool there = j >= 0 && j < W;
#pragma unroll
                for (int k = 0; k < SAMPLES; ++k) {
                    bool inside = there && i + k >= 0 && i + k < H;
                    samples[k] = inside ? x[at + (long long)k * W] : real(0);
                }
            }
            at_phase<U>(next_sample(q, U), [&](auto phase) {
                filter<U, D, T, phase.s, R>(taps, samples, sums);
            });
            int place = strip * R * Of::pitch + column % D * Of::apart + column / D;
#pragma unroll
            for (int r = 0; r < R; ++r) rows[place + r * Of::pitch] = sums[r];
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < T; ++k) taps[k] = fx[k];
        for (int e = threadIdx.x; e < TW / 4 * TH; e += THREADS) {
            int row = e / (TW / 4), group = e % (TW / 4), i = top + row, j = left + 4 * group;
            if (i >= OH || j >= OW) continue;
            real samples[D * Of::times * Of::some], few[Of::some];
#pragma unroll
            for (int k = 0; k < D * Of::times; ++k) {
                int place = row * Of::pitch + k % D * Of::apart + (group + k / D) * Of::some;
                load_some<Of::some>(rows, place, few);
#pragma unroll
                for (int l = 0; l < Of::some; ++l) {
                    samples[(k / D * Of::some + l) * D + k % D] = few[l];
                }
            }
            at_phase<U>(next_sample(p, U), [&](auto phase) {
                filter<U, D, T, phase.s, 4>(taps, samples, sums);
            });
            int pixel = i * OW + j, count = OW - j;  // so many of them exist
            if (!plain) {
                int n = plane / channels, c = plane % channels;
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    if (k < count) {
                        sums[k] =
                            epilogue(sums[k], n, c, channels, pixel + k, pixels, EPILOGUE_ARGS);
                    }
                }
            }
            long long at = (long long)plane * pixels + pixel;
            if (OW % 4 == 0) {
                store_some<4>(y, at, sums);
            } else {
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    if (k < count) y[at + k] = sums[k];
                }
            }
        }
        __syncthreads();
    }
}

KERNEL_OF(256, 4) void upfirdn2d_up2_4(FIXED_PARAMS) {
    upfirdn_fixed<2, 1, 4, 128, 64, 16>(FIXED_ARGS);
}
KERNEL_OF(256, 4) void upfirdn2d_up2_12(FIXED_PARAMS) {
    upfirdn_fixed<2, 1, 12, 128, 64, 16>(FIXED_ARGS);
}
KERNEL_OF(256, 4) void upfirdn2d_down2_4(FIXED_PARAMS) {
    upfirdn_fixed<1, 2, 4, 128, 16, 8>(FIXED_ARGS);
}
KERNEL_OF(256, 4) void upfirdn2d_down2_12(FIXED_PARAMS) {
    upfirdn_fixed<1, 2, 12, 64, 32, 8>(FIXED_ARGS);
}
KERNEL_OF(256, 4) void upfirdn2d_same_4(FIXED_PARAMS) {
    upfirdn_fixed<1, 1, 4, 128, 32, 8>(FIXED_ARGS);
}
KERNEL_OF(256, 4) void upfirdn2d_same_12(FIXED_PARAMS) {
    upfirdn_fixed<1, 1, 12, 128, 64, 16>(FIXED_ARGS);
}
