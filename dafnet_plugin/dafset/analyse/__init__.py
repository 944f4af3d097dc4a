"""Analysis of a DAFSet: what a reader wants to know before trusting it.

:func:`write_analysis` measures (:mod:`~.measures`, :mod:`~.overlap`), puts everything into plain
data (:mod:`~.summary`), and draws figures and page from these data alone.
"""

from __future__ import annotations

from pathlib import Path

from dafnet_plugin.dafset.analyse.drawing import save
from dafnet_plugin.dafset.analyse.figures import figures
from dafnet_plugin.dafset.analyse.knowledge import Knowledge
from dafnet_plugin.dafset.analyse.measures import measure
from dafnet_plugin.dafset.analyse.page import render
from dafnet_plugin.dafset.analyse.sets import Against, load_sets
from dafnet_plugin.dafset.analyse.style import styles
from dafnet_plugin.dafset.analyse.summary import summarise
from dafnet_plugin.files import write_json, write_text

PAGE, DATA = "analysis.html", "analysis.json"


def write_analysis(
    folder: str | Path,
    out: str | Path,
    against: Against = None,
    *,
    store: str | Path | None = None,
    corpus: str | Path | None = None,
    model: str | None = None,
    device: str = "cpu",
    batch_size: int = 32,
) -> Path:
    """Analyse a DAFSet and write one page without network, a PNG for each figure, and the data.

    What the samples say about themselves is always used. Frequency, degree and likelihood of
    other data sets can only be had where a corpus, a graph or a model is given; they are then
    found anew for all sets, in the same way.

    Args:
        folder: with any of DAFSet's four files.
        out: where ``analysis.html``, ``analysis.json`` and the PNGs go.
        against: other data sets: name -> file, the name being that of the format (``zsre``,
            ``counterfact``, ...) or ``<name>=<format>``; or just files.
        store: folder of the Parquet store, for degrees and domains.
        corpus: a text file, for frequencies.
        model: folder or name of a causal language model, for likelihoods.
        device, batch_size: of the model.

    Returns:
        the page.

    Raises:
        DataError: a file is missing or malformed.
        ConfigError: a library or the model is not there; says what to do.
        NumericalError: the model gives no finite number for any fact of a set.
    """
    folder, out = Path(folder), Path(out)
    sets = load_sets(folder, against)
    knowledge = None if store is None else Knowledge(store)
    measures = measure(
        sets,
        knowledge=knowledge,
        corpus=corpus,
        model=model,
        device=device,
        batch_size=batch_size,
    )
    data = summarise(folder, sets, measures, knowledge)
    looks = styles([one.name for one in sets])
    drawn = figures(data, looks)
    page = render(data, drawn, looks)
    for figure in drawn:
        save(figure, out)
    write_json(out / DATA, data)
    write_text(out / PAGE, page)
    return out / PAGE


__all__ = ["write_analysis"]
