"""The files, tables and texts that a sweep leaves."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.results.bounds import bounds_in_words, broken_of, none_feasible
    from hypercl.sweep.results.cost import cost_rows
    from hypercl.sweep.results.damage import LostAndFound, Weight, faults_of
    from hypercl.sweep.results.events import JsonEvents
    from hypercl.sweep.results.files import TrialsTable, origin_of, ranked_rows, write_best, write_sweep, write_trials
    from hypercl.sweep.results.goals import best_rows, chosen_rows, goals_in_words, placed, several, sought, told
    from hypercl.sweep.results.how_sure import how_sure_rows
    from hypercl.sweep.results.importance import LEAST, Importance, importances, importances_by_task
    from hypercl.sweep.results.listeners import listener_for
    from hypercl.sweep.results.methods import methods_rows
    from hypercl.sweep.results.report import (
        apart_in_words,
        final_of,
        own_folder,
        protocols_table,
        rankings,
        read_sweeps,
        write_by_task,
        write_joined,
        write_preferred,
        write_report,
    )
    from hypercl.sweep.results.stability import stability_rows
    from hypercl.sweep.results.status import Running, stage_of, state_words, status_of, status_rows
    from hypercl.sweep.results.wandb_best import give_best

__all__, __getattr__ = lazy(__name__, __file__)
