"""Kubernetes quantities as the scheduler counts them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_QUANTITY = re.compile(
    r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:([eE][+-]?[0-9]{1,4})|([KMGTPE]i|[numkMGTPE]?))"
)
# The API server caps what is larger, and rounds away from zero what is finer than a billionth.
_LARGEST = Fraction(2**63 - 1)
_FINEST = 10**9


def parse_quantity(value: str | int | float) -> Fraction:
    """Return the exact amount of a quantity such as ``500m``, ``1.5Gi``, ``12e6`` or 8.

    The grammar is that of ``k8s.io/apimachinery/pkg/api/resource``.

    Raises:
        ValueError: It is no quantity.
    """
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{value!r} is no Kubernetes quantity, such as 500m, 8, 64Gi or 12e6")
    sign, digits, exponent, suffix = match.groups()
    # Fraction takes ".5" and "5.", and so does Kubernetes
    amount = min(_rounded(_scaled(Fraction(digits), exponent, suffix)), _LARGEST)
    return -amount if sign == "-" else amount


def counted_by_scheduler(resource: str, value: str | int | float) -> int:
    """Return the whole number in which the scheduler compares an amount of a resource.

    Thousandths of a core for ``cpu``; bytes, devices or pieces for all others. A part counts as
    a whole one (``Resource.Add`` in ``k8s.io/kubernetes/pkg/scheduler/framework``).

    Raises:
        ValueError: It is no quantity.
    """
    amount = parse_quantity(value)
    return math.ceil(amount * 1000 if resource == "cpu" else amount)


def canonical_quantity(value: str | int | float) -> str:
    """Return a quantity as Kubernetes writes it, in the family of suffixes that it came with.

    >>> [canonical_quantity(it) for it in ("1000m", "1024Mi", "1.5Gi", 0.5, "12e7")]
    ['1', '1Gi', '1536Mi', '500m', '120e6']

    Raises:
        ValueError: It is no quantity.
    """
    amount = parse_quantity(value)
    match = _QUANTITY.fullmatch(str(value))
    assert match is not None, "it was read above"
    _, _, exponent, suffix = match.groups()
    if suffix in _BINARY and abs(amount) >= 1024:
        return _written(Fraction(math.ceil(amount)), {it: 1 << n for it, n in _BINARY.items()})
    if exponent:
        return _written(amount, {f"e{n}": Fraction(10) ** n for n in range(-9, 19, 3) if n})
    return _written(amount, {it: Fraction(10) ** n for it, n in _SUFFIXES.items()})


def _written(amount: Fraction, units: Mapping[str, Fraction | int]) -> str:
    """Return an amount as a whole number of the largest unit that allows it."""
    sizes = {"": Fraction(1), **units}
    whole = [it for it, size in sizes.items() if amount and (amount / size).denominator == 1]
    unit = max(whole, key=lambda it: sizes[it], default="")
    return f"{int(amount / sizes[unit])}{unit}"


def _scaled(number: Fraction, exponent: str | None, suffix: str | None) -> Fraction:
    if suffix in _BINARY:
        return number * (1 << _BINARY[suffix])
    power = exponent[1:] if exponent else _SUFFIXES[suffix or ""]
    return number * Fraction(f"1e{power}")


def _rounded(amount: Fraction) -> Fraction:
    return Fraction(math.ceil(amount * _FINEST), _FINEST)
