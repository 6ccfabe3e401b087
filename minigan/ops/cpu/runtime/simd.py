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
FAST = ("contract", "nsz")


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


def vector_type(dtype):
    """LLVM's type of a register of such numbers."""
    return ir.VectorType(_IR[dtype], BYTES * 8 // dtype.bitwidth)


@extending.register_model(VectorType)
class _VectorModel(extending.models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, vector_type(fe_type.dtype))


@extending.register_model(TileType)
class _TileModel(extending.models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, ir.ArrayType(vector_type(fe_type.dtype), ROWS * VECTORS))


def address(context, builder, array_type, array, index, as_vector=True):
    """Pointer to array[index]."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    pointer = builder.gep(data, [index])
    if as_vector:
        return builder.bitcast(pointer, vector_type(array_type.dtype).as_pointer())
    return pointer


def broadcast(builder, scalar, vector):
    """A vector of this type, each number of it the scalar."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def multiply_add(builder, a, b, c):
    """a·b + c, which may become one instruction."""
    return builder.fadd(builder.fmul(a, b, flags=FAST), c, flags=FAST)


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
        pointer = address(context, builder, signature.args[0], args[0], args[1])
        return builder.load(pointer, align=a.dtype.bitwidth // 8)

    return VectorType(a.dtype)(a, types.intp), code


@extending.intrinsic
def store(typing_context, a, i, v):
    """a[i : i + LANES] = v."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], pointer, align=a.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(a, types.intp, v), code


@extending.intrinsic
def stream(typing_context, a, i, v):
    """`store` that does not go through the cache; a[i] begins a vector's worth of memory."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature.args[0], args[0], args[1])
        done = builder.store(args[2], pointer, align=BYTES)
        done.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(a, types.intp, v), code


@extending.intrinsic
def prefetch(typing_context, a, i):
    """Have the memory of a[i] brought to the cache; a[i] need not exist."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature.args[0], args[0], args[1], as_vector=False)
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [pointer, word(0), word(3), word(1)])  # to read, near, data
        return context.get_dummy_value()

    return types.void(a, types.intp), code


@extending.intrinsic
def zero(typing_context, a):
    """A vector of zeros, of numbers like those of the array a."""

    def code(context, builder, signature, args):
        return ir.Constant(vector_type(a.dtype), None)

    return VectorType(a.dtype)(a), code


@extending.intrinsic
def fma(typing_context, a, b, c):
    """a·b + c, of vectors."""

    def code(context, builder, signature, args):
        return multiply_add(builder, *args)

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
        vector = vector_type(tile.dtype)
        lanes = ir.Constant(ir.IntType(64), vector.count)
        row = []
        for _ in range(VECTORS):
            pointer = address(context, builder, signature.args[4], b_array, start)
            row.append(builder.load(pointer, align=tile.dtype.bitwidth // 8))
            start = builder.add(start, lanes)
        for m in range(ROWS):
            pointer = address(context, builder, signature.args[1], a_array, index, False)
            factor = broadcast(builder, builder.load(pointer), vector)
            for n in range(VECTORS):
                place = m * VECTORS + n
                old = builder.extract_value(sums, place)
                new = multiply_add(builder, factor, row[n], old)
                sums = builder.insert_value(sums, new, place)
            index = builder.add(index, stride)
        return sums

    return tile(tile, a, types.intp, types.intp, b, types.intp), code


@extending.intrinsic
def store_tile(typing_context, tile, a, i, step):
    """a[i + m·step :] = tile[m, :], for each of its rows m."""

    def code(context, builder, signature, args):
        sums, array, index, stride = args
        vector = vector_type(tile.dtype)
        for m in range(ROWS):
            for n in range(VECTORS):
                place = builder.add(index, ir.Constant(ir.IntType(64), n * vector.count))
                pointer = address(context, builder, signature.args[1], array, place)
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
        vector = vector_type(tile.dtype)
        for m in range(ROWS):
            for n in range(VECTORS):
                place = builder.add(index, ir.Constant(ir.IntType(64), n * vector.count))
                pointer = address(context, builder, signature.args[1], array, place)
                old = builder.load(pointer, align=tile.dtype.bitwidth // 8)
                new = builder.fadd(builder.extract_value(sums, m * VECTORS + n), old, flags=FAST)
                builder.store(new, pointer, align=tile.dtype.bitwidth // 8)
            index = builder.add(index, stride)
        return context.get_dummy_value()

    return types.void(tile, a, types.intp, types.intp), code


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
def where_less(typing_context, a, b, yes, no):
    """A vector of yes[i] where a[i] < b[i], and no[i] elsewhere, also where one of them is NaN."""

    def code(context, builder, signature, args):
        a, b, yes, no = args
        return builder.select(builder.fcmp_ordered("<", a, b), yes, no)

    return a(a, a, a, a), code


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
                value = broadcast(builder, value, vector_type(vector.dtype))
            both.append(value)
        return getattr(builder, instruction)(*both, flags=FAST)

    for kinds in ((VectorType, VectorType), (VectorType, types.Number), (types.Number, VectorType)):
        extending.lower_builtin(symbol, *kinds)(code)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
