"""The reading of PromQL that the tests of dashboards and alerts stand on."""

from __future__ import annotations

import pytest

from tests.promql import bare_series_of, metrics_of, with_values


def test_a_histogram_is_named_by_itself_and_a_counter_by_its_series() -> None:
    expression = "histogram_quantile(0.9, sum by (le) (rate(a_seconds_bucket[5m]))) + b_total"
    assert metrics_of(expression) == {"a_seconds", "b_total"}


def test_a_series_is_bare_unless_it_is_read_over_a_window() -> None:
    assert bare_series_of("rate(a_total[5m]) / a_total + rate(b_total[5m])") == {"a_total"}


def test_an_expression_that_does_not_parse_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        metrics_of("sum by (le (a)")


def test_variables_are_replaced_whole() -> None:
    asked = with_values('a{namespace=~"$namespace"}[$__range]', window="5m", choices={"name": "x"})
    assert asked == 'a{namespace=~".*"}[5m]'
