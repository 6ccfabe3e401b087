// Filters along one axis of a tile in shared memory.  Rates and taps are known when this is compiled,
// so loops unroll, and which tap meets which sample is settled before anything runs.

constexpr int THREADS = 256;

// How many samples so many outputs read.
DEVICE constexpr int reach(int outputs, int step, int taps, int up) {
    return ((outputs - 1) * step + taps - 1) / up + 1;
}

// Rows of n numbers are kept an odd number of fours apart: eight lanes that read fours of eight
// rows then meet all banks.
DEVICE constexpr int pitch_of(int n) { return ((n + 3) / 4 | 1) * 4; }

// The numbers of a row from which `along_rows` makes so many outputs: whole fours.
template <int U, int D, int T> DEVICE constexpr int row_length(int outputs) {
    return (outputs / (4 * U) - 1) * 4 * D + (reach(4 * U, D, T, U) + 3) / 4 * 4;
}

// The sums of R outputs, from the first sample that the first of them meets, by its tap S, on.
template <int U, int D, int T, int S, int R>
DEVICE void filter(const real* taps, const real* samples, real* sums) {
#pragma unroll
    for (int r = 0; r < R; ++r) {
        const int k0 = ((S - r * D) % U + U) % U, first = (r * D + k0 - S) / U;
        real sum = 0;
#pragma unroll
        for (int k = k0; k < T; k += U) sum += taps[k] * samples[first + (k - k0) / U];
        sums[r] = sum;
    }
}

// Each thread: 4 · U outputs side by side, which begin at a sample whose place is a multiple of 4.
// Neighbouring threads take rows below each other.
template <int U, int D, int T, int S>
DEVICE void along_rows(In<real> f, Shared<real> from, int from_pitch, Shared<real> into,
                       int into_pitch, int rows, int outputs) {
    constexpr int R = 4 * U, FOURS = (reach(R, D, T, U) + 3) / 4;
    real taps[T], samples[4 * FOURS], sums[R];
#pragma unroll
    for (int k = 0; k < T; ++k) taps[k] = f[k];
    for (int e = threadIdx.x; e < rows * (outputs / R); e += THREADS) {
        int row = e % rows, group = e / rows;
#pragma unroll
        for (int q = 0; q < FOURS; ++q) {
            load_some<4>(from, row * from_pitch + group * 4 * D + 4 * q, samples + 4 * q);
        }
        filter<U, D, T, S, R>(taps, samples, sums);
#pragma unroll
        for (int q = 0; q < U; ++q) {
            store_some<4>(into, row * into_pitch + group * R + 4 * q, sums + 4 * q);
        }
    }
}

// Each thread: R outputs below each other, of which `use` is told.  Neighbouring threads take columns
// beside each other.  All threads take all turns, so that `use` can have them meet; `mine` says
// whether there is something to do.
template <int U, int D, int T, int S, int R, class Use>
DEVICE void along_columns(In<real> f, Shared<real> from, int pitch, int columns, int strips,
                          Use use) {
    constexpr int SAMPLES = reach(R, D, T, U);
    real taps[T], samples[SAMPLES], sums[R] = {};
#pragma unroll
    for (int k = 0; k < T; ++k) taps[k] = f[k];
    for (int first = 0; first < strips * columns; first += THREADS) {
        int e = first + threadIdx.x, strip = e / columns, column = e % columns;
        bool mine = strip < strips;
        if (mine) {
#pragma unroll
            for (int i = 0; i < SAMPLES; ++i) {
                samples[i] = from[(strip * R * D / U + i) * pitch + column];
            }
            filter<U, D, T, S, R>(taps, samples, sums);
        }
        use(mine, strip * R, column, sums);
    }
}

// Outputs are of U kinds, by the tap S that meets a sample first.  Of which kind the first of a tile is,
// is the same for all tiles: `pass` is compiled for each, and one is taken.
template <int S> struct Phase {
    static constexpr int s = S;
};
template <int U, class Pass> DEVICE void at_phase(int s, Pass pass) {
    static_assert(U == 1 || U == 2 || U == 4, "");
    if constexpr (U == 4) {
        if (s == 3) return pass(Phase<3>());
        if (s == 2) return pass(Phase<2>());
    }
    if constexpr (U > 1) {
        if (s == 1) return pass(Phase<1>());
    }
    pass(Phase<0>());
}

// The tile of x, rows × columns from (i0, j0) on, zeros outside: a warp a row.
DEVICE void load_tile(In<real> x, long long plane, Shared<real> tile, int pitch, int i0, int j0,
                      int rows, int columns, int H, int W, real shift) {
    for (int row = threadIdx.x / 32; row < rows; row += THREADS / 32) {
        int i = i0 + row;
        bool there = i >= 0 && i < H;
        long long start = plane + (long long)i * W;
        for (int column = threadIdx.x % 32; column < columns; column += 32) {
            int j = j0 + column;
            tile[row * pitch + column] =
                there && j >= 0 && j < W ? x[start + j] + shift : real(0);
        }
    }
}

// The same for a size that is known: many numbers are on their way at once.
template <int ROWS, int COLUMNS>
DEVICE void load_known_tile(In<real> x, long long plane, Shared<real> tile, int pitch, int i0,
                            int j0, int H, int W, real shift) {
    constexpr int WARPS = THREADS / 32, TURNS = (ROWS + WARPS - 1) / WARPS;
    constexpr int TIMES = (COLUMNS + 31) / 32, AT_ONCE = 24 / TIMES < TURNS ? 24 / TIMES : TURNS;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int first = warp; first < ROWS; first += AT_ONCE * WARPS) {
        real v[AT_ONCE][TIMES];
#pragma unroll
        for (int a = 0; a < AT_ONCE; ++a) {
            int row = first + a * WARPS, i = i0 + row;
            bool there = row < ROWS && i >= 0 && i < H;
            long long start = plane + (long long)i * W + j0 + lane;
#pragma unroll
            for (int b = 0; b < TIMES; ++b) {
                int column = lane + 32 * b, j = j0 + column;
                bool inside = there && column < COLUMNS && j >= 0 && j < W;
                v[a][b] = inside ? x[start + 32 * b] + shift : real(0);
            }
        }
#pragma unroll
        for (int a = 0; a < AT_ONCE; ++a) {
#pragma unroll
            for (int b = 0; b < TIMES; ++b) {
                int row = first + a * WARPS, column = lane + 32 * b;
                if (row < ROWS && column < COLUMNS) tile[row * pitch + column] = v[a][b];
            }
        }
    }
}
