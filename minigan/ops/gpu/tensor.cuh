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

DEVICE unsigned address(const unsigned* memory) {  // as PTX counts shared memory
    return static_cast<unsigned>(__cvta_generic_to_shared(memory));
}

// Four matrices of 8 rows × 4 words.  Lane 8 i + r says where row r of matrix i lies, and gets word t of
// row g of each: what `mma` wants, in a quarter of the instructions.
DEVICE void load_matrices(unsigned* words, const unsigned* memory, int at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address(memory + at)));
}

// Four words on their way from global to shared memory, by no register; zeros if not `there`.
DEVICE void send_four(unsigned* into, int at, const unsigned* from, long long i, bool there) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(address(into + at)), "l"(from + (there ? i : 0)), "r"(there ? 16 : 0)
                 : "memory");
#else
    for (int k = 0; k < 4; ++k) into[at + k] = there ? from[i + k] : 0;
#endif
}
DEVICE void close_sending() {  // what this thread has sent since the last time is a group
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int N> DEVICE void await_all_but() {  // the last N groups of this thread
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}
#endif

// Rows of 16 words, kept 20 apart: eight rows then fall into different banks.
constexpr int WORDS = 16, PITCH = WORDS + 4;

// For a warp, sums of a [16 M, words] times b [8 N, words], transposed.
template <bool HALF, int M, int N>
DEVICE void multiply(Shared<unsigned> a, Shared<unsigned> b, float (*sums)[N][4]) {
    int lane = threadIdx.x % 32;
    int of_a = lane % 16 * PITCH + lane / 16 * 4;
    int of_b = (lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * 4;
#pragma unroll
    for (int k = 0; k < WORDS; k += 8) {
        unsigned fa[M][4], fb[N / 2][4];
#pragma unroll
        for (int m = 0; m < M; ++m) load_matrices(fa[m], a, of_a + m * 16 * PITCH + k);
#pragma unroll
        for (int n = 0; n < N / 2; ++n) load_matrices(fb[n], b, of_b + n * 16 * PITCH + k);
#pragma unroll
        for (int m = 0; m < M; ++m) {
#pragma unroll
            for (int n = 0; n < N; ++n) {
                if (HALF) mma_f16(sums[m][n], fa[m], fb[n / 2] + n % 2 * 2);
                else mma_tf32(sums[m][n], fa[m], fb[n / 2] + n % 2 * 2);
            }
        }
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
