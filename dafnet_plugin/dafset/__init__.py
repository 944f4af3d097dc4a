"""Building a DAFSet from Wikidata.

Which way data flows::

    dump, API, KGTK, SPARQL -> Entity -> Store (Parquet) -> selection -> samples

:mod:`~dafnet_plugin.dafset.graph` says what an entity is, :mod:`~dafnet_plugin.dafset.sources`
reads them, :mod:`~dafnet_plugin.dafset.ingest` writes them to a
:mod:`~dafnet_plugin.dafset.store`, :mod:`~dafnet_plugin.dafset.traffic` adds how often their pages
are read, and :mod:`~dafnet_plugin.dafset.changes` compares two stores.

Importing this package imports nothing that an edit does not need; the libraries of the extra
``dafset`` are asked for where they are used (:mod:`~dafnet_plugin.dafset.extras`).
"""
