// CUDA on one core, to prove kernels without a GPU: the same .cu files, compiled by the host's C++
// compiler with this header in front.
//
// A grid is a loop over blocks.  The threads of a block are fibers: each runs until it must wait for
// others, at a barrier or in a shuffle.  So a run is the same each time, and what goes wrong is found
// instead of sometimes happening: an index outside an array, shared memory read before it was written
// or before what was sent there was awaited, several numbers read at once from an odd place, two
// threads that touch a number between the same two barriers when one of them writes (a race), two
// blocks that write to one place, a barrier or shuffle that some threads never reach; shared memory
// that tensor cores were not shown, or that changes while they read it.  The first such fault ends the
// launch, with its place.
#define EMULATED
#include <ucontext.h>

#include <algorithm>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using std::exp;
using std::expm1;
using std::fabs;
using std::log1p;
using std::tanh;

struct dim3 {
    unsigned x, y, z;
};

namespace emulator {

struct Access {  // of global memory, as a trace records it
    int32_t thread, turn, array, written;
    int64_t index;
};

struct Report {  // what a launch did
    int64_t global_reads, global_writes, shared_reads, shared_writes, barriers;
    int64_t reads_of[64];  // by the argument's position
    int64_t traced, room;
    Access* trace;  // of block (0, 0, 0), if there is room
};

enum Waiting { NOTHING, BLOCK, WARP, FINISHED };

struct Thread {
    ucontext_t context;
    Waiting waiting;
    dim3 index;
    int turn;  // how many accesses of global memory it has made
};

constexpr int STACK = 1 << 16, MOST = 1024;
inline std::vector<Thread> threads;
inline std::vector<char> stacks;
inline ucontext_t scheduler;
inline int current, epoch, live;
inline std::string fault;
inline Report* report;
inline uint64_t slots[MOST][6];  // what lanes show each other
inline dim3 block_index, block_size, grid_size;
inline std::vector<std::vector<char>> shared_arrays;
inline std::vector<int32_t> writers[64];  // of each array's numbers: the block, counted from 1
inline size_t dynamic_bytes;
inline void (*body)(void*);
inline void* body_argument;

inline void leave() { swapcontext(&threads[current].context, &scheduler); }

[[noreturn]] inline void fail(const std::string& what) {
    char place[96];
    snprintf(place, sizeof place, " (block %u, %u, %u, thread %d)", block_index.x, block_index.y,
             block_index.z, current);
    if (fault.empty()) fault = what + place;
    for (;;) leave();
}

inline void wait(Waiting what) {
    threads[current].waiting = what;
    leave();
}

inline void note(int array, int64_t index, bool written) {
    ++(written ? report->global_writes : report->global_reads);
    if (!written) ++report->reads_of[array];
    int turn = threads[current].turn++;
    if (report->room && !block_index.x && !block_index.y && !block_index.z) {
        if (report->traced < report->room)
            report->trace[report->traced] = {current, turn, array, written, index};
        ++report->traced;
    }
}

template <class T> struct In {
    const T* memory = nullptr;
    int64_t size = 0, array = 0;
    explicit operator bool() const { return memory; }
    T operator[](int64_t i) const {
        if (i < 0 || i >= size)
            fail("array " + std::to_string(array) + " of " + std::to_string(size) +
                 " numbers read at " + std::to_string(i));
        note(array, i, false);
        return memory[i];
    }
};

template <class T> struct Out {
    T* memory = nullptr;
    int64_t size = 0, array = 0;
    struct Place {
        const Out& out;
        int64_t i;
        void operator=(T v) const {
            note(out.array, i, true);
            auto& seen = writers[out.array];
            if (seen.empty()) seen.resize(out.size);
            int32_t block = 1 + block_index.x + grid_size.x * (block_index.y + grid_size.y * block_index.z);
            if (seen[i] && seen[i] != block)
                fail("array " + std::to_string(out.array) + " written at " + std::to_string(i) +
                     " by another block, too");
            seen[i] = block;
            out.memory[i] = v;
        }
    };
    explicit operator bool() const { return memory; }
    Place operator[](int64_t i) const {
        if (i < 0 || i >= size)
            fail("array " + std::to_string(array) + " of " + std::to_string(size) +
                 " numbers written at " + std::to_string(i));
        return {*this, i};
    }
};

template <class T> struct Cell {  // a number of shared memory, and who touched it last, and when
    T value;
    int32_t writer, written, reader, read;  // epochs count from 1; a reader of −1: several
    int32_t products;                       // so many that are under way read it
};

inline int shown[MOST];  // the epoch until which tensor cores see what a thread has written

template <class T> struct Shared {
    Cell<T>* cells;
    int64_t size, start;  // start: how far into its memory it begins
    struct Place {
        Cell<T>& cell;
        int64_t i;
        operator T() const {
            if (!cell.written) fail("shared number " + std::to_string(i) + " read, never written");
            if (cell.written == epoch && cell.writer != current)
                fail("race: shared number " + std::to_string(i) + " read while thread " +
                     std::to_string(cell.writer) + " writes it");
            cell.reader = cell.read == epoch && cell.reader != current ? -1 : current;
            cell.read = epoch;
            ++report->shared_reads;
            return cell.value;
        }
        void claim() const {  // so that it can be written
            if (cell.written == epoch && cell.writer != current)
                fail("race: shared number " + std::to_string(i) + " written by thread " +
                     std::to_string(cell.writer) + ", too");
            if (cell.read == epoch && cell.reader != current)
                fail("race: shared number " + std::to_string(i) +
                     " written while another thread reads it");
            if (cell.products)
                fail("race: shared number " + std::to_string(i) + " written while a product reads it");
        }
        void operator=(T v) const {
            claim();
            if (shown[current] == epoch) --shown[current];
            cell.value = v, cell.writer = current, cell.written = epoch;
            ++report->shared_writes;
        }
    };
    Place operator[](int64_t i) const {
        if (i < 0 || i >= size)
            fail("shared array of " + std::to_string(size) + " numbers indexed at " +
                 std::to_string(i));
        return {cells[i], i};
    }
    Shared operator+(int64_t n) const {
        if (n < 0 || n > size) fail("shared array left behind");
        return {cells + n, size - n, start + n};
    }
};

inline std::vector<std::vector<std::function<void()>>> sent[MOST];  // by each thread, in groups

// Shared array number `which` of this block; new blocks find it unwritten.
template <class T> Shared<T> shared(size_t which, int64_t size) {
    if (shared_arrays.size() <= which) shared_arrays.resize(which + 1);
    auto& bytes = shared_arrays[which];
    if (bytes.size() != size * sizeof(Cell<T>)) bytes.assign(size * sizeof(Cell<T>), 0);
    return {reinterpret_cast<Cell<T>*>(bytes.data()), size, 0};
}

// What tensor cores add up while their warps go on, and what they read for it.
struct Product {
    float* sums;
    std::vector<float> added;
    std::vector<int32_t*> reads;
};
inline std::vector<std::vector<Product>> products[MOST];  // by each thread, in groups

inline void start() {
    body(body_argument);
    for (auto& group : products[current]) {
        if (!group.empty()) fail("a product that is never awaited");
    }
    threads[current].waiting = FINISHED;
    --live;
    for (;;) leave();
}

// All waiting threads of a warp, or of the block, go on.  Returns whether any did.
inline bool release() {
    int count = threads.size();
    bool any = false;
    for (int warp = 0; warp < count; warp += 32) {
        int lanes = 0;
        for (int i = warp; i < warp + 32 && i < count; ++i) lanes += threads[i].waiting == WARP;
        if (lanes == 32) {
            for (int i = warp; i < warp + 32; ++i) threads[i].waiting = NOTHING;
            any = true;
        }
    }
    if (any) return true;
    for (auto& thread : threads) {
        if (thread.waiting != BLOCK && thread.waiting != FINISHED) return false;
    }
    for (auto& thread : threads) {
        if (thread.waiting == BLOCK) thread.waiting = NOTHING, any = true;
    }
    if (any) ++epoch, ++report->barriers;
    return any;
}

inline void run_block(bool backwards) {
    int count = threads.size();
    for (auto& bytes : shared_arrays) std::fill(bytes.begin(), bytes.end(), 0);
    epoch = 1, live = count;
    for (int i = 0; i < count; ++i) {
        auto& thread = threads[i];
        thread.waiting = NOTHING, thread.turn = 0;
        sent[i].assign(1, {}), products[i].assign(1, {}), shown[i] = 0;
        thread.index = {i % block_size.x, i / block_size.x % block_size.y,
                        i / block_size.x / block_size.y};
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = &stacks[size_t(i) * STACK];
        thread.context.uc_stack.ss_size = STACK;
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, start, 0);
    }
    while (live && fault.empty()) {
        for (int k = 0; k < count && fault.empty(); ++k) {
            current = backwards ? count - 1 - k : k;
            if (threads[current].waiting == NOTHING)
                swapcontext(&scheduler, &threads[current].context);
        }
        if (live && fault.empty() && !release()) {
            fault = "some threads wait at a barrier or in a shuffle that others never reach";
        }
    }
}

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* shape, size_t dynamic, int backwards,
                   void** arguments, Report* into) {
    struct Call {
        void (*kernel)(A...);
        void** arguments;
    } what{kernel, arguments};
    body_argument = &what;
    body = [](void* p) {
        auto* what = static_cast<Call*>(p);
        call(what->kernel, what->arguments, std::index_sequence_for<A...>());
    };
    report = into, dynamic_bytes = dynamic, fault.clear(), shared_arrays.clear();
    grid_size = {shape[0], shape[1], shape[2]}, block_size = {shape[3], shape[4], shape[5]};
    for (auto& seen : writers) seen.clear();
    threads.resize(size_t(shape[3]) * shape[4] * shape[5]);
    stacks.resize(threads.size() * STACK);
    for (unsigned z = 0; z < shape[2]; ++z)
        for (unsigned y = 0; y < shape[1]; ++y)
            for (unsigned x = 0; x < shape[0] && fault.empty(); ++x) {
                block_index = {x, y, z};
                run_block(backwards);
            }
    return fault.empty() ? nullptr : fault.c_str();
}

