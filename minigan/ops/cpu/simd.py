"""Vectors and register tiles for Numba: what LLVM's auto-vectoriser cannot be talked into.

A convolution runs at the machine's speed only if a block of sums stays in registers while the loop
over its terms runs.  Numba has no word for that; these few do.  `Vector` is one SIMD register,
LANES numbers side by side; `Tile` is ROWS × VECTORS of them, a small matrix held in registers.
All work on flat, contiguous arrays, without bounds checks: the callers' shapes are checked before.

Multiplications and additions carry LLVM's `contract` flag, so they become fused multiply-adds
where the processor has them, and still work where it has not.
"""

import operator

import llvmlite.binding as llvm
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils, config

_IR = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
_FAST = ("contract", "nsz")


def _vector_bytes():
    """Bytes in a register of the processor that Numba compiles for."""
    if config.CPU_NAME == "generic":
        return 16
    if config.CPU_FEATURES is not None:
        features = set(config.CPU_FEATURES.split(","))
        return 64 if "+avx512f" in features else 32 if "+avx" in features else 16
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


BYTES = _vector_bytes()
LANES = BYTES // 4  # float32 numbers in a vector; float64 has half as many
# 32 registers hold 8 × 2 sums with their operands; 16 registers hold 4 × 2.  Powers of two: blocks
# of LANES channels, and of tiles of pixels, are cut into ROWS.
ROWS, VECTORS = (8, 2) if BYTES == 64 else (4, 2)


class VectorType(types.Type):
    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype} x {BYTES * 8 // dtype.bitwidth})")


class TileType(types.Type):
    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Tile({dtype}, {ROWS} x {VECTORS} x {BYTES})")


def _vector(dtype):
    return ir.VectorType(_IR[dtype], BYTES * 8 // dtype.bitwidth)


@extending.register_model(VectorType)
class _VectorModel(extending.models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, _vector(fe_type.dtype))


@extending.register_model(TileType)
class _TileModel(extending.models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, ir.ArrayType(_vector(fe_type.dtype), ROWS * VECTORS))


def _address(context, builder, array_type, array, index, as_vector=True):
    """Pointer to array[index]."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    pointer = builder.gep(data, [index])
    return (
        builder.bitcast(pointer, _vector(array_type.dtype).as_pointer()) if as_vector else pointer
    )


def _splat(builder, scalar, vector):
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def _multiply_add(builder, a, b, c):
    return builder.fadd(builder.fmul(a, b, flags=_FAST), c, flags=_FAST)


@extending.intrinsic
def never_inline(typing_context):
    """Keep the function that says this apart: copies of it would take long to compile."""

    def code(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), code


@extending.intrinsic
def runtime(typing_context, i):
    """The whole number i, not as a constant: Numba compiles a function anew for each of those."""
    return types.intp(types.intp), lambda context, builder, signature, args: args[0]


@extending.intrinsic
def load(typing_context, a, i):
    """The vector a[i : i + LANES]."""

    def code(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1])
        return builder.load(pointer, align=a.dtype.bitwidth // 8)

    return VectorType(a.dtype)(a, types.intp), code


@extending.intrinsic
def store(typing_context, a, i, v):
    """a[i : i + LANES] = v."""

    def code(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], pointer, align=a.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(a, types.intp, v), code


@extending.intrinsic
def stream(typing_context, a, i, v):
    """`store` that does not go through the cache; a[i] begins a vector's worth of memory."""

    def code(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1])
        done = builder.store(args[2], pointer, align=BYTES)
        done.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(a, types.intp, v), code


@extending.intrinsic
def prefetch(typing_context, a, i):
    """Have the memory of a[i] brought to the cache; a[i] need not exist."""

    def code(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1], as_vector=False)
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, word(0), word(3), word(1)])  # to read, near, data
        return context.get_dummy_value()

    return types.void(a, types.intp), code


@extending.intrinsic
def splat(typing_context, a, i):
    """A vector of a[i], a[i], a[i], …"""

    def code(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], args[0], args[1], as_vector=False)
        return _splat(builder, builder.load(pointer), _vector(a.dtype))

    return VectorType(a.dtype)(a, types.intp), code


@extending.intrinsic
def zero(typing_context, a):
    """A vector of zeros, of numbers like those of the array a."""

    def code(context, builder, signature, args):
        return ir.Constant(_vector(a.dtype), None)

    return VectorType(a.dtype)(a), code


@extending.intrinsic
def fma(typing_context, a, b, c):
    """a·b + c, of vectors."""

    def code(context, builder, signature, args):
        return _multiply_add(builder, *args)

    return a(a, a, a), code


@extending.intrinsic
def zeros(typing_context, a):
    """A tile of zeros, for numbers like those of the array a."""
    tile = TileType(a.dtype)

    def code(context, builder, signature, args):
        return ir.Constant(context.get_value_type(tile), None)

    return tile(a), code


