"""Checks of rates, and figures for JSON."""

import math
from fractions import Fraction
from typing import Any


def require_number(option: str, value: float | None) -> None:
    """Raise for NaN and infinity."""
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{option} must be a number, got {value}")


def require_rate(percent: float, n: int) -> None:
    """Raise if the rate of false alarms is lower than n normal rows can promise."""
    if Fraction(repr(percent)) * (n + 1) < 100:
        lowest = math.ceil(10**6 / (n + 1)) / 10**4
        raise ValueError(
            f"--false-alarms {percent:g} cannot be promised by {n:,} normal rows: the lowest rate "
            f"is 1/(n + 1) = 1/{n + 1:,}: use --false-alarms {lowest:g}, --contamination or "
            "--percentile"
        )


def without_infinity(figures: Any) -> Any:
    """The same figures with None for infinity and NaN."""
    if isinstance(figures, dict):
        return {name: without_infinity(value) for name, value in figures.items()}
    if isinstance(figures, list):
        return [without_infinity(value) for value in figures]
    if isinstance(figures, float) and not math.isfinite(figures):
        return None
    return figures