inline int lane() { return current % 32; }

template <class T> T from_lane(T v, int source) {
    std::memcpy(slots[current], &v, sizeof v);
    wait(WARP);  // all lanes have shown theirs
    std::memcpy(&v, slots[current - lane() + source], sizeof v);
    wait(WARP);  // all have looked
    return v;
}

// N numbers at once are read and written only from multiples of N on.
template <int N> void aligned(int64_t place) {
    if (place % N)
        fail(std::to_string(N) + " numbers at once from place " + std::to_string(place) + " on");
}
template <int N, class Memory> void aligned(const Memory&, int64_t i) { aligned<N>(i); }
template <int N, class T> void aligned(const Shared<T>& memory, int64_t i) {
    aligned<N>(memory.start + i);
}

}  // namespace emulator

// ---- the names that kernels use -------------------------------------------------------------------

using emulator::In;
using emulator::Out;
using emulator::Shared;
#define KERNEL static
#define KERNEL_OF(threads, blocks) KERNEL
#define DEVICE static inline
#define CALLED static
#define SHARED(T, name, size) emulator::Shared<T> name = emulator::shared<T>(1 + __COUNTER__, size)
#define threadIdx emulator::threads[emulator::current].index
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size
#define EXPORT(name)                                                                          \
    extern "C" const char* run_##name(const unsigned* shape, size_t dynamic, int backwards,   \
                                      void** arguments, emulator::Report* report) {           \
        return emulator::launch(name, shape, dynamic, backwards, arguments, report);          \
    }

