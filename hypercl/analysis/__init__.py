"""Tables and figures from the folders of finished runs and sweeps."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.analysis.confirming import confirming_round, halving_plan, p_no_better, to_tell
    from hypercl.analysis.distances import distances_figure, drift, pairwise, weights_of
    from hypercl.analysis.embedding_plane import accuracy_over_plane, embeddings_of, plane_figure, plane_of
    from hypercl.analysis.final import About, FinalResult, Reported, read_final, with_later, write_final
    from hypercl.analysis.final_table import final_rows, title
    from hypercl.analysis.final_text import (
        BASE,
        JOINT,
        LEAK,
        SCRATCH,
        Content,
        counterpart,
        label_in_words,
        leading,
        least_p,
        p_of,
    )
    from hypercl.analysis.front import comparison_figure, comparison_table, front_figure
    from hypercl.analysis.functions import functions_figure, write_functions_png
    from hypercl.analysis.how_sure import another_sweep, foretold
    from hypercl.analysis.matrix import matrix_figure, write_matrix_png
    from hypercl.analysis.optimism import Joined, joined_optimism, optimism_figure, write_optimism
    from hypercl.analysis.posterior import Posterior, posterior_of
    from hypercl.analysis.race import draw_race, race_markdown, race_table
    from hypercl.analysis.race_record import RaceRecord, race_record_of
    from hypercl.analysis.racing import Plan, Round, level_of, p_worse
    from hypercl.analysis.sensitivity import LINES, sensitivity_figure
    from hypercl.analysis.stability import by_task_rows, stability_trace, write_stability
    from hypercl.analysis.statistics import NORMAL, t_interval
    from hypercl.analysis.style import BLUE, ORANGE, empty_figure, legend_below
    from hypercl.analysis.sweep import (
        draw_sweep,
        history_figure,
        importance_figure,
        parameter_figure,
        read_trials,
        under_protocol,
    )
    from hypercl.analysis.winners import winners_in_words
__all__, __getattr__ = lazy(__name__, __file__)
