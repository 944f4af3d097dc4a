"""The parts of ``compat``, without EasyEdit."""

from __future__ import annotations

import ast
import copy
import logging
import pickle
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Optional

import pytest
import torch

from dafnet_plugin.easyedit import compat
from dafnet_plugin.easyedit.compat import editors, locate, rewrites, runtime
from dafnet_plugin.easyedit.compat.patches import PATCHES
from dafnet_plugin.easyedit.compat.placeholders import Placeholder, missing_package
from dafnet_plugin.errors import EasyEditError


def test_table_lists_every_patch() -> None:
    rows = re.findall(r"^([a-z-]+) +(both|wheel|git) ", compat.__doc__ or "", re.MULTILINE)
    listed = dict(rows)
    assert len(rows) == len(listed)
    by_finder = {"missing-packages", "missing-names"}
    assert set(listed) - by_finder == {patch.name for patch in PATCHES}
    for name in listed.keys() - by_finder:
        versions = {v for patch in PATCHES if patch.name == name for v in patch.versions}
        assert listed[name] == ("both" if len(versions) == 2 else versions.pop())


@pytest.mark.parametrize(
    ("rewrite", "source", "expected"),
    [
        ("device", 'x.to(f"cuda:{h.d}")', "x.to(_dafnet_runtime.resolve_device(h.d))"),
        ("device", 'x.to(f"cuda:{h.d}:")', None),
        ("training_device", "f(self.config.device)", "f({}.resolve_device(self.config.device))"),
        ("training_device", "self.config.device = 1", None),
        ("archive_load", "torch.load(p)", "torch.load(p, map_location='cpu', weights_only=False)"),
        ("archive_load", "torch.load(p, map_location=m, weights_only=True)", None),
        (
            "tokenizer_class",
            "getattr(transformers, c.tokenizer_class)",
            "{}.tokenizer_class(c.tokenizer_class)",
        ),
        ("tokenizer_class", "getattr(transformers, c.model_class)", None),
        ("hidden_state", "cur_out[0][i, j] += d", "{}.hidden_state(cur_out)[i, j] += d"),
        ("hidden_state", "ids[0]", None),
        (
            "target_start_token",
            "tok(request['target_new'], return_tensors='pt')",
            "tok(request['target_new'], return_tensors='pt', add_special_tokens=False)",
        ),
        ("target_start_token", "tok(request['prompt'])", None),
        (
            "any_gpt2",
            "if 'gpt2-xl' in h.model_name.lower(): pass",
            "if 'gpt2' in h.model_name.lower(): pass",
        ),
        ("any_gpt2", "name == 'gpt2-xl'", None),
        ("model_parallel_flag", "h.model_parallel", "getattr(h, 'model_parallel', False)"),
        ("lora_parallel", "m.model_parallel = True", "pass"),
        ("lora_restore", "del self.model.peft_config", "{}.forget_peft(self.model)"),
        (
            "restore",
            "for k, v in weights_copy.items():\n    pass",
            "{}.restore_weights(self.model, weights_copy)",
        ),
        ("root_logger", "logging.basicConfig(level=1)", "{}.configure_logging(level=1)"),
        ("import_seed", "seed_everything(42)\nx = 1", "x = 1"),
        ("import_seed", "def f():\n    seed_everything(42)", None),
        (
            "result_files",
            "def summary_metrics(m):\n    os.makedirs(d)\n    open(f, 'w', encoding='utf-8')",
            "def summary_metrics(m):\n    pass\n    {}.open_result(f, 'w', encoding='utf-8')",
        ),
    ],
)
def test_rewrites(rewrite: str, source: str, expected: str | None) -> None:
    tree = ast.parse(source)
    count = getattr(rewrites, rewrite)(tree)
    assert count == 0 if expected is None else count > 0
    expected = source if expected is None else expected.replace("{}", runtime.NAME)
    assert ast.unparse(ast.fix_missing_locations(tree)) == ast.unparse(ast.parse(expected))


