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
KERNEL void upfirdn2d(In<real> x, In<real> f, Out<real> y, RESAMPLE_PARAMS, FINISH_PARAMS) {
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
            y[plane * pixels + pixel] = finish(sum, plane / channels, plane % channels, channels,
                                               pixel, pixels, FINISH_ARGS);
        }
        __syncthreads();
    }
}

// The same for f = fy ⊗ fx: along the rows into a second tile, then along the columns; tx + ty products
// instead of tx · ty, for a second tile in shared memory.
KERNEL void upfirdn2d_separable(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                                FINISH_PARAMS) {
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
            y[plane * pixels + pixel] = finish(sum, plane / channels, plane % channels, channels,
                                               pixel, pixels, FINISH_ARGS);
        }
    }
}

// And for the rates and taps of StyleGAN's networks, known to the compiler: a tile of TW × TH outputs,
// of which a thread makes several from what it has in registers.
#define FIXED_PARAMS \
    In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS, FINISH_PARAMS
#define FIXED_ARGS x, fx, fy, y, RESAMPLE_ARGS, FINISH_ARGS
template <int U, int D, int T, int TW, int TH> DEVICE void upfirdn_fixed(FIXED_PARAMS) {
    constexpr int R = D > 1 ? 4 : 8, rows = reach(TH, D, T, U);
    constexpr int columns = row_length<U, D, T>(TW), pitch = pitch_of(columns);
    constexpr int across_pitch = pitch_of(TW);
    Shared<real> tile = dynamic_shared(), across = tile + rows * pitch;
    int top = blockIdx.y * TH, left = blockIdx.x * TW, p = left * D - x0, q = top * D - y0;
    int i0 = sample_from(q, U), j0 = sample_from(p, U), pixels = OH * OW;
    bool plain = !scale && !noise && !bias && act == LINEAR && gain == 1 && clamp < 0;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        send_tile<rows, columns>(x, (long long)plane * H * W, tile, pitch, i0, j0, H, W);
        await_all_but<0>();
        __syncthreads();
        at_phase<U>(next_sample(p, U), [&](auto phase) {
            along_rows<U, D, T, phase.s>(fx, tile, pitch, across, across_pitch, rows, TW);
        });
        __syncthreads();
        at_phase<U>(next_sample(q, U), [&](auto phase) {
            along_columns<U, D, T, phase.s, R>(
                fy, across, across_pitch, TW, TH / R,
                [&](bool mine, int row, int column, real* sums) {
                    if (!mine || left + column >= OW) return;
                    int pixel = (top + row) * OW + left + column;
                    int count = OH - top - row;  // so many of them exist
                    if (!plain) {
                        int n = plane / channels, c = plane % channels;
#pragma unroll
                        for (int r = 0; r < R; ++r) {
                            if (r < count) sums[r] = finish(sums[r], n, c, channels,
                                                            pixel + r * OW, pixels, FINISH_ARGS);
                        }
                    }
                    long long at = (long long)plane * pixels + pixel;
#pragma unroll
                    for (int r = 0; r < R; ++r, at += OW) {
                        if (r < count) y[at] = sums[r];
                    }
                });
        });
    }
}

KERNEL_OF(256, 6) void upfirdn2d_up2_4(FIXED_PARAMS) {
    upfirdn_fixed<2, 1, 4, 128, 32>(FIXED_ARGS);
}
KERNEL_OF(256, 6) void upfirdn2d_up2_12(FIXED_PARAMS) {
    upfirdn_fixed<2, 1, 12, 128, 64>(FIXED_ARGS);
}
KERNEL_OF(256, 6) void upfirdn2d_down2_4(FIXED_PARAMS) {
    upfirdn_fixed<1, 2, 4, 128, 16>(FIXED_ARGS);
}
KERNEL_OF(256, 4) void upfirdn2d_down2_12(FIXED_PARAMS) {
    upfirdn_fixed<1, 2, 12, 64, 32>(FIXED_ARGS);
}
KERNEL_OF(256, 6) void upfirdn2d_same_4(FIXED_PARAMS) {
    upfirdn_fixed<1, 1, 4, 128, 32>(FIXED_ARGS);
}
KERNEL_OF(256, 6) void upfirdn2d_same_12(FIXED_PARAMS) {
    upfirdn_fixed<1, 1, 12, 128, 32>(FIXED_ARGS);
}
