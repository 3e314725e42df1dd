"""Rates of false alarms that can be kept, and figures that JSON knows."""

import math
from fractions import Fraction
from typing import Any


def require_number(option: str, value: float | None) -> None:
    """Raise for NaN and infinity, which lie in no range."""
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{option} must be a number, got {value}")


def require_rate(percent: float, n: int) -> None:
    """Raise for a rate of false alarms below the lowest that n normal rows can promise."""
    if Fraction(repr(percent)) * (n + 1) < 100:
        lowest = math.ceil(10**6 / (n + 1)) / 10**4
        raise ValueError(
            f"--false-alarms {percent:g} cannot be promised by {n:,} normal rows: the lowest rate "
            f"is 1/(n + 1) = 1/{n + 1:,}, say --false-alarms {lowest:g}, or --contamination or "
            "--percentile"
        )


def without_infinity(figures: Any) -> Any:
    """The same figures, with None where a number is infinite or NaN."""
    if isinstance(figures, dict):
        return {name: without_infinity(value) for name, value in figures.items()}
    if isinstance(figures, list):
        return [without_infinity(value) for value in figures]
    if isinstance(figures, float) and not math.isfinite(figures):
        return None
    return figures
