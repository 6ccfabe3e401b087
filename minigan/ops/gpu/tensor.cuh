// Tensor cores, and how their numbers come to them: 16 × 8 sums of 8 or 16 products each in one
// instruction of a warp.  They take rounded numbers (tf32: 10 bits of mantissa; f16: 10, and a narrow
// range) and add in float.  float only; `real` is float here.
//
// The instructions are written in PTX, which needs no header.  Which lane holds what is in the PTX
// manual, "Matrix fragments for mma.m16n8k8 / m16n8k16": with g = lane / 4, t = lane % 4, and a word
// of 32 bits holding one tf32 or two neighbouring f16,
//     a: rows g, g + 8 × words t, t + 4     b: column g × words t, t + 4     c: rows g, g + 8 × 2t, 2t + 1

#ifndef EMULATED
DEVICE unsigned round_tf32(float v) {
    unsigned bits = 0;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
#endif
    return bits;
}

DEVICE unsigned round_f16(float v) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
}

DEVICE void mma_tf32(float* c, const unsigned* a, const unsigned* b) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

DEVICE void mma_f16(float* c, const unsigned* a, const unsigned* b) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif __CUDA_ARCH__ >= 750  // the first tensor cores with this layout take half as many at once
    for (int half = 0; half < 2; ++half) {
        asm volatile(
            "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
            "{%0,%1,%2,%3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
    }
#endif
}

// Four matrices of 8 rows × 4 words.  Lane 8 i + r says where row r of matrix i lies, and gets word t of
// row g of each: what `mma` wants, in a quarter of the instructions.
DEVICE void load_matrices(unsigned* words, const unsigned* memory, int at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address(memory + at)));
}

// The same of matrices of 8 × 8 f16, turned over: lane 4 g + t gets numbers g of rows 2 t and 2 t + 1.
DEVICE void load_turned_matrices(unsigned* words, const unsigned* memory, int at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address(memory + at)));
}
#endif

// Compute capability 9.0 has larger tensor cores, which four warps, a warpgroup, order to work.  They take
// both factors from shared memory, go on while the warps do other things, and need code that is made
// for this chip alone (sm_90a); made for others, the functions below do nothing.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(EMULATED)
#define WARPGROUPS_ARE_THERE
#endif
#ifndef EMULATED
// What this thread has sent and awaited, they see after the next barrier.
DEVICE void show_to_warpgroups() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
DEVICE void open_products() {  // after the sums were touched
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
DEVICE void close_products() {  // what was begun since the last time is a group
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// All groups but the last N are done.  Until then products read shared memory, and after N = 0 their COUNT
// sums may be touched.
template <int N, int COUNT> DEVICE void await_products_but(float* sums) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
    if constexpr (N == 0) {
#pragma unroll
        for (int k = 0; k < COUNT; ++k) asm volatile("" : "+f"(sums[k])::"memory");
    }
#endif
}
// How they are told of a tile whose rows of 64 bytes lie as `place` has them, from a multiple of 512 bytes
// on (PTX manual, "Matrix descriptor"): its address; bytes from a slice to the next, where numbers of
// 32 rows lie beside each other; 512 bytes from 8 rows to the next 8; the kind of swizzling, 2.
DEVICE unsigned long long tile_at(const unsigned* memory, int slice) {
    return 2ull << 62 | (512ull >> 4) << 32 | (unsigned long long)(slice >> 4) << 16 |
           (address(memory) >> 4 & 0x3fff);
}
#define SUMS \
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}"
#define FOUR(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define SIXTEEN(i) FOUR(i), FOUR(i + 4), FOUR(i + 8), FOUR(i + 12)
// Begin sums[64 × 128] += a · bᵀ of eight words of 64 rows and of 128 rows.  A warp has 16 rows of the sums,
// its lanes hold what they hold of `mma`'s c, for 8 columns after another.
// TURNED > 0: a and b lie turned over, in slices of 32 columns, so many words from one to the next;
// only f16 can.
template <bool HALF, int TURNED = 0>
DEVICE void begin_product(float* sums, const unsigned* memory, int a, int b) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    if (HALF) {
        asm volatile("{.reg .pred add; setp.eq.u32 add, 0, 0; "
                     "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 " SUMS
                     ", %64, %65, add, 1, 1, %66, %66;}"
                     : SIXTEEN(0), SIXTEEN(16), SIXTEEN(32), SIXTEEN(48)
                     : "l"(tile_at(memory + a, 4 * TURNED)),
                       "l"(tile_at(memory + b, 4 * TURNED)), "n"(TURNED > 0));
    } else {
        asm volatile("{.reg .pred add; setp.eq.u32 add, 0, 0; "
                     "wgmma.mma_async.sync.aligned.m64n128k8.f32.tf32.tf32 " SUMS
                     ", %64, %65, add, 1, 1;}"
                     : SIXTEEN(0), SIXTEEN(16), SIXTEEN(32), SIXTEEN(48)
                     : "l"(tile_at(memory + a, 0)), "l"(tile_at(memory + b, 0)));
    }
#endif
}
#endif

// Where four words of a row of 16 lie in a tile.  The fours of a row change places with each other, from
// row to row differently: so the same fours of eight rows, which `load_matrices` reads at once, lie in
// different banks.
constexpr int WORDS = 16;
DEVICE int place(int row, int four) { return row * WORDS + (four ^ row / 2 % 4) * 4; }

// What the lanes of a warp hold of a [16 M rows] and b [8 N rows], 8 words of each.
template <bool HALF, int M, int N> struct Fragments {
    unsigned a[M][4], b[N / 2][4];
};

// Words 8 k … 8 k + 7; of b from row `skip` on.
template <bool HALF, int M, int N>
DEVICE void load(Fragments<HALF, M, N>& into, Shared<unsigned> a, Shared<unsigned> b, int skip,
                 int k) {
    int lane = threadIdx.x % 32, row = lane % 8 + lane / 16 * 8;
#pragma unroll
    for (int m = 0; m < M; ++m) {
        load_matrices(into.a[m], a, m * 16 * WORDS + place(lane % 16, 2 * k + lane / 16));
    }
#pragma unroll
    for (int n = 0; n < N / 2; ++n) {
        load_matrices(into.b[n], b, n * 16 * WORDS + place(skip + row, 2 * k + lane / 8 % 2));
    }
}

// sums += a · bᵀ.  After the m-th of M shares comes `meanwhile(m)`: work for other parts of the chip.
template <bool HALF, int M, int N, class Meanwhile>
DEVICE void multiply(const Fragments<HALF, M, N>& of, float (*sums)[N][4], Meanwhile meanwhile) {
#pragma unroll
    for (int m = 0; m < M; ++m) {
#pragma unroll
        for (int n = 0; n < N; ++n) {
            if (HALF) mma_f16(sums[m][n], of.a[m], of.b[n / 2] + n % 2 * 2);
            else mma_tf32(sums[m][n], of.a[m], of.b[n / 2] + n % 2 * 2);
        }
        meanwhile(m);
    }
}

// Before they are rounded to f16, numbers are divided by the largest magnitude among them, and the sums
// multiplied by it: what lies in [−1, 1] does not overflow.  (StyleGAN2-ADA scales its weights and
// styles beforehand for the same reason.)
DEVICE float nonzero(float largest) { return largest > 1e-30f ? largest : 1; }

DEVICE float warp_largest(float v) {
    for (int step = 16; step > 0; step /= 2) {
        float other = __shfl_down_sync(0xffffffffu, v, step);
        v = other > v ? other : v;
    }
    return v;
}
