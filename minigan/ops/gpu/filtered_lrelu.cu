// filtered_lrelu: bias, up, leaky ReLU, down, a tile of the output of one plane in each block.  The
// upsampled image, up² times the size of x, exists only in shared memory, a tile at a time
// (StyleGAN3, App. D).
//
// What the backward pass needs of it are the slopes: 2 bits a sample, 1 = negative, 2 = clamped, 16
// samples a word.  codes [planes, MH, words].  mode 0: none; 1: written; 2: read, and then the
// slopes multiply, whatever the sign of the samples: a linear operation, the transpose of which
// is this kernel again, with filters and rates exchanged.

constexpr int THREADS = 256;

#define FILTERED_PARAMS \
    int planes, int channels, int H, int W, int MH, int MW, int OH, int OW, int ux, int uy, \
        int dx, int dy, int x0, int y0, int ax, int ay, int utx, int uty, int dtx, int dty, \
        int tile_w, int tile_h, int words, int mode

// The size of what a tile reads, of the upsampled image and of x.
DEVICE int reach(int outputs, int step, int taps, int up) {
    return ((outputs - 1) * step + taps - 1) / up + 1;
}

// The code of a sample that came as v, and v with its slope taken.
DEVICE unsigned bend(real& v, real gain, real slope, real clamp) {
    unsigned code = v < 0 ? 1 : 0;
    v *= code ? gain * slope : gain;
    if (clamp >= 0 && fabs(v) > clamp) {
        v = v > 0 ? clamp : -clamp;
        code |= 2;
    }
    return code;
}

// fux [utx] and fuy [uty], or fuy null and fux [uty, utx]; likewise fdx and fdy.  ax, ay: padding of
// the upsampled image before the filter down, 0 in modes 0 and 1.
KERNEL void filtered_lrelu(In<real> x, In<real> bias, In<real> fux, In<real> fuy, In<real> fdx,
                           In<real> fdy, Out<unsigned> codes_out, In<unsigned> codes_in,
                           Out<real> y, FILTERED_PARAMS, real gain, real slope, real clamp) {
    Shared<real> memory = dynamic_shared();
    int plane = blockIdx.x, left = blockIdx.y * tile_w, top = blockIdx.z * tile_h;
    int mw = reach(tile_w, dx, dtx, 1), mh = reach(tile_h, dy, dty, 1);
    int iw = reach(mw, 1, utx, ux), ih = reach(mh, 1, uty, uy);
    int m_left = left * dx - ax, m_top = top * dy - ay;  // of the tile, in the upsampled image
    int j0 = sample_from(m_left - x0, ux), i0 = sample_from(m_top - y0, uy);
    Shared<real> middle = memory, tile = middle + mh * mw, across = tile + ih * iw;
    Shared<real> down = tile;  // once the tile of x is used up

    // 1. x and its bias; outside there are zeros, without bias.
    real shift = bias ? bias[plane % channels] : real(0);
    for (int e = threadIdx.x; e < ih * iw; e += THREADS) {
        int i = i0 + e / iw, j = j0 + e % iw;
        bool inside = i >= 0 && i < H && j >= 0 && j < W;
        tile[e] = inside ? x[((long long)plane * H + i) * W + j] + shift : real(0);
    }
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

    // 3. Up along the columns (or both at once), and the activation.  Sixteen lanes to a word: they
    // gather their codes by shuffles, so all lanes take each turn.
    int wide = (mw + 15) / 16 * 16;
    int own_w = left + tile_w < OW ? tile_w * dx : mw, own_h = top + tile_h < OH ? tile_h * dy : mh;
    for (int first = 0; first < mh * wide; first += THREADS) {
        int e = first + threadIdx.x, r = e / wide, s = e % wide;
        int i = m_top + r, j = m_left + s;
        unsigned code = 0;
        bool mine = r < mh && s < mw;
        if (mine) {
            real v = 0;
            if (i >= 0 && i < MH && j >= 0 && j < MW) {
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
                long long word = ((long long)plane * MH + i) * words + j / 16;
                if (mode == 2) {
                    code = codes_in[word] >> (2 * (j % 16)) & 3;
                    v *= code & 2 ? real(0) : code & 1 ? gain * slope : gain;
                } else {
                    code = bend(v, gain, slope, clamp);
                }
            } else {
                mine = false;
            }
            middle[r * mw + s] = v;
        }
        if (mode == 1) {
            unsigned packed = mine ? code << (2 * (s % 16)) : 0;
            for (int step = 8; step > 0; step /= 2) {
                packed |= __shfl_xor_sync(0xffffffffu, packed, step);
            }
            // Tiles overlap; each word belongs to the first tile that has it.
            if (mine && s % 16 == 0 && s < own_w && r < own_h) {
                codes_out[((long long)plane * MH + i) * words + j / 16] = packed;
            }
        }
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
}
