// What tensor cores multiply, made ready: rounded once, not each time that it is read, and channels
// innermost, so that 16 bytes at a time can be sent to shared memory.  A pixel, or an output of a tap,
// is a row of CW words: channels one (tf32) or two (f16) a word, and zeros up to a multiple of 16.

constexpr int PIXELS = 128;  // of a block

// parts[block]: the largest magnitude among a block's share of x.
KERNEL void largest(In<float> x, Out<float> parts, long long size) {
    SHARED(float, of_warps, 32);
    float most = 0;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size;
         i += (long long)gridDim.x * blockDim.x) {
        float v = fabs(x[i]);
        most = v > most ? v : most;
    }
    most = warp_largest(most);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = most;
    __syncthreads();
    if (threadIdx.x < 32) {
        most = warp_largest(threadIdx.x < blockDim.x / 32 ? of_warps[threadIdx.x] : 0.0f);
        if (threadIdx.x == 0) parts[blockIdx.x] = most;
    }
}

// x [images, C, pixels] to words [images, pixels, CW]; 16 words of 128 pixels a block.
template <bool HALF>
DEVICE void pack_image(In<float> x, In<float> styles, In<float> largest, Out<unsigned> words,
                       int C, int pixels, int CW) {
    constexpr int EACH = HALF ? 2 : 1, APART = PIXELS + 2;
    SHARED(unsigned, tile, WORDS * APART);
    int image = blockIdx.z, first = blockIdx.x * PIXELS, word0 = blockIdx.y * WORDS;
    float by = HALF ? 1 / nonzero(largest[0]) : 1;
#pragma unroll
    for (int e = threadIdx.x; e < WORDS * PIXELS; e += 256) {
        int word = e / PIXELS, pixel = e % PIXELS;
        unsigned packed = 0;
#pragma unroll
        for (int k = EACH - 1; k >= 0; --k) {
            int c = (word0 + word) * EACH + k;
            float v = 0;
            if (c < C && first + pixel < pixels) {
                v = x[((long long)image * C + c) * pixels + first + pixel] * by;
                if (styles) v *= styles[(long long)image * C + c];  // StyleGAN2 Eq. 1, on the way in
            }
            packed = HALF ? packed << 16 | round_f16(v) : round_tf32(v);
        }
        tile[word * APART + pixel] = packed;
    }
    __syncthreads();
#pragma unroll
    for (int e = threadIdx.x; e < WORDS * PIXELS; e += 256) {
        int word = e % WORDS, pixel = e / WORDS;
        if (first + pixel < pixels) {
            words[((long long)image * pixels + first + pixel) * CW + word0 + word] =
                tile[word * APART + pixel];
        }
    }
}

KERNEL void pack_image_tf32(In<float> x, In<float> styles, In<float> largest, Out<unsigned> words,
                            int C, int pixels, int CW) {
    pack_image<false>(x, styles, largest, words, C, pixels, CW);
}
KERNEL void pack_image_f16(In<float> x, In<float> styles, In<float> largest, Out<unsigned> words,
                           int C, int pixels, int CW) {
    pack_image<true>(x, styles, largest, words, C, pixels, CW);
}

// Weights to words [groups, KH, KW, O, CW], and the largest magnitude of each output.  A block an
// output.  Weight (group, o, c, ky, kx) lies at `start` plus so many of each stride.
#define STRIDES int start, int of_group, int of_o, int of_c, int of_y, int of_x
template <bool HALF>
DEVICE void pack_weights(In<float> w, Out<unsigned> words, Out<float> largest, int O, int C, int KH,
                         int KW, int CW, STRIDES) {
    constexpr int EACH = HALF ? 2 : 1;
    SHARED(float, of_warps, 8);
    int o = blockIdx.x, group = blockIdx.y;
    long long at = start + (long long)group * of_group + (long long)o * of_o;
    float by = 1;
    if (HALF) {
        float most = 0;
        for (int e = threadIdx.x; e < C * KH * KW; e += 256) {
            int tap = e % (KH * KW), c = e / (KH * KW);
            float v = fabs(w[at + (long long)c * of_c + tap / KW * of_y + tap % KW * of_x]);
            most = v > most ? v : most;
        }
        most = warp_largest(most);
        if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = most;
        __syncthreads();
        most = 0;
        for (int k = 0; k < 8; ++k) most = of_warps[k] > most ? of_warps[k] : most;
        if (threadIdx.x == 0) largest[group * O + o] = most;
        by = 1 / nonzero(most);
    }
    for (int e = threadIdx.x; e < KH * KW * CW; e += 256) {
        int word = e % CW, tap = e / CW;
        unsigned packed = 0;
        for (int k = EACH - 1; k >= 0; --k) {
            int c = word * EACH + k;
            float v = 0;
            if (c < C) v = w[at + (long long)c * of_c + tap / KW * of_y + tap % KW * of_x] * by;
            packed = HALF ? packed << 16 | round_f16(v) : round_tf32(v);
        }
        words[(((long long)group * KH * KW + tap) * O + o) * CW + word] = packed;
    }
}

KERNEL void pack_weights_tf32(In<float> w, Out<unsigned> words, Out<float> largest, int O, int C,
                              int KH, int KW, int CW, STRIDES) {
    pack_weights<false>(w, words, largest, O, C, KH, KW, CW, start, of_group, of_o, of_c, of_y,
                        of_x);
}
KERNEL void pack_weights_f16(In<float> w, Out<unsigned> words, Out<float> largest, int O, int C,
                             int KH, int KW, int CW, STRIDES) {
    pack_weights<true>(w, words, largest, O, C, KH, KW, CW, start, of_group, of_o, of_c, of_y,
                       of_x);
}
