// Step 1: a thread for each output, which reads all that it needs from memory.
//
// Neighbouring threads compute neighbouring pixels, so a warp's reads of x lie side by side, and its
// reads of w are one number for all.  But each number of x is read O · KH · KW times, and only
// caches help.

KERNEL void conv_naive(In<real> x, In<real> w, In<real> styles, Out<real> y, CONV_PARAMS,
                       EPILOGUE_PARAMS) {
    long long pixels = (long long)N * OH * OW;
    long long p = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    int o = blockIdx.y, group = o / O;
    if (p >= pixels) return;
    Pixel pixel = pixel_of(p, CONV_ARGS);
    real sum = 0;
    for (int ky = 0; ky < KH; ++ky) {
        for (int kx = 0; kx < KW; ++kx) {
            long long tap = (long long)(group * KH + ky) * KW + kx;
            for (int c = 0; c < C; ++c) {
                sum += w[(tap * C + c) * O + o % O] *
                       sample(x, styles, pixel, group * C + c, ky, kx, CONV_ARGS);
            }
        }
    }
    store<1>(&sum, &pixel, o, 0, 1, y, CONV_ARGS, EPILOGUE_ARGS);
}

// For up to four outputs of many pixels (colours of an image): a thread for all outputs of a pixel, so
// that x is read once.
KERNEL void conv_few(In<real> x, In<real> w, In<real> styles, Out<real> y, CONV_PARAMS,
                     EPILOGUE_PARAMS) {
    unsigned p = blockIdx.x * blockDim.x + threadIdx.x;
    int group = blockIdx.y;
    Pixel pixel = pixel_of(p, CONV_ARGS);
    if (!pixel.exists) return;
    real sums[4] = {};
    for (int tap = 0; tap < KH * KW; ++tap) {
        int i = pixel.row + tap / KW, j = pixel.column + tap % KW;
        if (i < 0 || i >= H || j < 0 || j >= W) continue;
        for (int c0 = 0; c0 < C; c0 += 8) {
            real v[8];
#pragma unroll
            for (int k = 0; k < 8; ++k) {  // eight loads are on their way before the first is needed
                int plane = pixel.n * groups * C + group * C + c0 + k;
                v[k] = c0 + k < C ? x[((long long)plane * H + i) * W + j] : real(0);
            }
#pragma unroll
            for (int k = 0; k < 8; ++k) {
                if (c0 + k >= C) break;
                if (styles) v[k] *= styles[pixel.n * groups * C + group * C + c0 + k];
                long long at = ((long long)(group * KH * KW + tap) * C + c0 + k) * O;
#pragma unroll
                for (int o = 0; o < 4; ++o) {
                    if (o < O) sums[o] += w[at + o] * v[k];
                }
            }
        }
    }
#pragma unroll
    for (int o = 0; o < 4; ++o) {
        if (o < O) {
            store<1>(sums + o, &pixel, group * O + o, 0, 1, y, CONV_ARGS, EPILOGUE_ARGS);
        }
    }
}

// ∂w: a thread for each weight, which reads all images.  g [N, groups · O, OH, OW];
// dw [splits, groups · O, C, KH, KW].
KERNEL void weight_gradient_naive(In<real> x, In<real> g, Out<real> dw, int splits, CONV_PARAMS) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    long long pixels = (long long)N * OH * OW;
    if (index >= (long long)groups * O * C * KH * KW) return;
    int kx = index % KW, ky = index / KW % KH, c = index / KW / KH % C, o = index / KW / KH / C;
    real sum = 0;
    for (long long p = 0; p < pixels; ++p) {
        Pixel pixel = pixel_of(p, CONV_ARGS);
        real dy = g[((long long)pixel.n * groups * O + o) * OH * OW + p % ((long long)OH * OW)];
        sum += dy * sample(x, In<real>(), pixel, o / O * C + c, ky, kx, CONV_ARGS);
    }
    dw[index] = sum;
}
