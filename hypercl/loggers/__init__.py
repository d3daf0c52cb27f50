"""Who listens to a run: metrics.jsonl, the terminal, W&B, TensorBoard, a logger of the user's own."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.loggers.composite import Loggers, build, check_loggers
    from hypercl.loggers.dashboard import save as save_dashboard
    from hypercl.loggers.ending import Ending, How, ending_of, reports_of, run_to_end
    from hypercl.loggers.jsonl import JsonLines, by_iteration, read_rows, sound_rows, task_accuracies
    from hypercl.loggers.measured import final_metrics, heat_map
    from hypercl.loggers.spec import Logger, LoggerSpec
    from hypercl.loggers.terminal import Terminal, matrix_or_path
    from hypercl.loggers.wandb import WandbLogger
    from hypercl.loggers.wandb_best import BestOfSweep
    from hypercl.loggers.wandb_best import tell as tell_wandb
    from hypercl.loggers.wandb_mode import Mode, cut_off, decide_mode, offline_files, sync_hint

__all__, __getattr__ = lazy(__name__, __file__)
