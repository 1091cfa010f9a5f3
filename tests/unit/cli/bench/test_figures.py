"""What samples say, and how it is drawn."""

from xml.etree import ElementTree

from antiphon.cli.bench.figures import Figures, figures
from antiphon.cli.bench.load import Sample
from antiphon.cli.bench.plot import svg


def test_figures_leave_failed_requests_out() -> None:
    """But count them."""
    samples = [
        Sample(0.0, [0.1, 0.2, 0.4], tokens=3, ended=0.4),
        Sample(0.0, [0.3], tokens=1, ended=0.3),
        Sample(0.0, [9.0], tokens=100, ended=9.0, error="no"),
    ]

    assert figures(samples, 2.0, 3) == Figures(
        concurrency=3,
        requests=3,
        failed=1,
        seconds=2.0,
        tokens_per_s=2.0,
        requests_per_s=1.0,
        first_token_ms=(200.0, 290.0),
        next_token_ms=(150.0, 195.0),
    )


def test_nothing_measured_is_zero() -> None:
    """Where every request failed."""
    run = figures([Sample(0.0, error="no")], 1.0, 1)

    assert (run.first_token_ms, run.tokens_per_s) == ((0.0, 0.0), 0.0)


def test_chart_is_well_formed_and_shows_every_number() -> None:
    """Whatever the model is called; the highest bar is as high as there is room."""
    runs = [Figures(1, 8, 0, 1.0, 12.34, 1.0, (5.0, 6.0), (1.0, 1.0))]
    runs += [Figures(4, 8, 0, 1.0, 2000.0, 1.0, (50.0, 60.0), (1.0, 1.0))]
    root = ElementTree.fromstring(svg("<m> & co", runs))
    texts = [element.text for element in root.iter() if element.text]
    heights = [float(bar.get("height", "0")) for bar in root.iter() if bar.get("fill", "").startswith("#2a")]

    assert {"<m> & co", "12.3", "2,000", "5.0", "50.0", "1", "4"} <= set(texts)
    assert heights == [0.9, 150.0]
