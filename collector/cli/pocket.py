"""``python -m collector pocket``: the embedded engine's models - list, serve, train, export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from collector.errors import UsageError
from collector.i18n import t

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Adds the command."""
    about = t(
        "the embedded engine and its small demonstration models", "内置引擎及其用于演示的小模型"
    )  # fmt: skip
    parser = subparsers.add_parser("pocket", help=about, description=about)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add(actions, "list", t("list the models", "列出模型"), _list)

    serve = _add(actions, "serve", t("answer Ollama's API on this machine", "在本机提供 Ollama 的 API"), _serve)
    serve.add_argument("--host", default="127.0.0.1", help=t("loopback address", "回环地址"))
    serve.add_argument(
        "--port", type=int, default=11435, help=t("port; 0 takes a free one", "端口；0 表示任选空闲端口")
    )

    train = _add(actions, "train", t("train the models again (5 to 15 minutes)", "重新训练模型（5 到 15 分钟）"), _train)
    train.add_argument("--out", type=Path, metavar="DIR", help=t("default: where they ship", "默认：随软件发布的位置"))
    train.add_argument("--seed", type=int, help=t("same seed, same weights", "相同的种子得到相同的权重"))
    train.add_argument("--models", nargs="+", metavar="NAME", help=t("only these", "只训练这些模型"))

    export = _add(actions, "export", t("write folders for a real Ollama", "导出供真正的 Ollama 使用的目录"), _export)
    export.add_argument("dir", type=Path, metavar="DIR", help=t("folder to write into", "输出目录"))
    export.add_argument("--models", nargs="+", metavar="NAME", help=t("only these", "只导出这些模型"))


def _add(actions: Any, name: str, about: str, command: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=about, description=about)
    parser.set_defaults(func=command)
    return parser


def _list(options: argparse.Namespace) -> int:
    from collector.pocket import registry
    from collector.pocket.runtime import PocketModel

    for name, folder in registry().items():
        model = PocketModel.load(folder)
        millions, megabytes = model.parameter_count / 1e6, model.size_bytes / 1e6
        print(f"{name:<16} {millions:5.2f}M {megabytes:6.2f} MB  {model.kernel:<10} {model.digest[:12]}")
    print(t("These models are a demonstration and say nothing about real language models.",
            "这些模型仅用于演示，不能说明真实语言模型的情况。"))  # fmt: skip
    return 0


def _serve(options: argparse.Namespace) -> int:
    from collector.pocket.server import serve

    if not 0 <= options.port <= 65535:
        raise UsageError(
            f"--port is {options.port}; it must be 0 to 65535.", f"--port 为 {options.port}，应为 0 到 65535。"
        )
    serve(options.host, options.port)
    return 0


def _train(options: argparse.Namespace) -> int:
    from collector.pocket import MODELS_DIR
    from collector.pocket.train import SEED, train

    seed = SEED if options.seed is None else options.seed
    for folder in train(options.out or MODELS_DIR, seed=seed, names=options.models):
        print(folder)
    return 0


def _export(options: argparse.Namespace) -> int:
    from collector.pocket.export import export

    for folder in export(options.dir, options.models):
        print(folder)
    print(t("How to import them is written in", "导入方法见"), options.dir / "README.md")
    return 0
