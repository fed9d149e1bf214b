"""Elementary functions of float32 that keep their digits on a GPU, where exp and division are approximate otherwise.

The formulas are those of ``evaltool.numerics.elementary``.  Nothing here is flushed to 0 that float32 can hold.
"""

import triton
import triton.language as tl

# ln 2 in two parts, of which the first has so few bits that a whole multiple of it is exact
LN2_HIGH = tl.constexpr(0.693359375)
LN2_LOW = tl.constexpr(-2.12194440e-4)
LOG2_E = tl.constexpr(1.4426950408889634)
SMALLEST = tl.constexpr(1.1754943508222875e-38)  # normal float32


@triton.jit
def _exp_parts(x):
    """Return e^x as a float32 in [0.7, 1.42] and the power of two beside it.  Cephes expf, S. Moshier 1992."""
    n = tl.floor(x * LOG2_E + 0.5)
    f = x - n * LN2_HIGH
    f = f - n * LN2_LOW
    p = f * 1.9875691500e-4 + 1.3981999507e-3
    p = p * f + 8.3334519073e-3
    p = p * f + 4.1665795894e-2
    p = p * f + 1.6666665459e-1
    p = p * f + 5.0000001201e-1
    return p * f * f + f + 1.0, n.to(tl.int32)


@triton.jit
def _power_of_two(n):
    return ((n + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def exp(x):
    """Return e^x for x <= 88, to 1 ulp, with the subnormal numbers; 0 for -inf, meaningless for NaN."""
    p, n = _exp_parts(tl.maximum(x, -120.0))
    half = n >> 1
    return p * _power_of_two(half) * _power_of_two(n - half)


@triton.jit
def weight(gap):
    """Return e^-gap for a gap in [0, 87]."""
    p, n = _exp_parts(-gap)
    return p * _power_of_two(n)


@triton.jit
def log(x):
    """Return the logarithm of x >= 0, subnormal numbers included; -inf for 0."""
    tiny = x < 1e-30
    # a power of two, so that nothing is rounded
    logs = tl.log(tl.where(tiny, x * 18446744073709551616.0, x))
    logs = tl.where(tiny, logs - 44.3614195558365, logs)
    return tl.where(x == 0, float("-inf"), logs)


@triton.jit
def log1p(x):
    """Return log(1 + x) for x >= 0.  Kahan's form."""
    one_plus = 1.0 + x
    rounded = one_plus - 1.0
    lost = rounded == 0
    value = tl.div_rn(tl.log(one_plus) * x, tl.where(lost, 1.0, rounded))
    return tl.where(lost, x, value)


@triton.jit
def expm1(x):
    """Return e^x - 1 for x <= 0.  Kahan's form."""
    near = x > -1.0
    small = tl.where(near, x, 0.0)
    e = exp(small)
    rounded = e - 1.0
    lost = rounded == 0
    value = tl.div_rn(rounded * small, tl.where(lost, 1.0, tl.log(e)))
    return tl.where(near, tl.where(lost, small, value), exp(x) - 1.0)


@triton.jit
def log_complement(x):
    """Return log(1 - e^x) for x <= 0; -inf for 0."""
    return log(-expm1(x))


@triton.jit
def finite(x):
    """Return where x is neither NaN nor infinite."""
    return tl.abs(x) <= 3.4028234663852886e38


@triton.jit
def sum_error(a, b):
    """Return what rounding lost in a + b, exactly; 0 where the sum is not finite.  Knuth's two-sum."""
    total = a + b
    of_b = total - a
    error = (a - (total - of_b)) + (b - of_b)
    return tl.where(finite(total), error, 0.0)


@triton.jit
def log_error(x, logs):
    """Return what rounding lost in logs = log(x), to first order; 0 where that cannot be told."""
    # in two factors, for 1 / x of a subnormal x is infinite
    half = exp(tl.maximum(-0.5 * logs, -60.0))
    low = x * half * half - 1.0
    return tl.where(finite(low), low, 0.0)
