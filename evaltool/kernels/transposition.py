"""Rows into columns, a square of numbers at a time in the registers of the CPU, for which no loop vectorises."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

SQUARE = {types.float32: 16, types.float64: 8}  # numbers of a cache line
LARGEST_SQUARE = 16


def square_size(numbers: Any) -> int:
    """Return the side of the square of an array's numbers; compiled code only."""
    raise NotImplementedError


def _sixteen(numbers: Any) -> Any:
    return 16


def _eight(numbers: Any) -> Any:
    return 8


@overload(square_size)
def _square_size(numbers: Any) -> Any:
    return _sixteen if numbers.dtype == types.float32 else _eight


def _transposed_square(
    typingctx: Any, source: Any, at: Any, stride: Any, target: Any, to: Any, target_stride: Any
) -> Any:
    """Write to the rows of a square what stands in its columns; 16 x 16 numbers float32, 8 x 8 float64.

    Args:
        typingctx: numba's.
        source: flat array of float32 or float64.
        at: where in it the first row starts; no bound is checked.
        stride: how far apart its rows start.
        target: flat array of the same dtype.
        to: where in it the first row starts.
        target_stride: how far apart its rows start.
    """
    if source.dtype not in SQUARE or source.dtype != target.dtype:
        return None
    size = SQUARE[source.dtype]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = context.get_value_type(source.dtype)
        vector = ir.VectorType(number, size)
        width = source.dtype.bitwidth // 8
        places = [ir.Constant(ir.IntType(64), i) for i in range(size)]

        def pointers(array_type: Any, array: Any, start: Any, step: Any) -> list[Any]:
            data = context.make_array(array_type)(context, builder, array).data
            found = [builder.gep(data, [builder.add(start, builder.mul(step, place))]) for place in places]
            return [builder.bitcast(pointer, vector.as_pointer()) for pointer in found]

        def line_at(pointer: Any) -> Any:
            value = builder.load(pointer)
            value.align = width
            return value

        lines = [line_at(pointer) for pointer in pointers(source, args[0], args[1], args[2])]
        half = size // 2
        # each round pairs the lines of the two halves; after as many as halve the square down to 1 it is transposed
        low = ir.Constant(ir.VectorType(ir.IntType(32), size), [i // 2 + (i % 2) * size for i in range(size)])
        high = ir.Constant(ir.VectorType(ir.IntType(32), size), [half + i // 2 + (i % 2) * size for i in range(size)])
        for _ in range(size.bit_length() - 1):
            pairs = list(zip(lines[:half], lines[half:], strict=True))
            lines = [builder.shuffle_vector(a, b, mask) for a, b in pairs for mask in (low, high)]
        for line, pointer in zip(lines, pointers(target, args[3], args[4], args[5]), strict=True):
            builder.store(line, pointer).align = width
        return context.get_dummy_value()

    return types.none(source, types.intp, types.intp, target, types.intp, types.intp), codegen


transposed_square: Any = intrinsic(_transposed_square)