template <class T = real> emulator::Shared<T> dynamic_shared() {
    return emulator::shared<T>(0, emulator::dynamic_bytes / sizeof(T));
}

template <int N, class Memory> void load_some(Memory memory, int64_t i, real* v) {
    emulator::aligned<N>(memory, i);
    for (int k = 0; k < N; ++k) v[k] = memory[i + k];
}

template <int N, class Memory> void store_some(Memory memory, int64_t i, const real* v) {
    emulator::aligned<N>(memory, i);
    for (int k = 0; k < N; ++k) memory[i + k] = v[k];
}

// What is sent arrives when it is awaited, as late as a GPU could deliver it.
template <int N, class T>
void send(emulator::Shared<T> into, int at, emulator::In<T> from, int64_t i, bool there) {
    using namespace emulator;
    aligned<N>(into, at);
    if (there) aligned<N>(i);
    for (int k = 0; k < N; ++k) {
        into[at + k].claim();
        T v = there ? from[i + k] : T(0);
        sent[current].back().push_back([=] { into[at + k] = v; });
    }
}
static inline void close_sending() { emulator::sent[emulator::current].emplace_back(); }
template <int N> void await_all_but() {
    auto& groups = emulator::sent[emulator::current];  // the last is still open
    while (groups.size() > N + 1) {
        for (auto& arrives : groups.front()) arrives();
        groups.erase(groups.begin());
    }
}