@pytest.mark.parametrize(
    ("device", "with_cuda", "without"),
    [
        (0, "cuda:0", "cpu"),
        ("1", "cuda:1", "cpu"),
        ("cpu", "cpu", "cpu"),
        ("mps", "mps", "mps"),
        ("cuda:1", "cuda:1", "cuda:1"),
        (torch.device("cpu"), "cpu", "cpu"),
    ],
)
def test_resolve_device(
    device: object, with_cuda: str, without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.resolve_device(device) == with_cuda
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.resolve_device(device) == without


def test_placeholder_at_import_time() -> None:
    running = [True]
    cv2: Any = missing_package("cv2", "easyeditor.x", lambda: running[0])

    class Child(cv2.Base):
        def __init__(self) -> None:
            self.value = 1

    @cv2.decorate
    def plain() -> int:
        return 3

    @cv2.decorate(option=1)
    def configured() -> int:
        return 4

    annotation: object = Optional[cv2.Mat]  # noqa: UP045
    assert annotation and (cv2.Mat | None)
    running[0] = False
    assert plain() == 3
    assert configured() == 4
    assert not isinstance(1, cv2.Mat)
    uses = [Child, lambda: cv2.imread("x"), lambda: list(cv2), lambda: cv2.flags[0]]
    for use in uses:
        with pytest.raises(ImportError, match=r"easyeditor\.x needs the package 'cv2'") as caught:
            use()
        assert "opencv-python" in str(caught.value)
    assert repr(cv2.a.b) == "<placeholder for cv2.a.b>"
    assert not hasattr(cv2, "__path__")


def test_placeholders_stay_apart() -> None:
    one = Placeholder("a", "gone", lambda: False)
    assert copy.copy(one)._name == "a"


def test_restore_weights() -> None:
    model = torch.nn.Linear(2, 2)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    runtime.restore_weights(model, None)
    assert not torch.equal(model.weight, before)
    runtime.restore_weights(model, {"weight": before.double()})
    assert torch.equal(model.weight, before)
    called: list[int] = []
    runtime.restore_weights(model, lambda: called.append(1))
    assert called == [1]
    with pytest.raises(EasyEditError, match="returned int"):
        runtime.restore_weights(model, 3)


def test_log_handlers(tmp_path: Path) -> None:
    get = runtime.log_handlers()
    folder = tmp_path / "logs"
    none, _ = get(str(folder), "run.log")
    assert isinstance(none, logging.NullHandler)
    assert not folder.exists()
    folder.mkdir()
    file, _ = get(str(folder), "run.log")
    assert isinstance(file, logging.FileHandler)
    assert get(str(folder), "run.log")[0] is file
    with runtime.open_result(str(folder / "a.json"), "w") as out:
        out.write("1")
    with runtime.open_result(str(tmp_path / "none" / "a.json"), "w") as out:
        out.write("1")
    assert sorted(p.name for p in tmp_path.rglob("*.json")) == ["a.json"]


def test_console_only_where_the_program_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, logger = logging.getLogger(), logging.getLogger("easyeditor")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    runtime.configure_logging(level=logging.INFO)  # pytest has its handlers on the root logger
    assert logger.handlers == []
    monkeypatch.setattr(root, "handlers", [])
    for _ in range(2):
        runtime.configure_logging(level=logging.INFO, format="%(message)s")
    logging.getLogger("easyeditor.editors").warning("once")
    assert capsys.readouterr().err == "once\n"
    assert len(logger.handlers) == 1 and root.handlers == []


def fake_model(kind: str, path: str = "") -> Any:
    return SimpleNamespace(config=SimpleNamespace(model_type=kind, _name_or_path=path))


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        ("gpt2", "/models/gpt2-xl", "gpt2-xl"),
        ("gpt2", "/models/mine", "gpt2"),
        ("gpt2", "openai-community/gpt2-t5-mix", "gpt2"),
        ("llama", "", "llama"),
        ("t5", "google/t5-small", "t5-small"),
    ],
)
def test_model_pair(kind: str, path: str, name: str) -> None:
    model = fake_model(kind, path)
    pair = editors.ModelPair(model, "tok")
    assert pair == name
    assert tuple(pair) == (model, "tok")
    assert copy.deepcopy(pair) is pair
    assert type(pickle.loads(pickle.dumps(pair))) is str


def test_bad_pairs() -> None:
    module = ModuleType("editor")

    class BaseEditor:
        def __init__(self, hparams: Any) -> None:
            self.model, self.tok = hparams.model_name

    module.__dict__["BaseEditor"] = BaseEditor
    editors.take_model_pairs(module)
    with pytest.raises(EasyEditError, match="not 3 objects"):
        BaseEditor(SimpleNamespace(model_name=(1, 2, 3)))
    with pytest.raises(EasyEditError, match=r"config\.model_type.*int"):
        BaseEditor(SimpleNamespace(model_name=(1, 2)))


def test_commit(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    location = locate.Location(tmp_path / "easyeditor", "git")
    assert locate.package_version(location) is None
    (git / "packed-refs").write_text("# pack-refs\nabc refs/heads/main\n")
    assert locate.package_version(location) == "abc"
    (git / "refs" / "heads" / "main").write_text("def\n")
    assert locate.package_version(location) == "def"
    (git / "HEAD").write_text("123\n")
    assert locate.package_version(location) == "123"


def test_find_spec_asks_the_finders_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(locate.HOME_VARIABLE, raising=False)
    with pytest.raises(EasyEditError, match="pip install --no-deps"):
        locate.find_spec([])
