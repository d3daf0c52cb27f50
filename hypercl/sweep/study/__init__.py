"""The Optuna study of a sweep: what was suggested, reported and decided."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.study.belief import beliefs_of
    from hypercl.sweep.study.constraints import METRIC_OF, Bounds, Sized, Verdict, beyond, violations_of
    from hypercl.sweep.study.cost import TuningCost, cost_of, cost_of_runs, note_gpus, tuning_cost
    from hypercl.sweep.study.database import (
        begun_by,
        check_study,
        database_fault,
        member_of,
    )
    from hypercl.sweep.study.enqueue import Enqueued, enqueue_setting
    from hypercl.sweep.study.gpu_budget import GpuBudget, priced
    from hypercl.sweep.study.gpu_time import (
        GPU_TIME,
        GPUS,
        PRICE,
        GpuTime,
        gpu_seconds_of,
        run_key,
        runs_of_earlier,
        used_gpu_hours,
    )
    from hypercl.sweep.study.imported_parts import evaluator_of
    from hypercl.sweep.study.journal import (
        JOURNAL,
        checksums,
        damage_of,
        mend_journal,
        open_journal,
        sums_of,
        whole_size,
        without_damage,
    )
    from hypercl.sweep.study.outcome import (
        ENDINGS,
        NEW_TASK,
        OUTCOME,
        REPEAT,
        TRAINED,
        Kind,
        Outcome,
        counts_in_words,
        is_complete,
        is_written,
        outcome_of,
        spread_of,
        with_spread,
    )
    from hypercl.sweep.study.preference import KNEE, PREFER, Weights, check_preference, parse_preference
    from hypercl.sweep.study.progress_study import names_of
    from hypercl.sweep.study.protocols import (
        APART,
        Role,
        final_config,
        full_config,
        has_orders,
        leaks,
        protocol_in_words,
        race_config,
        search_config,
        tasks_left_out,
    )
    from hypercl.sweep.study.pruners import pruner_in_words, pruner_of
    from hypercl.sweep.study.ranking import (
        FINAL,
        RACE,
        best_trial,
        check_passed,
        deciding_race,
        feasible_of,
        further_values,
        goal_values,
        knee_trial,
        last_race,
        leaders,
        pareto_front,
        preferred_trial,
        races_of,
        ranked_trials,
    )
    from hypercl.sweep.study.record import Promise, StudyRecord, decided, progress_of, read_sweep, state_of, trials_in
    from hypercl.sweep.study.resume_check import MEMBER, SWEEP_YAML, check_same
    from hypercl.sweep.study.run_folders import (
        ENDED,
        RUN_FOLDERS,
        begin_run_folders,
        bring_run,
        check_run_folders,
        send_code,
    )
    from hypercl.sweep.study.samplers import Grid, sampler_in_words, sampler_of
    from hypercl.sweep.study.settings import best_experiment
    from hypercl.sweep.study.space import draw, method_of, settings_of
    from hypercl.sweep.study.study import PLANNED, Suggestion, SweepStudy
    from hypercl.sweep.study.warm_start import earlier_cost, earlier_of, keep_earlier, kept_earlier
__all__, __getattr__ = lazy(__name__, __file__)