static inline void __syncthreads() { emulator::wait(emulator::BLOCK); }

template <class T> T __shfl_down_sync(unsigned, T v, int step) {
    int source = emulator::lane() + step;
    return emulator::from_lane(v, source < 32 ? source : emulator::lane());
}

static inline unsigned __ballot_sync(unsigned, bool v) {
    using namespace emulator;
    slots[current][0] = v;
    wait(WARP);
    unsigned all = 0;
    for (int i = 0; i < 32; ++i) all |= unsigned(slots[current - lane() + i][0]) << i;
    wait(WARP);
    return all;
}

// ---- the twins of the PTX in conv2d_tensor.cu -----------------------------------------------------

static inline float as_float(uint32_t bits) {
    float v;
    std::memcpy(&v, &bits, 4);
    return v;
}

static inline uint32_t as_bits(float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    return bits;
}

// To 10 bits of mantissa, ties away from zero.
static inline unsigned round_tf32(float v) { return (as_bits(v) + 0x1000) & ~0x1fffu; }

// To the nearest f16, ties to even; what is too large becomes infinite.
static inline unsigned round_f16(float v) {
    unsigned sign = as_bits(v) >> 16 & 0x8000;
    float size = std::fabs(v);
    if (!(size < 65520.0f)) return sign | (size >= 65520.0f ? 0x7c00 : 0x7e00);
    int exponent = size < 6.103515625e-5f ? -14 : std::ilogb(size);  // below, steps stay 2⁻²⁴
    int steps = int(std::nearbyint(std::ldexp(size, 10 - exponent)));
    return sign | (steps + ((exponent + 14) << 10));
}

static inline float from_f16(unsigned bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                 : exponent    ? std::ldexp(1024.0f + mantissa, exponent - 25)
                               : std::ldexp(float(mantissa), -24);
    return bits & 0x8000 ? -size : size;
}

// Lane 8 i + r shows where row r of matrix i lies; each takes word t of row g of the four matrices.
static inline void load_matrices(unsigned* words, emulator::Shared<unsigned> memory, int at) {
    using namespace emulator;
    aligned<4>(memory, at);
    slots[current][0] = at;
    wait(WARP);
    for (int i = 0; i < 4; ++i) {
        words[i] = memory[slots[current - lane() + 8 * i + lane() / 4][0] + lane() % 4];
    }
    wait(WARP);
}

// The same, turned over: each takes number g of rows 2 t and 2 t + 1, of 8 rows of 8 f16.
static inline void load_turned_matrices(unsigned* words, emulator::Shared<unsigned> memory, int at) {
    using namespace emulator;
    aligned<4>(memory, at);
    slots[current][0] = at;
    wait(WARP);
    int g = lane() / 4, t = lane() % 4;
    for (int i = 0; i < 4; ++i) {
        words[i] = 0;
        for (int e = 0; e < 2; ++e) {
            unsigned pair = memory[slots[current - lane() + 8 * i + 2 * t + e][0] + g / 2];
            words[i] |= (pair >> 16 * (g % 2) & 0xffff) << 16 * e;
        }
    }
    wait(WARP);
}

