"""exp, log, log1p and 1 - exp as compiled functions that become part of the loop that calls them, and vectorise.

There is no branch and no table in them.  float32 results are within 2 ulp, float64 ones within 1e-13: what is computed
once per class is float32, what is computed once per row is float64.
"""

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from evaltool.kernels.compiled import inlined

# e^x is computed as 2^56 e^x: odds down to e^-124 stay normal float32 numbers, and a product of such an odds
# with a logarithm or with itself keeps every digit that a float32 result can hold
SCALE_BITS = 56
SCALE = np.float32(2.0**SCALE_BITS)
UNSCALE = np.float32(2.0**-SCALE_BITS)
FURTHEST = np.float32(124.0)

_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# 1.5 * 2^23: what is added to it is rounded to a whole number, in its lowest bits
_ROUND, _ROUND_BITS = np.float32(12582912.0), np.int32(0x4B400000)
_ROUND_SCALED = np.float32(12582912.0 + SCALE_BITS)
_MANTISSA = np.int32(23)
_ONE, _TWO, _HALF = np.float32(1.0), np.float32(2.0), np.float32(0.5)
_E2, _E3, _E4, _E5, _E6 = (
    np.float32(value)
    for value in (4.9999993448e-01, 1.6666520631e-01, 4.1668388045e-02, 8.3687169639e-03, 1.3814598809e-03)
)
_L1, _L2, _L3, _L4 = (np.float32(value) for value in (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841))
_SQRT_HALF_BITS = np.int32(0x3F3504F3)

_ROUND64 = 6755399441055744.0  # 1.5 * 2^52
_ROUND64_BITS = 0x4338000000000000
_LN2_HIGH64, _LN2_LOW64 = 6.93147180369123816490e-01, 1.90821492927058770002e-10


def _bitcast(source: Any, target: Any) -> Any:
    def cast(typingctx: Any, value: Any) -> Any:
        if value != source:
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), codegen

    return intrinsic(cast)


int_of_float = _bitcast(types.float32, types.int32)
float_of_int = _bitcast(types.int32, types.float32)
int_of_double = _bitcast(types.float64, types.int64)
double_of_int = _bitcast(types.int64, types.float64)


@inlined
def exp_scaled(x: Any) -> Any:
    """Return 2^56 e^x, float32, for a float32 x in [-124, 49]; exactly 2^56 for 0."""
    t = x * _LOG2E + _ROUND_SCALED
    n = t - _ROUND_SCALED
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = _ONE + r * (_ONE + r * (_E2 + r * (_E3 + r * (_E4 + r * (_E5 + r * _E6)))))
    # the lowest bits of t are n + 56, and go to p's exponent; its others leave on the left
    return float_of_int(np.int32(int_of_float(p) + (int_of_float(t) << _MANTISSA)))


@inlined
def exp32(x: Any) -> Any:
    """Return e^x, float32, for a float32 x up to 49; subnormal results keep their digits, -inf gives 0."""
    return exp_scaled(max(x, -FURTHEST)) * UNSCALE


@inlined
def log32(x: Any) -> Any:
    """Return log(x), float32, for a normal float32 x > 0; 0 counts as 2^-127, -87.3 or so."""
    bits = int_of_float(x)
    e = (bits - _SQRT_HALF_BITS) >> _MANTISSA
    f = float_of_int(np.int32(bits - (e << _MANTISSA))) - _ONE
    s = f / (_TWO + f)
    z = s * s
    tail = z * (_L1 + z * (_L2 + z * (_L3 + z * _L4)))
    half = _HALF * f * f
    n = float_of_int(np.int32(e + _ROUND_BITS)) - _ROUND
    # fdlibm's order: the largest terms last
    return n * _LN2_HIGH - ((half - (s * (half + tail) + n * _LN2_LOW)) - f)


@inlined
def log1p32(x: Any) -> Any:
    """Return log(1 + x), float32, for a float32 x >= 0."""
    one_plus = _ONE + x
    return log32(one_plus) - ((one_plus - _ONE) - x) / one_plus


@inlined
def exp64(x: Any) -> Any:
    """Return e^x, float64, for any x but NaN; what is below e^-708 counts as that much, what is above e^709 too."""
    x = min(max(x, -708.0), 709.0)
    t = x * 1.4426950408889634 + _ROUND64
    n = t - _ROUND64
    r = (x - n * _LN2_HIGH64) - n * _LN2_LOW64
    p = 0.008333333095643098 + r * (
        0.001388881112766837 + r * (0.00019841538259135412 + r * (2.4880818336532885e-05 + r * 2.749344917133989e-06))
    )
    p = 0.4999999999966407 + r * (0.16666666667264207 + r * (0.04166666696234425 + r * p))
    power = double_of_int((int_of_double(t) - _ROUND64_BITS + 1023) << 52)
    return (1.0 + (r + r * r * p)) * power


@inlined
def log64(x: Any) -> Any:
    """Return log(x), float64, for a normal float64 x > 0; 0 counts as 2^-1023, -709 or so."""
    bits = int_of_double(x)
    e = (bits - 0x3FE6A09E667F3BCD) >> 52
    f = double_of_int(bits - (e << 52)) - 1.0
    s = f / (2.0 + f)
    z = s * s
    tail = 0.2222219843214978396 + z * (0.1818357216161805012 + z * (0.1531383769920937332 + z * 0.1479819860511658591))
    tail = z * (0.6666666666666735130 + z * (0.3999999999940941908 + z * (0.2857142874366239149 + z * tail)))
    half = 0.5 * f * f
    n = double_of_int(e + _ROUND64_BITS) - _ROUND64
    return n * _LN2_HIGH64 - ((half - (s * (half + tail) + n * _LN2_LOW64)) - f)


@inlined
def log1p64(x: Any, share: Any) -> Any:
    """Return log(1 + x), float64, for x >= 0 and share = 1 / (1 + x); what is tiny keeps its digits."""
    one_plus = 1.0 + x
    return log64(one_plus) - ((one_plus - 1.0) - x) * share


@inlined
def one_minus_exp64(x: Any) -> Any:
    """Return 1 - e^-x, float64, for x >= 0; what is tiny keeps its digits."""
    near = x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0)))))
    return near if x < 0.01 else 1.0 - exp64(-x)
