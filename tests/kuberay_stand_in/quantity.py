"""Resource quantities, in the one form in which Kubernetes writes each.

The form is that of https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource#Quantity: no fraction,
the largest suffix that allows it, and suffixes of the family that the quantity came with.
"""

from __future__ import annotations

from decimal import Decimal

from kubernetes.utils import quantity

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def canonical(text: str | int | float) -> str:
    """Return a quantity as Kubernetes writes it."""
    return _format(_value(str(text)), str(text).endswith("i"))


def total(parts: list[tuple[str, int]]) -> str:
    """Return the sum of quantities, each so many times, in the family of the first."""
    value = sum((_value(text) * times for text, times in parts), Decimal(0))
    return _format(value, bool(parts) and parts[0][0].endswith("i"))


def _value(text: str) -> Decimal:
    value: Decimal = quantity.parse_quantity(text)
    return value


def _format(value: Decimal, binary: bool) -> str:
    if value == 0:
        return "0"
    if binary and value == value.to_integral_value():
        sizes = [(suffix, Decimal(size)) for suffix, size in _BINARY.items() if value % size == 0]
    else:
        sizes = [(suffix, Decimal(10) ** power) for suffix, power in _DECIMAL.items()]
        sizes = [(suffix, size) for suffix, size in sizes if value % size == 0]
    suffix, size = sizes[-1] if sizes else ("", Decimal(1))
    return f"{int(value / size)}{suffix}"
