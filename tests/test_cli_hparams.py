"""``dafnet validate``, ``plan`` and ``init-hparams``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import transformers
import yaml

from dafnet_plugin.cli import main
from dafnet_plugin.cli.validate import files_of
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.hparams import DAFNetHparams, DAFNetTrainingHparams

ROOT = Path(__file__).resolve().parents[1]
GPT2 = "model_name: gpt2\nedit_modules: [transformer.h.11.mlp.c_proj]\n"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str = GPT2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_folders_patterns_and_everything(there: Path) -> None:
    a, b = write(there / "hparams/DAFNET/a.yaml"), write(there / "hparams/DAFNET/b.yaml")
    t = write(there / "hparams/TRAINING/DAFNET/a.yaml")
    write(there / "hparams/ROME/a.yaml", "layers: [5]\n")
    write(there / "hparams/defaults/DAFNET.yaml", "device: 0\n")

    def found(*paths: str) -> list[Path]:
        return [path.resolve() for path in files_of(paths, ["DAFNET"])]

    assert found("hparams") == [a, b, t]
    assert found("hparams/**/a.yaml") == [a, t]
    assert found("hparams/DAFNET/[ab].yaml", "hparams/DAFNET/b.yaml") == [a, b]
    patches = write(there / "hparams/TPATCHER/a.yaml")
    assert set(files_of(["hparams"], ["DAFNET", "TPATCHER"])) == {
        path.relative_to(there) for path in (a, b, t, patches)
    }
    assert found("hparams/ROME/a.yaml") == [there / "hparams/ROME/a.yaml"]  # asked for by name
    for nothing in ("hparams/ROME", "hparams/*/c*.yaml"):
        with pytest.raises(ConfigError, match="no file of DAFNET, KE in"):
            files_of([nothing], ["KE", "DAFNET"])


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(there: Path) -> None:
    write(there / "DAFNET/a[1].yaml")
    assert files_of(["DAFNET/a[1].yaml"], ["DAFNET"]) == [Path("DAFNET/a[1].yaml")]


def test_validate_without_a_path_takes_everything(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate"]) == 2
    assert "no folder hparams in this directory" in capsys.readouterr().err
    write(there / "hparams/DAFNET/gpt2.yaml")
    write(there / "hparams/TRAINING/DAFNET/gpt2.yaml", GPT2 + "model_class: GPT2LMHeadModel\n")
    assert main(["validate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "hparams/DAFNET/gpt2.yaml: ok"
    assert lines[1].startswith("  gpt2 as published: 1 modules; network of ")
    assert lines[2] == "  the language-model head is the token embeddings (tied); neither is edited"
    assert lines[3] == "hparams/TRAINING/DAFNET/gpt2.yaml: ok"


def test_validate_goes_on_after_a_wrong_file_and_says_all(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(there / "DAFNET/a.yaml", GPT2.replace("11", "12"))
    write(there / "DAFNET/b.yaml", GPT2 + "btach_size: 2\n")
    write(there / "DAFNET/c.yaml", GPT2.replace("gpt2", "./own"))
    write(there / "own/config.json", "{}")
    write(there / "DAFNET/d.yaml", GPT2.replace("gpt2", "nobody/knows-me"))
    write(there / "DAFNET/e.yaml")
    assert main(["validate", "DAFNET"]) == 1
    shown = capsys.readouterr()
    assert "DAFNET/a.yaml: 1 problem(s) with gpt2 as published" in shown.err
    assert "no module 'transformer.h.12.mlp.c_proj'" in shown.err
    assert "btach_size: unknown key (did you mean 'batch_size'?)" in shown.err
    assert "DAFNET/c.yaml: model_name: own/config.json: model_type is missing" in shown.err
    assert [line for line in shown.out.splitlines() if not line.startswith("  ")] == [
        "DAFNET/d.yaml: ok",
        "DAFNET/e.yaml: ok",
    ]
    assert "schema only: 'nobody/knows-me' is neither a directory" in shown.out


def test_each_file_is_checked_as_what_it_is(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = GPT2.partition("edit_modules")[0]
    for name, modules in (("KE", "mlp.c_proj"), ("TPATCHER", "mlp"), ("CALINET", "mlp.c_proj")):
        text = f"alg_name: {name}\n{place}edit_modules: [transformer.h.11.{modules}]\n"
        write(there / f"{name}/a.yaml", text)
        write(there / f"somewhere/{name.lower()}.yaml", text)
    write(there / "TRAINING/KE/a.yaml", f"alg: KE\n{GPT2}model_class: GPTJForCausalLM\n")
    files = ["KE", "TPATCHER", "CALINET", "TRAINING", *map(str, there.glob("somewhere/*.yaml"))]
    assert main(["validate", *files]) == 1
    shown = capsys.readouterr()
    assert "KE/a.yaml: ok\n  gpt2 as published: 1 modules\n  the language-model head" in shown.out
    assert "TPATCHER/a.yaml: ok\n  gpt2 as published: 1 modules\n" in shown.out
    assert shown.out.count(": ok\n") == 4  # by what they say, wherever they lie
    assert shown.err.count("'transformer.h.11.mlp.c_proj' (Conv1D) is not a feed-forward") == 2
    assert "model_class: 'GPTJForCausalLM'; allowed: 'GPT2LMHeadModel'" in shown.err


def test_an_archive_of_ke_is_checked_too(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(there / "trained/ke.json", '{"edit_modules": ["a"], "shapes": [[3, 4]]}')
    write(there / "KE/a.yaml", f"alg_name: KE\n{GPT2}archive: trained\n")
    assert main(["validate", "KE"]) == 1
    assert "archive: 'trained' was trained for ['a'] of shapes [[3, 4]]" in capsys.readouterr().err


def test_shipped_files_are_valid_in_their_architecture(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["validate", str(ROOT / "hparams/DAFNET/gemma*.yaml")]) == 0
    shown = capsys.readouterr()
    assert "gemma-2-2b as published: 3 modules" in shown.out
    assert "schema only" not in shown.out and shown.err == ""


def test_plan_says_sizes_and_memory(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(there / "DAFNET/gpt2.yaml")
    assert main(["plan", str(file), "--edits", "7", "--tokens", "9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{file}: gpt2 as published"
    assert lines[1] == "  transformer.h.11.mlp.c_proj  3072 -> 768"
    text = "\n".join(lines)
    for words in ("base model        475 MiB", "at 7 edits", "signals of 9 tokens"):
        assert words in text
    # 3072 * 3072 float32 numbers, twice.
    assert "key statistics     72 MiB" in text


def test_plan_of_what_cannot_be_planned(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = write(there / "DAFNET/x.yaml", GPT2.replace("gpt2", "nobody/knows-me"))
    wrong = write(there / "DAFNET/y.yaml", GPT2.replace("c_proj", "c_porj"))
    other = write(there / "KE/z.yaml", f"alg_name: KE\n{GPT2}")
    for arguments, words in (
        ([str(unknown)], "model_name: 'nobody/knows-me'; allowed: a directory with a config.json"),
        ([str(wrong)], "did you mean 'transformer.h.11.mlp.c_proj'?"),
        ([str(wrong), "--edits", "-1"], "--edits: -1; allowed: 0 or more"),
        ([str(wrong), "--tokens", "-1"], "--tokens: -1; allowed: 0 or more"),
        ([str(other)], "alg_name: 'KE'; allowed: 'DAFNET'"),
    ):
        assert main(["plan", *arguments]) == 2
        assert words in capsys.readouterr().err


def unseen(folder: Path) -> Path:
    transformers.OPTConfig(
        hidden_size=32,
        word_embed_proj_dim=16,  # narrower than the stream, as in OPT-350m
        ffn_dim=80,
        num_hidden_layers=5,
        num_attention_heads=4,
        vocab_size=64,
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("given", ["own-opt", "own-opt/config.json"])
def test_init_hparams_writes_two_files_that_validate(
    given: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unseen(there / "own-opt")
    assert main(["init-hparams", "--model", given]) == 0
    shown = capsys.readouterr().out
    files = ["hparams/DAFNET/own-opt.yaml", "hparams/TRAINING/DAFNET/own-opt.yaml"]
    assert [f"{file}: written" in shown for file in files] == [True, True]
    assert "dafnet train hparams/TRAINING/DAFNET/own-opt.yaml" in shown
    for file in files:
        data = yaml.safe_load(Path(file).read_text())
        assert data["edit_modules"] == [f"model.decoder.layers.{n}.fc2" for n in (2, 3, 4)]
        assert data["model_name"] == "own-opt"
    assert main(["validate"]) == 0
    assert capsys.readouterr().out.count("own-opt/config.json: 3 modules") == 2


def test_init_hparams_replaces_nothing_unasked(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unseen(there / "own-opt")
    command = ["init-hparams", "--model", "own-opt", "--out", "h", "--name", "mine"]
    assert main(command) == 0
    mine = Path("h/DAFNET/mine.yaml")
    mine.write_text("mine\n")
    assert main(command) == 2
    assert "h/DAFNET/mine.yaml and h/TRAINING/DAFNET/mine.yaml: there already" in (
        capsys.readouterr().err
    )
    assert mine.read_text() == "mine\n"
    assert main([*command, "--force"]) == 0
    assert mine.read_text() != "mine\n"


def test_init_hparams_writes_what_the_shipped_files_have_in_common(there: Path) -> None:
    unseen(there / "own-opt")
    assert main(["init-hparams", "--model", "own-opt"]) == 0
    for folder, kind, defaults in (
        ("DAFNET", DAFNetHparams, "DAFNET.yaml"),
        ("TRAINING/DAFNET", DAFNetTrainingHparams, "DAFNET-training.yaml"),
    ):
        written = kind.read(f"hparams/{folder}/own-opt.yaml").to_dict()
        own = ("model_name", "edit_modules", "archive", "model_class", "tokenizer_name")
        values = {name: written[name] for name in own if name in written}
        common = write(there / "common.yaml", yaml.safe_dump(values))
        common.write_text(f"defaults: {ROOT / 'hparams/defaults' / defaults}\n{common.read_text()}")
        assert kind.read(common).to_dict() == written


@pytest.mark.parametrize(
    ("inside", "given", "model_name", "label"),
    [
        (".", "own-opt", "own-opt", "own-opt"),
        (".", "own-opt/config.json", "own-opt", "own-opt"),
        ("own-opt", "config.json", None, "own-opt"),
        ("own-opt", ".", None, "own-opt"),
        ("own-opt/deep", "..", None, "own-opt"),
        ("own-opt/deep", "../config.json", None, "own-opt"),
    ],
)
def test_editing_looks_where_training_writes_whatever_the_name(
    inside: str,
    given: str,
    model_name: str | None,
    label: str,
    there: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unseen(there / "own-opt")
    (there / "own-opt/deep").mkdir()
    monkeypatch.chdir(inside)
    assert main(["init-hparams", "--model", given, "--name", "mine"]) == 0
    editing = DAFNetHparams.read("hparams/DAFNET/mine.yaml")
    training = DAFNetTrainingHparams.read("hparams/TRAINING/DAFNET/mine.yaml")
    assert editing.model_name == training.model_name == (model_name or str(there / "own-opt"))
    assert editing.archive == f"{training.results_dir}/models/DAFNET/{label}"
    assert Path(training.model_name).name == label  # which training calls its checkpoint by


def test_init_hparams_says_what_is_wrong(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers.MixtralConfig(
        hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=48
    ).save_pretrained(there / "experts")
    unseen(there / "own-opt")
    for arguments, words in (
        (["--model", "none"], "none: there is no such file; a model's config.json is needed"),
        (["--model", "experts"], "a mixture of experts"),
        (["--model", "own-opt", "--name", "a/b"], "--name: 'a/b'; allowed: a file name"),
    ):
        assert main(["init-hparams", *arguments]) == 2
        shown = capsys.readouterr().err
        assert words in shown and "Traceback" not in shown
    assert not Path("hparams").exists()


def test_init_hparams_trains_and_edits_a_model_never_seen(
    there: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dafnet_plugin.cases import write_cases
    from tests.helpers import cases, tokenizer

    tok = tokenizer(pad=True)
    config = transformers.OPTConfig.from_pretrained(unseen(there / "own-opt"))
    config.vocab_size = len(tok)
    transformers.OPTForCausalLM(config).save_pretrained(there / "own-opt")
    tok.save_pretrained(there / "own-opt")
    # As in the command's help; what training and editing write and read goes by --name nowhere.
    monkeypatch.chdir("own-opt")
    assert main(["init-hparams", "--model", "config.json", "--name", "mine"]) == 0
    monkeypatch.chdir(there)
    write_cases(there / "cases.jsonl", cases(8))
    # Quick for a test; a user changes the same lines.
    file = there / "own-opt/hparams/TRAINING/DAFNET/mine.yaml"
    text = file.read_text().replace("max_iters: 1000", "max_iters: 2\nsilent: true")
    small = "network: {intra_dim: 8, inter_dim: 4, ffn_dim: 8}\nval_edits: [1]\n"
    file.write_text(text.replace("device: 0", "device: cpu") + small)
    editing = there / "own-opt/hparams/DAFNET/mine.yaml"
    editing.write_text(editing.read_text().replace("device: 0", "device: cpu"))
    assert main(["train", str(file), "--train", "cases.jsonl"]) == 0
    edit = ["edit", str(editing), "--prompt", "Ada lives in", "--target", "Rome"]
    assert main([*edit, "--out", "edited"]) == 0
    assert "saved to edited" in capsys.readouterr().out
    shutil.rmtree("edited")
