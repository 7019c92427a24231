"""The page of ``radflow compare``: which of two systems is better, as a table and a forest plot."""

from __future__ import annotations

from radflow.evaluation.comparing.comparison import ALPHA, ComparedMetric, Comparison
from radflow.evaluation.notation import brackets, number, signed, with_interval
from radflow.viewer.charts.forest import ForestRow, forest
from radflow.viewer.tables import Cell, Row, Table
from radflow.viewer.templating import render
from radflow.viewer.wording import grouped


def render_comparison(comparison: Comparison) -> str:
    """Return a self-contained page, which loads nothing and runs no script.

    The same comparison gives the same page, byte for byte.
    """
    return render(
        "comparison.jinja",
        styles=("page.css", "comparison.css"),
        comparison=comparison,
        alpha=f"{ALPHA:g}",
        sample=_sample(comparison),
        positives=positives_text(comparison) if comparison.positives else "",
        table=comparison_table(comparison),
        forest=_forest(comparison),
    )


def comparison_table(comparison: Comparison) -> Table:
    """Return one row per metric: both means, the difference with its interval, p values, the better one."""
    rows = {row.name: row for row in comparison.metrics}
    return Table(
        columns=(
            comparison.a,
            comparison.b,
            f"{comparison.b} − {comparison.a}",
            "Corrected p",
            "Better",
        ),
        groups=tuple(
            (title, tuple(_table_row(rows[name], comparison) for name in names))
            for title, names in grouped(rows)
        ),
    )


def p_text(p: float) -> str:
    """Write a p value.

    >>> p_text(0.0123), p_text(0.00004), p_text(float("nan"))
    ('0.012', '< 0.001', '–')
    """
    return "< 0.001" if p < 0.001 else number(p)


def positives_text(comparison: Comparison) -> str:
    """Observations asserted per report by both systems and the references."""
    names = {"a": comparison.a, "b": comparison.b, "reference": "references"}
    return ", ".join(f"{name} {number(comparison.positives[key], 2)}" for key, name in names.items())


def _table_row(row: ComparedMetric, comparison: Comparison) -> Row:
    return Row(
        name=row.label,
        arrow="↑" if row.higher_is_better else "↓",
        cells=(
            Cell(mean=number(row.mean_a)),
            Cell(mean=number(row.mean_b)),
            Cell(
                mean=signed(row.difference.mean),
                ends=brackets(row.difference.low, row.difference.high, gain=True),
                tone=_tone(row),
            ),
            Cell(mean=p_text(row.p_holm), ends=f"uncorrected {p_text(row.p)}"),
            Cell(mean=_better(row, comparison), ends=_pairs(row), tone=_tone(row)),
        ),
    )


def _better(row: ComparedMetric, comparison: Comparison) -> str:
    return {"A": comparison.a, "B": comparison.b, None: "no evidence"}[row.better]


def _pairs(row: ComparedMetric) -> str:
    return f"{row.pairs:,} pairs" + (f", {row.dropped:,} dropped" if row.dropped else "")


def _tone(row: ComparedMetric) -> str:
    return {"A": "first", "B": "second", None: "unclear"}[row.better]


def _forest(comparison: Comparison) -> str:
    rows = []
    for row in comparison.metrics:
        scaled = row.standardised
        rows.append(
            ForestRow(
                label=f"{row.label} {'↑' if row.higher_is_better else '↓'}",
                text=with_interval(row.difference, gain=True),
                mean=scaled.mean,
                low=scaled.low,
                high=scaled.high,
                tone=_tone(row),
            )
        )
    return forest(
        rows,
        key="forest",
        title=f"Differences between {comparison.a} and {comparison.b} with 95% intervals",
        x_label="difference in standard deviations of the pairs' differences",
        left=f"{comparison.a} better",
        right=f"{comparison.b} better",
    )


def _sample(comparison: Comparison) -> str:
    patients = "" if comparison.patients is None else f" of {comparison.patients:,} patients"
    return f"{comparison.studies:,} studies{patients}"