@extending.intrinsic
def rank1(typing_context, tile, a, i, step, b, j):
    """tile[m, :] += a[i + m·step] · b[j :], for each of its ROWS m: the one hot instruction."""

    def code(context, builder, signature, args):
        sums, a_array, index, stride, b_array, start = args
        vector = _vector(tile.dtype)
        lanes = ir.Constant(ir.IntType(64), vector.count)
        row = []
        for _ in range(VECTORS):
            pointer = _address(context, builder, signature.args[4], b_array, start)
            row.append(builder.load(pointer, align=tile.dtype.bitwidth // 8))
            start = builder.add(start, lanes)
        for m in range(ROWS):
            pointer = _address(context, builder, signature.args[1], a_array, index, False)
            factor = _splat(builder, builder.load(pointer), vector)
            for n in range(VECTORS):
                place = m * VECTORS + n
                old = builder.extract_value(sums, place)
                new = _multiply_add(builder, factor, row[n], old)
                sums = builder.insert_value(sums, new, place)
            index = builder.add(index, stride)
        return sums

    return tile(tile, a, types.intp, types.intp, b, types.intp), code


@extending.intrinsic
def store_tile(typing_context, tile, a, i, step):
    """a[i + m·step :] = tile[m, :], for each of its rows m."""

    def code(context, builder, signature, args):
        sums, array, index, stride = args
        vector = _vector(tile.dtype)
        for m in range(ROWS):
            for n in range(VECTORS):
                place = builder.add(index, ir.Constant(ir.IntType(64), n * vector.count))
                pointer = _address(context, builder, signature.args[1], array, place)
                value = builder.extract_value(sums, m * VECTORS + n)
                builder.store(value, pointer, align=tile.dtype.bitwidth // 8)
            index = builder.add(index, stride)
        return context.get_dummy_value()

    return types.void(tile, a, types.intp, types.intp), code


@extending.intrinsic
def add_tile(typing_context, tile, a, i, step):
    """a[i + m·step :] += tile[m, :], for each of its rows m."""

    def code(context, builder, signature, args):
        sums, array, index, stride = args
        vector = _vector(tile.dtype)
        for m in range(ROWS):
            for n in range(VECTORS):
                place = builder.add(index, ir.Constant(ir.IntType(64), n * vector.count))
                pointer = _address(context, builder, signature.args[1], array, place)
                old = builder.load(pointer, align=tile.dtype.bitwidth // 8)
                new = builder.fadd(builder.extract_value(sums, m * VECTORS + n), old, flags=_FAST)
                builder.store(new, pointer, align=tile.dtype.bitwidth // 8)
            index = builder.add(index, stride)
        return context.get_dummy_value()

    return types.void(tile, a, types.intp, types.intp), code


class TapsType(types.Type):
    def __init__(self, dtype, count):
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Taps({dtype}, {count})")


@extending.register_model(TapsType)
class _TapsModel(extending.models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, ir.ArrayType(_vector(fe_type.dtype), fe_type.count))


@extending.intrinsic(prefer_literal=True)
def hold(typing_context, a, i, step, count):
    """Registers of a[i], a[i + step], …, `count` (a constant) of them."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    taps = TapsType(a.dtype, count.literal_value)

    def code(context, builder, signature, args):
        array, index, stride, _ = args
        held = ir.Constant(context.get_value_type(taps), ir.Undefined)
        for place in range(taps.count):
            pointer = _address(context, builder, signature.args[0], array, index, False)
            splatted = _splat(builder, builder.load(pointer), _vector(a.dtype))
            held = builder.insert_value(held, splatted, place)
            index = builder.add(index, stride)
        return held

    return taps(a, types.intp, types.intp, count), code


@extending.intrinsic
def dot(typing_context, taps, x, i, run, start):
    """start + Σ_j taps[j] · x[i + j·run : … + LANES], a vector."""

    def code(context, builder, signature, args):
        held, array, index, stride, total = args
        for place in range(taps.count):
            pointer = _address(context, builder, signature.args[1], array, index)
            value = builder.load(pointer, align=x.dtype.bitwidth // 8)
            total = _multiply_add(builder, builder.extract_value(held, place), value, total)
            index = builder.add(index, stride)
        return total

    return start(taps, x, types.intp, types.intp, start), code


@extending.intrinsic(prefer_literal=True)
def dots(typing_context, taps, x, i, run, spread, a, j, step, add):
    """Four of `dot` at once: a[j + m·step :] (+)= Σ_k taps[k] · x[i + (k + m·spread)·run :], m < 4.

    What several of them read is loaded once; `spread` is a constant.
    """
    if not isinstance(spread, types.IntegerLiteral):
        return None

    def code(context, builder, signature, args):
        held, array, index, stride, _, out, start, jump, adds = args
        vector = _vector(a.dtype)
        align = x.dtype.bitwidth // 8
        places, sums = [], []
        for _ in range(4):
            places.append(_address(context, builder, signature.args[5], out, start))
            start = builder.add(start, jump)
        adds = builder.icmp_signed("!=", adds, adds.type(0))
        before = builder.basic_block
        with builder.if_then(adds):
            old = [builder.load(place, align=align) for place in places]
            inside = builder.basic_block
        for value in old:
            sums.append(builder.phi(vector))
            sums[-1].add_incoming(ir.Constant(vector, None), before)
            sums[-1].add_incoming(value, inside)
        for k in range(taps.count + 3 * spread.literal_value):
            pointer = _address(context, builder, signature.args[1], array, index)
            value = builder.load(pointer, align=align)
            index = builder.add(index, stride)
            for m in range(4):
                if 0 <= k - m * spread.literal_value < taps.count:
                    tap = builder.extract_value(held, k - m * spread.literal_value)
                    sums[m] = _multiply_add(builder, tap, value, sums[m])
        for place, total in zip(places, sums, strict=True):
            builder.store(total, place, align=align)
        return context.get_dummy_value()

    n = types.intp
    return types.void(taps, x, n, n, spread, a, n, n, n), code


@extending.intrinsic(prefer_literal=True)
def blank(typing_context, a, count):
    """`count` (a constant) registers of zeros, of numbers like those of the array a."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    taps = TapsType(a.dtype, count.literal_value)

    def code(context, builder, signature, args):
        return ir.Constant(context.get_value_type(taps), None)

    return taps(a, count), code


@extending.intrinsic
def folded_dots(typing_context, sums, taps, x, i, j):
    """sums[m] + Σ_k taps[k] · (x[i + 2·(k + m)·lanes :] + x[j + 2·(k + m)·lanes :]), for each m."""

    def code(context, builder, signature, args):
        totals, held, array, *starts = args
        totals = [builder.extract_value(totals, m) for m in range(sums.count)]
        starts = [_address(context, builder, signature.args[2], array, i) for i in starts]
        for k in range(taps.count + sums.count - 1):
            both = [builder.gep(start, [ir.IntType(64)(2 * k)]) for start in starts]
            both = [builder.load(place, align=x.dtype.bitwidth // 8) for place in both]
            value = builder.fadd(*both, flags=_FAST)
            for m in range(sums.count):
                if 0 <= k - m < taps.count:
                    tap = builder.extract_value(held, k - m)
                    totals[m] = _multiply_add(builder, tap, value, totals[m])
        result = ir.Constant(args[0].type, ir.Undefined)
        for m in range(sums.count):
            result = builder.insert_value(result, totals[m], m)
        return result

    n = types.intp
    return sums(sums, taps, x, n, n), code


@extending.intrinsic
def put_each(typing_context, sums, a, i, step):
    """a[i + m·step :] = sums[m], for each m."""

    def code(context, builder, signature, args):
        totals, array, index, stride = args
        for m in range(sums.count):
            pointer = _address(context, builder, signature.args[1], array, index)
            value = builder.extract_value(totals, m)
            builder.store(value, pointer, align=a.dtype.bitwidth // 8)
            index = builder.add(index, stride)
        return context.get_dummy_value()

    n = types.intp
    return types.void(sums, a, n, n), code


@extending.intrinsic
def sign_bits(typing_context, v):
    """A whole number whose bit i is set where v[i] < 0."""

    def code(context, builder, signature, args):
        (value,) = args
        zero = ir.Constant(value.type, None)
        bits = builder.fcmp_ordered("<", value, zero)
        bits = builder.bitcast(bits, ir.IntType(value.type.count))
        return builder.zext(bits, ir.IntType(64))

    return types.uint64(v), code


@extending.intrinsic
def choose(typing_context, bits, a, b):
    """A vector of a[i] where bit i is set, and b[i] elsewhere."""

    def code(context, builder, signature, args):
        bits, a, b = args
        bits = builder.trunc(bits, ir.IntType(a.type.count))
        mask = builder.bitcast(bits, ir.VectorType(ir.IntType(1), a.type.count))
        return builder.select(mask, a, b)

    return a(types.uint64, a, a), code


@extending.intrinsic
def at_most(typing_context, v, most):
    """The lesser of two vectors' numbers; where v is NaN, NaN."""

    def code(context, builder, signature, args):
        v, most = args
        return builder.select(builder.fcmp_ordered("<", most, v), most, v)

    return v(v, v), code


@extending.intrinsic
def at_least(typing_context, v, least):
    """The greater of two vectors' numbers; where v is NaN, NaN."""

    def code(context, builder, signature, args):
        v, least = args
        return builder.select(builder.fcmp_ordered("<", v, least), least, v)

    return v(v, v), code


# Vectors add, subtract and multiply like numbers, and with them.


def _operator(symbol, instruction):
    @extending.type_callable(symbol)
    def type_operator(context):
        def typer(a, b):
            if isinstance(a, VectorType) and (a == b or isinstance(b, types.Number)):
                return a
            if isinstance(b, VectorType) and isinstance(a, types.Number):
                return b

        return typer

    def code(context, builder, signature, args):
        vector = signature.return_type
        both = []
        for kind, value in zip(signature.args, args, strict=True):
            if not isinstance(kind, VectorType):
                value = context.cast(builder, value, kind, vector.dtype)
                value = _splat(builder, value, _vector(vector.dtype))
            both.append(value)
        return getattr(builder, instruction)(*both, flags=_FAST)

    for kinds in ((VectorType, VectorType), (VectorType, types.Number), (types.Number, VectorType)):
        extending.lower_builtin(symbol, *kinds)(code)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
