// Step 3: the same tiles, their products by tensor cores (tensor.cuh), of numbers that are ready
// (conv_tensor_pack.cu).
//
// Tensor cores are so fast that waiting for memory is most of the time, if one waits.  So the tiles of
// three steps lie in shared memory: while one is multiplied, the next two are on their way.

constexpr int STAGES = 3;

// BO outputs × BP pixels by four warps.  x [N, groups, H, W, CW] and w [groups, KH, KW, O, CW], packed.
template <bool HALF, int BO, int BP>
DEVICE void conv_tensor(In<unsigned> x, In<unsigned> w, Out<float> y, int splits, In<float> x_max,
                        In<float> w_max, int CW, CONV_PARAMS, FINISH_PARAMS) {
    constexpr int DOWN = BO > 32 ? 2 : 1, ACROSS = 4 / DOWN;        // warps
    constexpr int ROWS = BO / DOWN, COLUMNS = BP / ACROSS;          // of a warp
    constexpr int FM = ROWS / 16, FN = COLUMNS / 8;                 // fragments of a warp
    constexpr int MINE = BP / 32, STAGE = (BO + BP) * PITCH;
    Shared<unsigned> memory = dynamic_shared<unsigned>();
    int o0 = blockIdx.y * BO, p0 = blockIdx.x * BP;
    int group = blockIdx.z / splits, split = blockIdx.z % splits;
    int slices = CW / WORDS, steps = KH * KW * slices;
    int step = (long long)steps * split / splits, last = (long long)steps * (split + 1) / splits;

    // What this thread sends: four words of every 32nd row.
    int line = threadIdx.x / 4, quarter = threadIdx.x % 4 * 4;
    int image[MINE], row[MINE], column[MINE];
#pragma unroll
    for (int i = 0; i < MINE; ++i) {
        Pixel pixel = pixel_of(p0 + line + 32 * i, CONV_ARGS);
        image[i] = (pixel.n * groups + group) * H;
        row[i] = pixel.exists ? pixel.row : -H - KH;  // all its taps are outside
        column[i] = pixel.column;
    }
    int slice = step % slices, tap = step / slices, ky = tap / KW, kx = tap % KW;
    int next = step, into = 0;  // the step that is sent next, and where to
    auto send = [&]() {
        if (next < last) {
            int word = slice * WORDS + quarter;
#pragma unroll
            for (int i = 0; i < BO / 32; ++i) {
                int o = o0 + line + 32 * i;
                long long at = (((long long)group * KH + ky) * KW + kx) * O + o;
                send_four(memory, into + (line + 32 * i) * PITCH + quarter, w, at * CW + word,
                          o < O);
            }
#pragma unroll
            for (int i = 0; i < MINE; ++i) {
                int r = row[i] + ky, c = column[i] + kx;
                send_four(memory, into + (BO + line + 32 * i) * PITCH + quarter, x,
                          ((long long)(image[i] + r) * W + c) * CW + word,
                          r >= 0 && r < H && c >= 0 && c < W);
            }
            if (++slice == slices) {
                slice = 0;
                if (++kx == KW) kx = 0, ++ky;
            }
        }
        close_sending();
        ++next;
        into = into == (STAGES - 1) * STAGE ? 0 : into + STAGE;
    };

    int warp = threadIdx.x / 32, o1 = warp / ACROSS * ROWS, p1 = warp % ACROSS * COLUMNS;
    float sums[FM][FN][4] = {};
    for (int k = 1; k < STAGES; ++k) send();
    for (int at = 0; step < last; ++step) {
        await_all_but<STAGES - 2>();
        __syncthreads();  // this step's tiles are complete, and nobody reads the last one's any more
        send();
        multiply<HALF, FM, FN>(memory + (at + o1 * PITCH), memory + (at + (BO + p1) * PITCH), sums);
        at = at == (STAGES - 1) * STAGE ? 0 : at + STAGE;
    }

    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    float x_largest = HALF ? nonzero(x_max[0]) : 1;
#pragma unroll
    for (int n = 0; n < FN; ++n) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
            Pixel pixel = pixel_of(p0 + p1 + n * 8 + 2 * t + e, CONV_ARGS);
            if (!pixel.exists) continue;
#pragma unroll
            for (int m = 0; m < FM * 2; ++m) {
                int o = o0 + o1 + m * 8 + g;
                if (o >= O) continue;
                float sum = sums[m / 2][n][m % 2 * 2 + e];
                if (HALF) sum = sum * x_largest * nonzero(w_max[group * O + o]);
                store(sum, pixel, group * O + o, split, splits, y, CONV_ARGS, FINISH_ARGS);
            }
        }
    }
}

#define TENSOR_PARAMS                                                                         \
    In<unsigned> x, In<unsigned> w, Out<float> y, int splits, In<float> x_max,                \
        In<float> w_max, int CW, CONV_PARAMS, FINISH_PARAMS
#define TENSOR_ARGS x, w, y, splits, x_max, w_max, CW, CONV_ARGS, FINISH_ARGS

KERNEL void conv_tf32_128(TENSOR_PARAMS) { conv_tensor<false, 128, 128>(TENSOR_ARGS); }
KERNEL void conv_tf32_64(TENSOR_PARAMS) { conv_tensor<false, 64, 128>(TENSOR_ARGS); }
KERNEL void conv_tf32_32(TENSOR_PARAMS) { conv_tensor<false, 32, 128>(TENSOR_ARGS); }
KERNEL void conv_f16_128(TENSOR_PARAMS) { conv_tensor<true, 128, 128>(TENSOR_ARGS); }
KERNEL void conv_f16_64(TENSOR_PARAMS) { conv_tensor<true, 64, 128>(TENSOR_ARGS); }
KERNEL void conv_f16_32(TENSOR_PARAMS) { conv_tensor<true, 32, 128>(TENSOR_ARGS); }
