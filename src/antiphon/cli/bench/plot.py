"""Two small charts as one SVG: tokens a second, and time to the first token, over concurrency.

Bars from zero, each with its number: what is drawn can be read without an axis.
"""

from collections.abc import Sequence
from html import escape

from antiphon.cli.bench.figures import Figures

_WIDTH, _HEIGHT = 320, 220
_TOP, _BOTTOM = 40, 30


def svg(title: str, measured: Sequence[Figures]) -> str:
    """The whole file."""
    speed = [(run.concurrency, run.tokens_per_s) for run in measured]
    wait = [(run.concurrency, run.first_token_ms[0]) for run in measured]
    charts = [_chart("tokens/s", speed, "#2a6f97"), _chart("first token, ms (median)", wait, "#c8553d")]
    placed = (
        f'<g transform="translate({place * _WIDTH},24)">{chart}</g>' for place, chart in enumerate(charts)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH} {_HEIGHT + 24}" '
        'font-family="sans-serif" font-size="12" fill="#444">'
        f'<title>{escape(title)}</title><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="16" y="20" font-size="14" fill="#111">{escape(title)}</text>{"".join(placed)}</svg>\n'
    )


def _chart(label: str, bars: Sequence[tuple[int, float]], colour: str) -> str:
    highest = max((value for _, value in bars), default=0.0) or 1.0
    slot = (_WIDTH - 32) / max(1, len(bars))
    parts = [f'<text x="16" y="20">{escape(label)}, by concurrency</text>']
    for place, (concurrency, value) in enumerate(bars):
        height = (_HEIGHT - _TOP - _BOTTOM) * value / highest
        left, top = 16 + place * slot, _HEIGHT - _BOTTOM - height
        middle = left + slot / 2
        parts.append(
            f'<rect x="{left + slot * 0.15:.1f}" y="{top:.1f}" width="{slot * 0.7:.1f}" '
            f'height="{height:.1f}" fill="{colour}"/>'
            f'<text x="{middle:.1f}" y="{top - 4:.1f}" text-anchor="middle">{_shown(value)}</text>'
            f'<text x="{middle:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{concurrency}</text>'
        )
    return "".join(parts)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
