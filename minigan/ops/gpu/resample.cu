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

// And for the rates and taps of StyleGAN's networks, known to the compiler: a tile of TW × TH outputs, of
// which a thread makes several from what it has in registers.
template <int U, int D, int T, int TW, int TH>
DEVICE void upfirdn_fixed(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                          FINISH_PARAMS) {
    constexpr int R = D > 1 ? 4 : 8, rows = reach(TH, D, T, U);
    constexpr int columns = row_length<U, D, T>(TW), pitch = pitch_of(columns);
    constexpr int across_pitch = pitch_of(TW);
    SHARED(real, tile, rows * pitch);
    SHARED(real, across, rows * across_pitch);
    int top = blockIdx.y * TH, left = blockIdx.x * TW, p = left * D - x0, q = top * D - y0;
    bool plain = !scale && !noise && !bias && act == LINEAR && gain == 1 && clamp < 0;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        load_tile(x, (long long)plane * H * W, tile, pitch, sample_from(q, U), sample_from(p, U),
                  rows, columns, H, W, 0);
        __syncthreads();
        at_phase<U>(next_sample(p, U), [&](auto phase) {
            along_rows<U, D, T, phase.s>(fx, tile, pitch, across, across_pitch, rows, TW);
        });
        __syncthreads();
        at_phase<U>(next_sample(q, U), [&](auto phase) {
            along_columns<U, D, T, phase.s, R>(
                fy, across, across_pitch, TW, TH / R,
                [&](bool mine, int row, int column, real* sums) {
                    long long pixels = (long long)OH * OW;
                    long long pixel = (long long)(top + row) * OW + left + column;
                    if (!mine || left + column >= OW) return;
#pragma unroll
                    for (int r = 0; r < R; ++r, pixel += OW) {
                        if (top + row + r >= OH) return;
                        real v = plain ? sums[r]
                                       : finish(sums[r], plane / channels, plane % channels,
                                                channels, pixel, pixels, FINISH_ARGS);
                        y[plane * pixels + pixel] = v;
                    }
                });
        });
    }
}

constexpr int WIDE = sizeof(real) == 4 ? 64 : 32;

KERNEL void upfirdn2d_up2_4(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                            FINISH_PARAMS) {
    upfirdn_fixed<2, 1, 4, WIDE, 32>(x, fx, fy, y, RESAMPLE_ARGS, FINISH_ARGS);
}
KERNEL void upfirdn2d_up2_12(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                             FINISH_PARAMS) {
    upfirdn_fixed<2, 1, 12, WIDE, 32>(x, fx, fy, y, RESAMPLE_ARGS, FINISH_ARGS);
}
KERNEL void upfirdn2d_down2_4(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                              FINISH_PARAMS) {
    upfirdn_fixed<1, 2, 4, WIDE, 16>(x, fx, fy, y, RESAMPLE_ARGS, FINISH_ARGS);
}
KERNEL void upfirdn2d_down2_12(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                               FINISH_PARAMS) {
    upfirdn_fixed<1, 2, 12, WIDE, 16>(x, fx, fy, y, RESAMPLE_ARGS, FINISH_ARGS);
}
KERNEL void upfirdn2d_same_4(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                             FINISH_PARAMS) {
    upfirdn_fixed<1, 1, 4, WIDE, 32>(x, fx, fy, y, RESAMPLE_ARGS, FINISH_ARGS);
}
KERNEL void upfirdn2d_same_12(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                              FINISH_PARAMS) {
    upfirdn_fixed<1, 1, 12, WIDE, 32>(x, fx, fy, y, RESAMPLE_ARGS, FINISH_ARGS);
}
