// filtered_lrelu: bias, up, leaky ReLU, down, a tile of the output of one plane in each block.  The
// upsampled image, up² times the size of x, exists only in shared memory, a tile at a time
// (StyleGAN3, App. D).
//
// What the backward pass needs of it are the slopes, 2 bits a sample: negative? clamped?  16 samples
// share a word, the lower half of which answers the first question and the upper half the other.
// codes [planes, MH, words].  mode 0: none; 1: written; 2: read, and then the slopes multiply,
// whatever the sign of the samples: a linear operation, the transpose of which is this kernel
// again, with filters and rates exchanged.

#define FILTERED_PARAMS \
    In<real> x, In<real> bias, In<real> fux, In<real> fuy, In<real> fdx, In<real> fdy, \
        Out<unsigned> codes_out, In<unsigned> codes_in, Out<real> y, int planes, int channels, \
        int H, int W, int MH, int MW, int OH, int OW, int ux, int uy, int dx, int dy, int x0, \
        int y0, int ax, int ay, int utx, int uty, int dtx, int dty, int tile_w, int tile_h, \
        int words, int mode, real gain, real slope, real clamp
#define FILTERED_ARGS \
    x, bias, fux, fuy, fdx, fdy, codes_out, codes_in, y, planes, channels, H, W, MH, MW, OH, OW, \
        ux, uy, dx, dy, x0, y0, ax, ay, utx, uty, dtx, dty, tile_w, tile_h, words, mode, gain, \
        slope, clamp

// A sample of the upsampled image, bent; its code is read or written.  All lanes of a warp take part,
// 16 neighbours with the 16 samples of a word; `there`: whether this one's sample exists, `own`:
// whether this tile writes its code.
DEVICE real bend(real v, bool there, bool own, long long row, int j, Out<unsigned> codes_out,
                 In<unsigned> codes_in, int words, int mode, real gain, real slope, real clamp) {
    long long word = row * words + j / 16;
    if (mode == 2) {
        unsigned code = there ? codes_in[word] >> (j % 16) : 0;
        return v * (code >> 16 & 1 ? real(0) : code & 1 ? gain * slope : gain);
    }
    bool negative = v < 0;
    v *= negative ? gain * slope : gain;
    bool clamped = clamp >= 0 && fabs(v) > clamp;
    if (clamped) v = v > 0 ? clamp : -clamp;
    if (mode == 1) {
        unsigned low = __ballot_sync(0xffffffffu, there && negative) >> (threadIdx.x & 16);
        unsigned high = __ballot_sync(0xffffffffu, there && clamped) >> (threadIdx.x & 16);
        if (own && j % 16 == 0) codes_out[word] = (low & 0xffff) | high << 16;
    }
    return v;
}

// Any filters and rates.  fux [utx] and fuy [uty], or fuy null and fux [uty, utx]; likewise fdx and
// fdy.  ax, ay: padding of the upsampled image before the filter down, 0 in modes 0 and 1.
KERNEL void filtered_lrelu(FILTERED_PARAMS) {
    Shared<real> memory = dynamic_shared();
    int left = blockIdx.x * tile_w, top = blockIdx.y * tile_h;
    int mw = reach(tile_w, dx, dtx, 1), mh = reach(tile_h, dy, dty, 1);
    int iw = reach(mw, 1, utx, ux), ih = reach(mh, 1, uty, uy);
    int m_left = left * dx - ax, m_top = top * dy - ay;  // of the tile, in the upsampled image
    int j0 = sample_from(m_left - x0, ux), i0 = sample_from(m_top - y0, uy);
    Shared<real> middle = memory, tile = middle + mh * mw, across = tile + ih * iw;
    Shared<real> down = tile;  // once the tile of x is used up

    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        // 1. x and its bias; outside there are zeros, without bias.
        real shift = bias ? bias[plane % channels] : real(0);
        load_tile(x, (long long)plane * H * W, tile, iw, i0, j0, ih, iw, H, W, shift);
        __syncthreads();

        // 2. Up along the rows.
        if (fuy) {
            for (int e = threadIdx.x; e < ih * mw; e += THREADS) {
                int p = m_left + e % mw - x0, k = next_sample(p, ux);
                int at = e / mw * iw + (p + k) / ux - j0;
                real sum = 0;
                for (; k < utx; k += ux) sum += fux[k] * tile[at++];
                across[e] = sum;
            }
            __syncthreads();
        }

        // 3. Up along the columns (or both at once), and the activation.  All lanes take each turn.
        int wide = (mw + 15) / 16 * 16;
        int own_w = left + tile_w < OW ? tile_w * dx : mw;  // tiles overlap; each word belongs
        int own_h = top + tile_h < OH ? tile_h * dy : mh;   // to the first that has it
        for (int first = 0; first < mh * wide; first += THREADS) {
            int e = first + threadIdx.x, r = e / wide, s = e % wide;
            int i = m_top + r, j = m_left + s;
            bool mine = r < mh && s < mw, there = mine && i >= 0 && i < MH && j >= 0 && j < MW;
            real v = 0;
            if (there) {
                int p = i - y0, k = next_sample(p, uy), row = (p + k) / uy - i0;
                if (fuy) {
                    for (; k < uty; k += uy) v += fuy[k] * across[row++ * mw + s];
                } else {
                    int q = j - x0, l0 = next_sample(q, ux), column = (q + l0) / ux - j0;
                    for (; k < uty; k += uy, ++row) {
                        for (int l = l0, at = row * iw + column; l < utx; l += ux) {
                            v += fux[k * utx + l] * tile[at++];
                        }
                    }
                }
            }
            v = bend(v, there, there && s < own_w && r < own_h, (long long)plane * MH + i, j,
                     codes_out, codes_in, words, mode, gain, slope, clamp);
            if (mine) middle[r * mw + s] = v;
        }
        __syncthreads();

        // 4. Down along the rows.
        if (fdy) {
            for (int e = threadIdx.x; e < mh * tile_w; e += THREADS) {
                int at = e / tile_w * mw + e % tile_w * dx;
                real sum = 0;
                for (int k = 0; k < dtx; ++k) sum += fdx[k] * middle[at + k];
                down[e] = sum;
            }
            __syncthreads();
        }

        // 5. Down along the columns (or both at once).
        for (int e = threadIdx.x; e < tile_h * tile_w; e += THREADS) {
            int i = top + e / tile_w, j = left + e % tile_w, row = e / tile_w * dy;
            if (i >= OH || j >= OW) continue;
            real sum = 0;
            for (int k = 0; k < dty; ++k) {
                if (fdy) {
                    sum += fdy[k] * down[(row + k) * tile_w + e % tile_w];
                } else {
                    for (int l = 0; l < dtx; ++l) {
                        sum += fdx[k * dtx + l] * middle[(row + k) * mw + e % tile_w * dx + l];
                    }
                }
            }
            y[((long long)plane * OH + i) * OW + j] = sum;
        }
        __syncthreads();
    }
}

