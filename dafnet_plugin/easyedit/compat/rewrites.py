"""The source patches: each takes a module's syntax tree, changes it, says how often it did."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from . import runtime

Rewrite = Callable[[ast.Module], int]


def _call(function: str, *args: ast.expr) -> ast.Call:
    name = ast.Attribute(ast.Name(runtime.NAME, ast.Load()), function, ast.Load())
    return ast.Call(name, list(args), [])


class _Replacer(ast.NodeTransformer):
    """Replaces every node for which ``new`` gives one; ``None`` keeps it."""

    def __init__(self, new: Callable[[Any], ast.AST | None]) -> None:
        self.new = new
        self.count = 0

    def visit(self, node: ast.AST) -> Any:
        node = self.generic_visit(node)
        new = self.new(node)
        if new is None:
            return node
        self.count += 1
        return ast.copy_location(new, node)


def _replace(tree: ast.AST, new: Callable[[Any], ast.AST | None]) -> int:
    replacer = _Replacer(new)
    replacer.visit(tree)
    return replacer.count


def _is_call(node: object, dotted: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == dotted


def device(tree: ast.Module) -> int:
    """``f"cuda:{x}"`` -> ``resolve_device(x)``."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.JoinedStr([ast.Constant("cuda:"), ast.FormattedValue(value=value)]):
                return _call("resolve_device", value)
        return None

    return _replace(tree, new)


def training_device(tree: ast.Module) -> int:
    """``self.config.device``, where read -> ``resolve_device(self.config.device)``."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Attribute(ast.Attribute(ast.Name("self"), "config"), "device", ast.Load()):
                return _call("resolve_device", node)
        return None

    return _replace(tree, new)


def archive_load(tree: ast.Module) -> int:
    """``torch.load(path)`` -> ``torch.load(path, map_location="cpu", weights_only=False)``."""

    def new(node: ast.AST) -> ast.AST | None:
        if not isinstance(node, ast.Call) or not _is_call(node, "torch.load"):
            return None
        given = {keyword.arg for keyword in node.keywords}
        wanted: dict[str, str | bool] = {"map_location": "cpu", "weights_only": False}
        extra = [
            ast.keyword(name, ast.Constant(value))
            for name, value in wanted.items()
            if name not in given
        ]
        return ast.Call(node.func, node.args, node.keywords + extra) if extra else None

    return _replace(tree, new)


def tokenizer_class(tree: ast.Module) -> int:
    """``getattr(transformers, config.tokenizer_class)`` and ``transformers.LlamaTokenizer``."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Call(ast.Name("getattr"), [ast.Name("transformers"), name]) if isinstance(
                name, ast.Attribute
            ):
                if name.attr == "tokenizer_class":
                    return _call("tokenizer_class", name)
            case ast.Attribute(ast.Name("transformers"), "LlamaTokenizer"):
                return _call("tokenizer_class", ast.Constant("LlamaTokenizer"))
        return None

    return _replace(tree, new)


def hidden_state(tree: ast.Module) -> int:
    """``cur_out[0]`` and ``....output[0]`` -> ``hidden_state(...)``, which takes tensors too."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Subscript(
                (ast.Name("cur_out") | ast.Attribute(attr="output")) as value, ast.Constant(0)
            ):
                return _call("hidden_state", value)
        return None

    return _replace(tree, new)


def target_start_token(tree: ast.Module) -> int:
    """``tok(request["target_new"], ...)`` -> the same with ``add_special_tokens=False``."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Call(
                ast.Name("tok"),
                [ast.Subscript(ast.Name("request"), ast.Constant("target_new"))] as args,
                keywords,
            ) if all(keyword.arg != "add_special_tokens" for keyword in keywords):
                extra = ast.keyword("add_special_tokens", ast.Constant(False))
                return ast.Call(node.func, args, [*keywords, extra])
        return None

    return _replace(tree, new)


def any_gpt2(tree: ast.Module) -> int:
    """``"gpt2-xl" in name`` -> ``"gpt2" in name``."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Compare(ast.Constant("gpt2-xl"), [ast.In()], names):
                return ast.Compare(ast.Constant("gpt2"), [ast.In()], names)
        return None

    return _replace(tree, new)


def model_parallel_flag(tree: ast.Module) -> int:
    """``hparams.model_parallel`` -> ``getattr(hparams, "model_parallel", False)``."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Attribute(value, "model_parallel", ast.Load()):
                args = [value, ast.Constant("model_parallel"), ast.Constant(False)]
                return ast.Call(ast.Name("getattr", ast.Load()), args, [])
        return None

    return _replace(tree, new)


def lora_parallel(tree: ast.Module) -> int:
    """Drop ``peft_model.model_parallel = True``."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Assign([ast.Attribute(attr="model_parallel")], ast.Constant(True)):
                return ast.Pass()
        return None

    return _replace(tree, new)


def lora_restore(tree: ast.Module) -> int:
    """``del self.model.peft_config`` -> ``forget_peft(self.model)``."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Delete([ast.Attribute(value, "peft_config")]):
                return ast.Expr(_call("forget_peft", value))
        return None

    return _replace(tree, new)


def restore(tree: ast.Module) -> int:
    """``for k, v in weights_copy.items(): ...`` -> ``restore_weights(self.model, ...)``."""

    def new(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.For) and _is_call(node.iter, "weights_copy.items"):
            model = ast.Attribute(ast.Name("self", ast.Load()), "model", ast.Load())
            copy = ast.Name("weights_copy", ast.Load())
            return ast.Expr(_call("restore_weights", model, copy))
        return None

    return _replace(tree, new)


def result_files(tree: ast.Module) -> int:
    """In ``summary_metrics``: make no folder, and write only into one that exists."""

    def new(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Expr(call) if _is_call(call, "os.makedirs"):
                return ast.Pass()
            case ast.Call(ast.Name("open"), args, keywords):
                call = _call("open_result", *args)
                call.keywords = keywords
                return call
        return None

    return sum(
        _replace(node, new)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "summary_metrics"
    )


def root_logger(tree: ast.Module) -> int:
    """``logging.basicConfig(...)`` in a module's body -> ``configure_logging(...)``."""
    count = 0
    for node in tree.body:
        if isinstance(node, ast.Expr) and _is_call(node.value, "logging.basicConfig"):
            assert isinstance(node.value, ast.Call)
            call = _call("configure_logging")
            call.keywords = node.value.keywords
            node.value = ast.copy_location(call, node.value)
            count += 1
    return count


def import_seed(tree: ast.Module) -> int:
    """Drop ``seed_everything(...)`` from a module's body."""
    before = len(tree.body)
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Expr) and _is_call(node.value, "seed_everything"))
    ]
    return before - len(tree.body)