// c += a · b for a warp: lanes show their words, then each adds up its four sums.
template <bool HALF> void mma(float* c, const unsigned* a, const unsigned* b) {
    using namespace emulator;
    uint64_t* mine = slots[current];
    for (int i = 0; i < 4; ++i) mine[i] = a[i];
    for (int i = 0; i < 2; ++i) mine[4 + i] = b[i];
    wait(WARP);
    int g = lane() / 4, t = lane() % 4, warp = current - lane();
    for (int e = 0; e < 4; ++e) {
        int row = g + e / 2 * 8, column = 2 * t + e % 2;
        for (int word = 0; word < 8; ++word) {
            // Row r, word k of a lies in lane (r % 8, k % 4); column n, word k of b in lane (n, k % 4).
            unsigned p = slots[warp + row % 8 * 4 + word % 4][row / 8 + word / 4 * 2];
            unsigned q = slots[warp + column * 4 + word % 4][4 + word / 4];
            if (HALF) {
                c[e] += from_f16(p & 0xffff) * from_f16(q & 0xffff);
                c[e] += from_f16(p >> 16) * from_f16(q >> 16);
            } else {
                c[e] += as_float(p) * as_float(q);
            }
        }
    }
    wait(WARP);
}

static inline void mma_tf32(float* c, const unsigned* a, const unsigned* b) { mma<false>(c, a, b); }
static inline void mma_f16(float* c, const unsigned* a, const unsigned* b) { mma<true>(c, a, b); }

// ---- products of a warpgroup --------------------------------------------------------------------

static inline void show_to_warpgroups() { emulator::shown[emulator::current] = emulator::epoch; }
static inline void open_products() {}
static inline void close_products() { emulator::products[emulator::current].emplace_back(); }

// The sums appear when they are awaited, as late as a GPU could have them; what they are made of may
// not change until then.
template <bool HALF, int TURNED = 0>
void begin_product(float* sums, emulator::Shared<unsigned> memory, int a, int b) {
    using namespace emulator;
    aligned<4>(memory, a), aligned<4>(memory, b);
    Product product{sums, std::vector<float>(64), {}};
    // What lies so many bytes on, in rows of 64: bits 4 and 5 of an address are changed by 7 and 8.
    auto word_at = [&](int tile, int64_t byte) -> unsigned {
        int64_t at = (memory.start + tile) * 4 + byte;
        auto place = memory[(at ^ (at >> 7 & 3) << 4) / 4 - memory.start];
        unsigned word = place;
        if (shown[place.cell.writer] < place.cell.written)
            fail("shared number " + std::to_string(place.i) + " not shown to tensor cores");
        ++place.cell.products;
        product.reads.push_back(&place.cell.products);
        return word;
    };
    auto words_of = [&](int tile, int row, unsigned* words) {
        for (int k = 0; k < 8; ++k) {
            words[k] = TURNED ? 0 : word_at(tile, row * 64 + k * 4);
            for (int e = 0; TURNED && e < 2; ++e) {  // numbers 2 k and 2 k + 1, below each other
                int64_t byte = row / 32 * TURNED * 4 + (2 * k + e) * 64 + row % 32 * 2;
                words[k] |= (word_at(tile, byte) >> row % 2 * 16 & 0xffff) << e * 16;
            }
        }
    };
    int g = lane() / 4, t = lane() % 4, first = current / 32 % 4 * 16;
    unsigned rows[2][8], column[8];
    words_of(a, first + g, rows[0]), words_of(a, first + g + 8, rows[1]);
    for (int n = 0; n < 32; ++n) {
        words_of(b, n / 2 * 8 + 2 * t + n % 2, column);
        for (int m = 0; m < 2; ++m) {
            float& sum = product.added[n / 2 * 4 + m * 2 + n % 2];
            for (int k = 0; k < 8; ++k) {
                if (HALF) {
                    sum += from_f16(rows[m][k] & 0xffff) * from_f16(column[k] & 0xffff);
                    sum += from_f16(rows[m][k] >> 16) * from_f16(column[k] >> 16);
                } else {
                    sum += as_float(rows[m][k]) * as_float(column[k]);
                }
            }
        }
    }
    products[current].back().push_back(std::move(product));
}

template <int N, int COUNT> void await_products_but(float*) {
    auto& groups = emulator::products[emulator::current];  // the last is still open
    while (groups.size() > N + 1) {
        for (auto& product : groups.front()) {
            for (int k = 0; k < COUNT; ++k) product.sums[k] += product.added[k];
            for (int32_t* reads : product.reads) --*reads;
        }
        groups.erase(groups.begin());
    }
}
