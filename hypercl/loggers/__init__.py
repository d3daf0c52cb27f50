"""Who listens to a run: metrics.jsonl, the terminal, W&B."""

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.loggers.composite import Logger, Loggers, build
    from hypercl.loggers.jsonl import JsonLines
    from hypercl.loggers.spec import LoggerSpec
    from hypercl.loggers.terminal import Terminal, matrix_table
    from hypercl.loggers.wandb_mode import decide_mode, sync_hint

__all__ = [
    "JsonLines",
    "Logger",
    "LoggerSpec",
    "Loggers",
    "Terminal",
    "build",
    "decide_mode",
    "matrix_table",
    "sync_hint",
]

__getattr__ = lazy(__name__, __file__)
