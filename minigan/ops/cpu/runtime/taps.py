"""Registers side by side, for filters: a run's taps, or the sums of several outputs.

As in `simd.py`: flat, contiguous arrays, without bounds checks.
"""

from llvmlite import ir
from numba import extending, types

from minigan.ops.cpu.runtime.simd import FAST, address, broadcast, multiply_add, vector_type


class TapsType(types.Type):
    def __init__(self, dtype, count):
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Taps({dtype}, {count})")


@extending.register_model(TapsType)
class _TapsModel(extending.models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, ir.ArrayType(vector_type(fe_type.dtype), fe_type.count))


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
            pointer = address(context, builder, signature.args[0], array, index, False)
            value = broadcast(builder, builder.load(pointer), vector_type(a.dtype))
            held = builder.insert_value(held, value, place)
            index = builder.add(index, stride)
        return held

    return taps(a, types.intp, types.intp, count), code


@extending.intrinsic
def dot(typing_context, taps, x, i, run, start):
    """start + Σ_j taps[j] · x[i + j·run : … + LANES], a vector."""

    def code(context, builder, signature, args):
        held, array, index, stride, total = args
        for place in range(taps.count):
            pointer = address(context, builder, signature.args[1], array, index)
            value = builder.load(pointer, align=x.dtype.bitwidth // 8)
            total = multiply_add(builder, builder.extract_value(held, place), value, total)
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
        vector = vector_type(a.dtype)
        align = x.dtype.bitwidth // 8
        places, sums = [], []
        for _ in range(4):
            places.append(address(context, builder, signature.args[5], out, start))
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
            pointer = address(context, builder, signature.args[1], array, index)
            value = builder.load(pointer, align=align)
            index = builder.add(index, stride)
            for m in range(4):
                if 0 <= k - m * spread.literal_value < taps.count:
                    tap = builder.extract_value(held, k - m * spread.literal_value)
                    sums[m] = multiply_add(builder, tap, value, sums[m])
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
        starts = [address(context, builder, signature.args[2], array, i) for i in starts]
        for k in range(taps.count + sums.count - 1):
            both = [builder.gep(start, [ir.IntType(64)(2 * k)]) for start in starts]
            both = [builder.load(place, align=x.dtype.bitwidth // 8) for place in both]
            value = builder.fadd(*both, flags=FAST)
            for m in range(sums.count):
                if 0 <= k - m < taps.count:
                    tap = builder.extract_value(held, k - m)
                    totals[m] = multiply_add(builder, tap, value, totals[m])
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
            pointer = address(context, builder, signature.args[1], array, index)
            value = builder.extract_value(totals, m)
            builder.store(value, pointer, align=a.dtype.bitwidth // 8)
            index = builder.add(index, stride)
        return context.get_dummy_value()

    n = types.intp
    return types.void(sums, a, n, n), code
