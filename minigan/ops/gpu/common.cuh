// What all kernels share.  `real` is float or double: a module is compiled for each.
//
// The files are CUDA C++ without any header, so that NVRTC compiles them wherever it is installed.
// Memory is named by these aliases instead of bare pointers: on a GPU they are bare pointers; where
// EMULATED is defined, emulator/cuda.h gives them bounds, and detects races.
#ifndef EMULATED
#define KERNEL extern "C" __global__
// Of so many threads a block, and registers for so many blocks a multiprocessor.
#define KERNEL_OF(threads, blocks) KERNEL __launch_bounds__(threads, blocks)
#define DEVICE __device__ __forceinline__
#define CALLED __device__ __noinline__
#define SHARED(T, name, size) __shared__ __align__(16) T name[size]  // of a block, known size
template <class T> using In = const T* __restrict__;  // global memory, read; may be null
template <class T> using Out = T* __restrict__;       // global memory, written; may be null
template <class T> using Shared = T*;
template <class T = real> DEVICE Shared<T> dynamic_shared() {  // of a block, size given at the launch
    extern __shared__ __align__(1024) unsigned char memory[];
    return reinterpret_cast<T*>(memory);
}
template <int N> struct __align__(sizeof(real) * N < 16 ? sizeof(real) * N : 16) Some {
    real v[N];  // that are read and written at once, from a multiple of N on
};
template <int N> DEVICE void load_some(const real* memory, long long i, real* v) {
    Some<N> some = *reinterpret_cast<const Some<N>*>(memory + i);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = some.v[k];
}
template <int N> DEVICE void store_some(real* memory, long long i, const real* v) {
    Some<N> some;
#pragma unroll
    for (int k = 0; k < N; ++k) some.v[k] = v[k];
    *reinterpret_cast<Some<N>*>(memory + i) = some;
}

DEVICE unsigned address(const void* memory) {  // as PTX counts shared memory
    return static_cast<unsigned>(__cvta_generic_to_shared(memory));
}
// N numbers, 4 to 16 bytes, on their way from global to shared memory, by no register; zeros if not
// `there`.  GPUs before compute capability 8.0 wait for them.
template <int N, class T>
DEVICE void send(T* into, int at, const T* from, long long i, bool there) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                 :: "r"(address(into + at)), "l"(from + i), "n"(N * sizeof(T)),
                    "r"(there ? int(N * sizeof(T)) : 0)
                 : "memory");
#else
    for (int k = 0; k < N; ++k) into[at + k] = there ? from[i + k] : T(0);
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

// ---- the end of a layer: clamp(gain · act(v · scale + noise + bias)) -----------------------------

enum Act { LINEAR, RELU, LRELU, TANH, SIGMOID, ELU, SELU, SOFTPLUS, SWISH };

DEVICE real sigmoid(real v) { return real(0.5) * (1 + tanh(real(0.5) * v)); }

// Seldom used and long: not copied to where it is called.
CALLED real curve(real v, int act) {
    switch (act) {
        case TANH: return tanh(v);
        case SIGMOID: return sigmoid(v);
        case ELU: return v > 0 ? v : expm1(v);
        case SELU:  // Klambauer et al. 2017, Eq. 2
            return real(1.0507009873554804934193349852946) *
                   (v > 0 ? v : real(1.6732632423543772848170429916717) * expm1(v));
        case SOFTPLUS: return (v > 0 ? v : real(0)) + log1p(exp(-fabs(v)));
        default: return v * sigmoid(v);  // SWISH
    }
}

DEVICE real activate(real v, int act, real alpha) {
    if (act > LRELU) return curve(v, act);
    return v > 0 || act == LINEAR ? v : act == RELU ? real(0) : alpha * v;
}

// scale [N, channels], noise [noises, pixels] with noises 1 or N, bias [channels]: each or null.
#define EPILOGUE_PARAMS \
    In<real> scale, In<real> noise, In<real> bias, int noises, int act, real alpha, real gain, \
        real clamp
#define EPILOGUE_ARGS scale, noise, bias, noises, act, alpha, gain, clamp

DEVICE real epilogue(real v, int n, int c, int channels, long long pixel, long long pixels,
                     EPILOGUE_PARAMS) {
    if (scale) v *= scale[n * channels + c];
    if (noise) v += noise[(noises > 1 ? n * pixels : 0) + pixel];
    if (bias) v += bias[c];
    v = activate(v, act, alpha) * gain;
    if (clamp >= 0) v = v > clamp ? clamp : v < -clamp ? -clamp : v;
    return v;
}

// ---- the sum of a warp ----------------------------------------------------------------------------

DEVICE real warp_sum(real v) {
    // Halves meet: after 5 steps lane 0 has the sum of all 32.
    for (int step = 16; step > 0; step /= 2) v += __shfl_down_sync(0xffffffffu, v, step);
    return v;
}

// ---- resampling: where an axis with zeros inserted has its samples --------------------------------

// The smallest k ≥ 0 for which position p + k holds a sample, when every `up`-th does.
DEVICE int next_sample(int p, int up) {
    int r = p % up;
    return r > 0 ? up - r : -r;
}

// Which sample is the first at or after position p: p / up, rounded up.
DEVICE int sample_from(int p, int up) { return (p + next_sample(p, up)) / up; }
