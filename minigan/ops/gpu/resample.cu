// upfirdn2d: a block computes a tile of the output of one plane; what it needs of x it loads into
// shared memory once.  Neither inserted zeros nor padding are ever stored or multiplied.
//
// Output (i, j) lies at row i · dy − y0 of the zero-stuffed image; of the filter's taps from there on,
// only those count that meet a sample: every uy-th, from `next_sample` on.

constexpr int THREADS = 256;

#define RESAMPLE_PARAMS \
    int planes, int H, int W, int OH, int OW, int ux_, int uy_, int dx_, int dy_, int x0, int y0, \
        int tx_, int ty_, int channels, int tile_w_, int tile_h_

// The tile of x, rows × columns from (i0, j0) on, zeros outside.
DEVICE void load_tile(In<real> x, Shared<real> tile, int i0, int j0, int rows, int columns, int H,
                      int W) {
    long long plane = (long long)blockIdx.x * H * W;
    for (int e = threadIdx.x; e < rows * columns; e += THREADS) {
        int i = i0 + e / columns, j = j0 + e % columns;
        bool inside = i >= 0 && i < H && j >= 0 && j < W;
        tile[e] = inside ? x[plane + (long long)i * W + j] : real(0);
    }
    __syncthreads();
}

// f [ty, tx], a correlation kernel.  U, T: rate (at D = 1) and taps where they are known when this is
// compiled, so that loops unroll; 0 where all are arguments.
template <int U, int T>
DEVICE void upfirdn(In<real> x, In<real> f, Out<real> y, RESAMPLE_PARAMS, FINISH_PARAMS) {
    Shared<real> tile = dynamic_shared();
    const int ux = U ? U : ux_, uy = U ? U : uy_, dx = U ? 1 : dx_, dy = U ? 1 : dy_;
    const int tx = T ? T : tx_, ty = T ? T : ty_;
    const int tile_w = T ? 32 : tile_w_, tile_h = T ? 32 : tile_h_;
    int top = blockIdx.z * tile_h, left = blockIdx.y * tile_w, plane = blockIdx.x;
    int i0 = sample_from(top * dy - y0, uy), j0 = sample_from(left * dx - x0, ux);
    int rows = ((tile_h - 1) * dy + ty - 1) / uy + 1;
    int columns = ((tile_w - 1) * dx + tx - 1) / ux + 1;
    load_tile(x, tile, i0, j0, rows, columns, H, W);
    for (int e = threadIdx.x; e < tile_h * tile_w; e += THREADS) {
        int i = top + e / tile_w, j = left + e % tile_w;
        if (i >= OH || j >= OW) continue;
        int ky = next_sample(i * dy - y0, uy), kx = next_sample(j * dx - x0, ux);
        int row = (i * dy - y0 + ky) / uy - i0, column = (j * dx - x0 + kx) / ux - j0;
        real sum = 0;
#pragma unroll
        for (int a = 0; ky + a * uy < ty; ++a) {
#pragma unroll
            for (int b = 0; kx + b * ux < tx; ++b) {
                sum += f[(ky + a * uy) * tx + kx + b * ux] *
                       tile[(row + a) * columns + column + b];
            }
        }
        long long pixel = (long long)i * OW + j, pixels = (long long)OH * OW;
        y[plane * pixels + pixel] =
            finish(sum, plane / channels, plane % channels, channels, pixel, pixels, FINISH_ARGS);
    }
}

#define RESAMPLE_ARGS planes, H, W, OH, OW, ux_, uy_, dx_, dy_, x0, y0, tx_, ty_, channels, \
        tile_w_, tile_h_

