// What tensor cores multiply, made ready: rounded once, not each time that it is read; in the order in
// which it is wanted, so that 16 bytes at a time can be sent to shared memory; and the image padded.
// Channels come in slices of 16 words, one (tf32) or two (f16) a word, filled up with zeros.

constexpr int PIXELS = 128;  // of a block

// parts[block]: the largest magnitude among a block's share of x.
KERNEL void largest(In<float> x, Out<float> parts, long long size) {
    SHARED(float, of_warps, 32);
    float most = 0;
    long long all = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += 8 * all) {
        float v[8];
#pragma unroll
        for (int k = 0; k < 8; ++k) v[k] = i + k * all < size ? fabs(x[i + k * all]) : 0.0f;
#pragma unroll
        for (int k = 0; k < 8; ++k) most = v[k] > most ? v[k] : most;
    }
    most = warp_largest(most);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = most;
    __syncthreads();
    if (threadIdx.x < 32) {
        most = warp_largest(threadIdx.x < blockDim.x / 32 ? of_warps[threadIdx.x] : 0.0f);
        if (threadIdx.x == 0) parts[blockIdx.x] = most;
    }
}

// x [N, groups · C, H, W] to words [groups, slices, pixels, 16].  Of its `plane` = PH · PW pixels, image n
// has those from n · plane on; x begins at row py, column px of them, and goes on every sy-th row, every
// sx-th column, zeros between.  A block: a slice of 128 pixels.
#define PACK_PARAMS                                                                           \
    In<float> x, In<float> styles, In<float> largest, Out<unsigned> words, int groups, int C, \
        int H, int W, int slices, int pixels, int plane, int PW, int py, int px, int sy, int sx
template <bool HALF> DEVICE void pack_image(PACK_PARAMS) {
    constexpr int EACH = HALF ? 2 : 1, APART = PIXELS + 2;
    SHARED(unsigned, tile, WORDS * APART);
    int image = blockIdx.z, n = image / groups, group = image % groups, slice = blockIdx.y;
    int first = blockIdx.x * PIXELS, mine = first + threadIdx.x % PIXELS;
    int i = mine / PW - py, j = mine % PW - px;
    bool inside = mine < plane && i >= 0 && i < H * sy && i % sy == 0 && j >= 0 && j < W * sx &&
                  j % sx == 0;
    i /= sy, j /= sx;
    float by = HALF ? 1 / nonzero(largest[0]) : 1;
#pragma unroll
    for (int e = threadIdx.x; e < WORDS * PIXELS; e += 256) {
        int word = e / PIXELS;
        unsigned packed = 0;
#pragma unroll
        for (int k = EACH - 1; k >= 0; --k) {
            int c = (slice * WORDS + word) * EACH + k;
            float v = 0;
            if (c < C && inside) {
                v = x[(((long long)image * C + c) * H + i) * W + j] * by;
                if (styles) v *= styles[(long long)image * C + c];  // StyleGAN2 Eq. 1, on the way in
            }
            packed = HALF ? packed << 16 | round_f16(v) : round_tf32(v);
        }
        tile[word * APART + e % PIXELS] = packed;
    }
    __syncthreads();
    long long start = (long long)(group * slices + slice) * pixels + (long long)n * plane + first;
#pragma unroll
    for (int e = threadIdx.x; e < WORDS * PIXELS; e += 256) {
        int word = e % WORDS, pixel = e / WORDS;
        if (first + pixel < plane) {
            words[(start + pixel) * WORDS + word] = tile[word * APART + pixel];
        }
    }
}

#define PACK_ARGS \
    x, styles, largest, words, groups, C, H, W, slices, pixels, plane, PW, py, px, sy, sx
KERNEL void pack_image_tf32(PACK_PARAMS) { pack_image<false>(PACK_ARGS); }
KERNEL void pack_image_f16(PACK_PARAMS) { pack_image<true>(PACK_ARGS); }

// Weights to words [groups, slices, KH, KW, O, 16], and the largest magnitude of each output.  A block an
// output.  Weight (group, o, c, ky, kx) lies at `start` plus so many of each stride.
#define STRIDES int start, int of_group, int of_o, int of_c, int of_y, int of_x
template <bool HALF>
DEVICE void pack_weights(In<float> w, Out<unsigned> words, Out<float> largest, int O, int C, int KH,
                         int KW, int slices, STRIDES) {
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
    for (int e = threadIdx.x; e < KH * KW * slices * WORDS; e += 256) {
        int word = e % (slices * WORDS), tap = e / (slices * WORDS);
        unsigned packed = 0;
        for (int k = EACH - 1; k >= 0; --k) {
            int c = word * EACH + k;
            float v = 0;
            if (c < C) v = w[at + (long long)c * of_c + tap / KW * of_y + tap % KW * of_x] * by;
            packed = HALF ? packed << 16 | round_f16(v) : round_tf32(v);
        }
        long long row = ((long long)(group * slices + word / WORDS) * KH * KW + tap) * O + o;
        words[row * WORDS + word % WORDS] = packed;
    }
}

KERNEL void pack_weights_tf32(In<float> w, Out<unsigned> words, Out<float> largest, int O, int C,
                              int KH, int KW, int slices, STRIDES) {
    pack_weights<false>(w, words, largest, O, C, KH, KW, slices, start, of_group, of_o, of_c, of_y,
                        of_x);
}
KERNEL void pack_weights_f16(In<float> w, Out<unsigned> words, Out<float> largest, int O, int C,
                             int KH, int KW, int slices, STRIDES) {
    pack_weights<true>(w, words, largest, O, C, KH, KW, slices, start, of_group, of_o, of_c, of_y,
                       of_x);
}
