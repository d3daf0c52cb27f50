import numpy as np
import pandas as pd

from hypercl.analysis import sensitivity_figure


def test_a_line_for_each_accuracy_that_is_known_in_order_of_the_number() -> None:
    table = pd.DataFrame({"x": [1.0, 0.1, 0.01], "final_accuracy": [0.9, 0.8, 0.5], "final_accuracy_sd": [0.1, 0, 0]})
    (axes,) = sensitivity_figure(table, "compression ratio").axes
    assert axes.get_xscale() == "log"
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [0.01, 0.1, 1.0]
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [50, 80, 90]
    (axes,) = sensitivity_figure(table.assign(x=[1, 2, 3], during_accuracy=0.9), "beta", "R²").axes
    assert axes.get_xscale() == "linear"
    assert axes.get_legend_handles_labels()[1] == ["at the end", "when just learned"]
    assert axes.get_ylabel() == "validation R², %"