KERNEL void upfirdn2d(In<real> x, In<real> f, Out<real> y, RESAMPLE_PARAMS, FINISH_PARAMS) {
    upfirdn<0, 0>(x, f, y, RESAMPLE_ARGS, FINISH_ARGS);
}
// Without upsampling all outputs take the same taps, so a thread can keep those in registers, and
// compute four outputs below each other: a sample that it has loaded serves up to four of them.
template <int D, int T>
DEVICE void filter_strips(In<real> x, In<real> f, Out<real> y, RESAMPLE_PARAMS, FINISH_PARAMS) {
    Shared<real> tile = dynamic_shared();
    int top = blockIdx.z * 32, left = blockIdx.y * 32, plane = blockIdx.x;
    constexpr int rows = 31 * D + T, columns = rows;
    real taps[T * T], sums[4] = {};
#pragma unroll
    for (int k = 0; k < T * T; ++k) taps[k] = f[k];
    load_tile(x, tile, top * D - y0, left * D - x0, rows, columns, H, W);
    int row = threadIdx.x / 32 * 4, at = row * D * columns + threadIdx.x % 32 * D;
#pragma unroll
    for (int a = 0; a < 3 * D + T; ++a) {
#pragma unroll
        for (int b = 0; b < T; ++b) {
            real v = tile[at + a * columns + b];
#pragma unroll
            for (int r = 0; r < 4; ++r) {
                if (a - r * D >= 0 && a - r * D < T) sums[r] += taps[(a - r * D) * T + b] * v;
            }
        }
    }
    int j = left + threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
        int i = top + row + r;
        if (i < OH && j < OW) {
            long long pixel = (long long)i * OW + j, pixels = (long long)OH * OW;
            y[plane * pixels + pixel] = finish(sums[r], plane / channels, plane % channels,
                                               channels, pixel, pixels, FINISH_ARGS);
        }
    }
}

// StyleGAN2's three, with its filter of four taps.
KERNEL void upfirdn2d_up2(In<real> x, In<real> f, Out<real> y, RESAMPLE_PARAMS, FINISH_PARAMS) {
    upfirdn<2, 4>(x, f, y, RESAMPLE_ARGS, FINISH_ARGS);
}
KERNEL void upfirdn2d_down2(In<real> x, In<real> f, Out<real> y, RESAMPLE_PARAMS, FINISH_PARAMS) {
    filter_strips<2, 4>(x, f, y, RESAMPLE_ARGS, FINISH_ARGS);
}
KERNEL void upfirdn2d_same(In<real> x, In<real> f, Out<real> y, RESAMPLE_PARAMS, FINISH_PARAMS) {
    filter_strips<1, 4>(x, f, y, RESAMPLE_ARGS, FINISH_ARGS);
}

// The same for f = fy ⊗ fx: along the rows into a second tile, then along the columns; tx + ty products
// instead of tx · ty, for a second tile in shared memory.
KERNEL void upfirdn2d_separable(In<real> x, In<real> fx, In<real> fy, Out<real> y, RESAMPLE_PARAMS,
                                FINISH_PARAMS) {
    Shared<real> memory = dynamic_shared();
    int top = blockIdx.z * tile_h_, left = blockIdx.y * tile_w_, plane = blockIdx.x;
    int i0 = sample_from(top * dy_ - y0, uy_), j0 = sample_from(left * dx_ - x0, ux_);
    int rows = ((tile_h_ - 1) * dy_ + ty_ - 1) / uy_ + 1;
    int columns = ((tile_w_ - 1) * dx_ + tx_ - 1) / ux_ + 1;
    Shared<real> tile = memory, across = tile + rows * columns;
    load_tile(x, tile, i0, j0, rows, columns, H, W);
    for (int e = threadIdx.x; e < rows * tile_w_; e += THREADS) {
        int p = (left + e % tile_w_) * dx_ - x0, kx = next_sample(p, ux_);
        int at = e / tile_w_ * columns + (p + kx) / ux_ - j0;
        real sum = 0;
        for (; kx < tx_; kx += ux_) sum += fx[kx] * tile[at++];
        across[e] = sum;
    }
    __syncthreads();
    for (int e = threadIdx.x; e < tile_h_ * tile_w_; e += THREADS) {
        int i = top + e / tile_w_, j = left + e % tile_w_;
        if (i >= OH || j >= OW) continue;
        int p = i * dy_ - y0, ky = next_sample(p, uy_);
        int at = ((p + ky) / uy_ - i0) * tile_w_ + e % tile_w_;
        real sum = 0;
        for (; ky < ty_; ky += uy_, at += tile_w_) sum += fy[ky] * across[at];
        long long pixel = (long long)i * OW + j, pixels = (long long)OH * OW;
        y[plane * pixels + pixel] =
            finish(sum, plane / channels, plane % channels, channels, pixel, pixels, FINISH_ARGS);
    }
}
