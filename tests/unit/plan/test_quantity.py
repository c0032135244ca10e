"""Quantities are read as ``k8s.io/apimachinery`` reads them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity as parse_as_the_client_does

from freehold.plan.quantity import canonical_quantity, counted_by_scheduler, parse_quantity

AMOUNTS = {
    "0": 0,
    "8": 8,
    "+8": 8,
    "-8": -8,
    "1.5": Fraction(3, 2),
    "5.": 5,
    ".5": Fraction(1, 2),
    "100n": Fraction(1, 10**7),
    "100u": Fraction(1, 10**4),
    "206170m": Fraction(206170, 1000),
    "3k": 3000,
    "3M": 3 * 10**6,
    "3G": 3 * 10**9,
    "3T": 3 * 10**12,
    "3P": 3 * 10**15,
    "3E": 3 * 10**18,
    "3Ki": 3 << 10,
    "3Mi": 3 << 20,
    "1.5Gi": 3 << 29,
    "3Ti": 3 << 40,
    "3Pi": 3 << 50,
    "3Ei": 3 << 60,
    "12e6": 12 * 10**6,
    "12E6": 12 * 10**6,
    "12e+6": 12 * 10**6,
    "12e-3": Fraction(12, 1000),
    "0.1n": Fraction(1, 10**9),
    "100Ei": 2**63 - 1,
    "1e300": 2**63 - 1,
}


@pytest.mark.parametrize(("text", "amount"), AMOUNTS.items(), ids=list(AMOUNTS))
def test_every_suffix_is_read(text: str, amount: Fraction) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize("number", [8, 1.5, 0])
def test_a_bare_number_is_one(number: float) -> None:
    assert parse_quantity(number) == Fraction(number)


@pytest.mark.parametrize(
    "text", ["", "Gi", "8 Gi", "8gi", "8K", "8e", "1e3Ki", "0x8", "1_000", "--8", "8Gi\n", "."]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no Kubernetes quantity"):
        parse_quantity(text)


COUNTED = {
    ("cpu", "1"): 1000,
    ("cpu", "250m"): 250,
    ("cpu", "1.5"): 1500,
    ("cpu", "1u"): 1,
    ("memory", "1Gi"): 1 << 30,
    ("memory", "100m"): 1,
    ("memory", "1e3"): 1000,
    ("nvidia.com/gpu", "8"): 8,
    ("rdma/ib", "1k"): 1000,
    ("pods", "110"): 110,
}


@pytest.mark.parametrize(("given", "number"), COUNTED.items(), ids=[" ".join(it) for it in COUNTED])
def test_the_scheduler_counts_in_whole_numbers_and_a_part_as_one(
    given: tuple[str, str], number: int
) -> None:
    assert counted_by_scheduler(*given) == number


@given(
    st.decimals(min_value=0, max_value=10**6, places=3, allow_nan=False),
    st.sampled_from(["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"]),
)
def test_the_python_client_reads_the_same(number: Decimal, suffix: str) -> None:
    text = f"{number:f}{suffix}"
    assert parse_quantity(text) == Fraction(parse_as_the_client_does(text))


CANONICAL = {
    "0": "0",
    "0Gi": "0",
    "1000m": "1",
    "1500m": "1500m",
    "0.5": "500m",
    "1000": "1k",
    "8192Mi": "8Gi",
    "1536Mi": "1536Mi",
    "1.5Gi": "1536Mi",
    "1.6Gi": "1717986919",
    "0.5Ki": "512",
    "0.5Mi": "512Ki",
    "2000Ki": "2000Ki",
    "1e3": "1e3",
    "12e7": "120e6",
    "120E-3": "120e-3",
    "0.1n": "1n",
    "-1000m": "-1",
}


@pytest.mark.parametrize(("text", "wanted"), CANONICAL.items(), ids=list(CANONICAL))
def test_a_quantity_has_one_spelling(text: str, wanted: str) -> None:
    assert canonical_quantity(text) == wanted
    assert canonical_quantity(wanted) == wanted


@given(
    st.decimals(min_value=0, max_value=10**6, places=3, allow_nan=False),
    st.sampled_from(["", "m", "k", "M", "G", "T", "e3", "e-3"]),
)
def test_the_spelling_has_the_same_amount(number: Decimal, suffix: str) -> None:
    text = f"{number:f}{suffix}"
    assert parse_quantity(canonical_quantity(text)) == parse_quantity(text)