// The same five steps for separable filters and rates that the compiler knows: a tile of TW × TH outputs.
template <int U, int D, int UT, int DT, int TW, int TH> struct Tile {
    static constexpr int R = 4 * U;  // samples of the upsampled image that a thread makes at once
    static constexpr int mw = (row_length<1, D, DT>(TW) + 15) / 16 * 16;
    static constexpr int mh = (reach(TH, D, DT, 1) + R - 1) / R * R;
    static constexpr int iw = row_length<U, 1, UT>(mw), ih = reach(mh, 1, UT, U);
    static constexpr int m_pitch = pitch_of(mw), i_pitch = pitch_of(iw), o_pitch = pitch_of(TW);
    static constexpr int before = ih * (i_pitch + m_pitch), after = mh * o_pitch;
    static constexpr int numbers = mh * m_pitch + (before > after ? before : after);
};

template <int U, int D, int UT, int DT, int TW, int TH>
DEVICE void filtered_fixed(FILTERED_PARAMS) {
    using Of = Tile<U, D, UT, DT, TW, TH>;
    Shared<real> middle = dynamic_shared(), tile = middle + Of::mh * Of::m_pitch;
    Shared<real> across = tile + Of::ih * Of::i_pitch, down = tile;
    int left = blockIdx.x * TW, top = blockIdx.y * TH, m_left = left * D - ax, m_top = top * D - ay;
    int p = m_left - x0, q = m_top - y0;
    int own_w = left + TW < OW ? TW * D : Of::mw, own_h = top + TH < OH ? TH * D : Of::mh;
    for (int plane = blockIdx.z; plane < planes; plane += gridDim.z) {
        real shift = bias ? bias[plane % channels] : real(0);
        load_known_tile<Of::ih, Of::iw>(x, (long long)plane * H * W, tile, Of::i_pitch,
                                        sample_from(q, U), sample_from(p, U), H, W, shift);
        __syncthreads();
        at_phase<U>(next_sample(p, U), [&](auto phase) {
            along_rows<U, 1, UT, phase.s>(fux, tile, Of::i_pitch, across, Of::m_pitch, Of::ih,
                                          Of::mw);
        });
        __syncthreads();
        at_phase<U>(next_sample(q, U), [&](auto phase) {
            along_columns<U, 1, UT, phase.s, Of::R>(
                fuy, across, Of::m_pitch, Of::mw, Of::mh / Of::R,
                [&](bool mine, int row, int s, real* sums) {
                    int j = m_left + s;
                    bool column = mine && j >= 0 && j < MW;
#pragma unroll
                    for (int k = 0; k < Of::R; ++k) {
                        int r = row + k, i = m_top + r;
                        bool there = column && i >= 0 && i < MH;
                        real v = bend(there ? sums[k] : real(0), there,
                                      there && s < own_w && r < own_h, (long long)plane * MH + i,
                                      j, codes_out, codes_in, words, mode, gain, slope, clamp);
                        if (mine) middle[r * Of::m_pitch + s] = v;
                    }
                });
        });
        __syncthreads();
        along_rows<1, D, DT, 0>(fdx, middle, Of::m_pitch, down, Of::o_pitch, Of::mh, TW);
        __syncthreads();
        along_columns<1, D, DT, 0, 4>(
            fdy, down, Of::o_pitch, TW, TH / 4, [&](bool mine, int row, int column, real* sums) {
                if (!mine || left + column >= OW) return;
#pragma unroll
                for (int r = 0; r < 4; ++r) {
                    int i = top + row + r;
                    if (i < OH) y[((long long)plane * OH + i) * OW + left + column] = sums[r];
                }
            });
        __syncthreads();
    }
}

// Those of StyleGAN3's layers, and of their backward pass.
KERNEL_OF(256, 4) void filtered_lrelu_2_2(FILTERED_PARAMS) {
    filtered_fixed<2, 2, 12, 12, 32, 32>(FILTERED_ARGS);
}
KERNEL_OF(256, 4) void filtered_lrelu_4_2(FILTERED_PARAMS) {
    filtered_fixed<4, 2, 24, 12, 32, 32>(FILTERED_ARGS);
}
KERNEL void filtered_lrelu_2_4(FILTERED_PARAMS) {
    filtered_fixed<2, 4, 12, 24, 16, 16>(FILTERED_ARGS);
}
