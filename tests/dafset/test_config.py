"""Recipes: everything that is wrong with one is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dafnet_plugin.cli import main
from dafnet_plugin.dafset.config import BuildConfig, moment
from dafnet_plugin.dafset.relations import load_relations
from dafnet_plugin.dafset.services import Services
from dafnet_plugin.errors import ConfigError


def read(**values: Any) -> BuildConfig:
    return BuildConfig.from_dict({"sources": ["dump.json"]} | values, "recipe.yaml")


def test_defaults() -> None:
    config = read()
    assert config.recent.days == 7 and config.engine == "duckdb" and config.size == 1000
    assert BuildConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size: 0; allowed: above 0"),
        ({"sise": 3}, "sise: unknown key .*did you mean 'size'"),
        ({"recent": {"days": 0}}, "recent.days: 0"),
        ({"recent": {"until": "yesterday"}}, "recent.until: 'yesterday'; allowed: a date"),
        ({"popular": {"hops": 0}}, "popular.hops: 0"),
        ({"popular": {"share": 0}}, "popular.share: 0"),
        ({"properties": ["populer"]}, "'populer' .did you mean 'popular'"),
        ({"properties": []}, "properties: none"),
        ({"true_targets": ["new"]}, "true_targets: 'new'"),
        ({"long_tail": {"by": ["rarity"]}}, "'rarity'; allowed: frequency, degree"),
        ({"long_tail": {"by": ["frequency"]}}, "frequency needs corpus"),
        ({"long_tail": {"quantile": 1.5}}, "quantile: 1.5"),
        ({"long_tail": {"combine": "sum"}}, "combine: 'sum'; allowed: mean, any, all"),
        ({"eval_share": 1.0}, "eval_share: 1.0"),
        ({"reserved_share": 0.0}, "reserved_share: 0.0"),
        ({"engine": "sparkle"}, "engine: 'sparkle' .did you mean 'spark'"),
        ({"store": "x"}, "one of both"),
        ({"sources": []}, "one of both"),
        ({"services": {"api": "https://example.org"}}, "api and ids go together"),
        ({"services": {"top_days": ["x"]}}, "top_pages and top_days go together"),
        ({"services": {"top_pages": "u", "top_days": ["x"]}}, "services.top_days: 'x'; allowed"),
        ({"sources": [], "store": "x", "pageviews": ["v"]}, "left as it is"),
    ],
)
def test_what_can_be_wrong(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read(**values)
    assert str(error.value).startswith("recipe.yaml: ")


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"3 problem\(s\)"):
        read(size=0, jobs=0, engine="x")


def test_moments() -> None:
    assert moment("1970-01-02") == 86_400 == moment("1970-01-02T00:00:00Z")
    assert moment("1970-01-02T02:00:00+02:00") == 86_400
    assert moment("") is None and moment("-0044") is None


def test_services_are_asked_only_where_configured(tmp_path: Path) -> None:
    table = load_relations().only(["P36"])
    assert Services(read(), tmp_path).sources(table) == []
    assert Services(read(), tmp_path).top_pages() == []
    config = read(
        recent={"until": "2026-11-20", "days": 2},
        services={
            "sparql": "https://sparql.example.org/query", "sparql_limit": 5,
            "api": "https://api.example.org/w/api.php", "ids": ["Q42"],
            "top_pages": "https://top.example.org/{project}/{year}/{month:02d}/{day:02d}",
            "top_days": ["2026-11-19"], "user_agent": "me (me@example.org)", "interval": 2.0,
        },
    )  # fmt: skip
    services = Services(config, tmp_path)
    sparql, api = services.sources(table)
    assert sparql.endpoint == "https://sparql.example.org/query" and sparql.limit == 5
    assert sparql.since.isoformat() == "2026-11-18T00:00:00+00:00"
    assert api.url == "https://api.example.org/w/api.php" and list(api.ids) == ["Q42"]
    (top,) = services.top_pages()
    assert top.url.startswith("https://top.example.org/")
    for source in (sparql, api, top):
        assert source.client.user_agent == "me (me@example.org)"
        assert source.client.interval == 2.0 and source.client.cache == tmp_path


def test_the_command_line(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(data_dir / "wikidata" / f"kgtk-{name}.tsv.gz") for name in ("claims", "labels")]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("size: 500\nproperties: [popular, robust]\nthreads: 1\n")
    out = tmp_path / "out"
    status = main(
        ["dafset", "build", *files, "--config", str(recipe), "--size", "7", "--out", str(out)]
    )
    printed = capsys.readouterr()
    assert status == 0 and "popular.json: 7 edits" in printed.out
    assert "several objects" in printed.err


def test_errors_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        assert main(["dafset", "build", "--out", str(tmp_path / "out"), *arguments]) == 2
        return capsys.readouterr().err

    assert "sources, store: give files" in run()
    assert "nowhere.json" in run(str(tmp_path / "nowhere.json"))
    assert "allowed: duckdb, spark" in run("dump.json", "--engine", "x")
    assert "P99999" in run("dump.json", "--only", "P99999")
    assert "not in" in run("dump.json", "--only", "capital")
    picture = tmp_path / "picture.json"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    assert "picture.json" in run(str(picture))


def test_analyse_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    analyse = pytest.importorskip("dafnet_plugin.dafset.analyse")
    given: dict[str, Any] = {}

    def write_analysis(folder: str, out: str, **options: Any) -> Path:
        given.update(options, folder=folder)
        return Path(out) / "analysis.html"

    monkeypatch.setattr(analyse, "write_analysis", write_analysis)
    arguments = ["analyse", "d", "--out", str(tmp_path), "--against", "a.json", "b.json"]
    assert main(["dafset", *arguments, "--model", "m"]) == 0
    assert "analysis.html" in capsys.readouterr().out
    assert given["against"] == ["a.json", "b.json"] and given["model"] == "m"
    assert given["folder"] == "d" and given["store"] is None


def test_a_missing_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from tests.dafset.small_store import write_small_store

    store = write_small_store(tmp_path / "store")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert main(["dafset", "build", "--store", str(store), "--out", str(tmp_path / "o")]) == 2
    assert "pip install 'dafnet-plugin[dafset]'" in capsys.readouterr().err
