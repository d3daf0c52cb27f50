"use strict";
// Draws the figures of report.html from the JSON beside it. Whatever comes from a sweep is set as text, never as markup.
(async () => {
  const sweeps = JSON.parse(document.getElementById("data").textContent);
  // Okabe & Ito (2008), told apart by colour-blind readers
  const SERIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bb1"];
  const VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
  const dark = matchMedia("(prefers-color-scheme: dark)"), coarse = matchMedia("(pointer: coarse)");
  let printing = false;

  const el = (tag, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };
  // Plotly reads a little markup in texts
  const esc = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const range = count => [...Array(count).keys()];
  const known = values => values.filter(value => value !== null && value !== undefined);
  const percent = value => `${(100 * value).toFixed(1)} %`;
  const brief = given => typeof given === "number" && !Number.isInteger(given) ? +given.toPrecision(4) : given;  // a whole number is whole
  const show = (value, goal) => value === undefined || value === null ? "" : goal.fraction ? percent(value) : `${+value.toPrecision(4)}`;
  const WORDS = {
    complete: "complete", learned: "learned one task", pruned: "pruned", infeasible: "out of bounds", diverged: "diverged",
    out_of_memory: "out of memory", failed: "failed", running: "running",
  };

  // ---- the look of a figure

  const colours = () => dark.matches && !printing
    ? { ink: "#e6e9ee", soft: "#a2abb8", line: "#3a414c", card: "#1d2128", blue: "#56b4e9", orange: "#f0a04b", grey: "#7b8494" }
    : { ink: "#1a1d23", soft: "#5b6270", line: "#dfe3e8", card: "#ffffff", blue: "#0072b2", orange: "#d55e00", grey: "#9aa3b0" };

  const axis = (title, more = {}) => {
    const c = colours();
    return { title: { text: title, standoff: 8 }, gridcolor: c.line, zeroline: false, linecolor: c.line, ticks: "outside",
      tickcolor: c.line, automargin: true, ...more };
  };
  // 0.001, 0.01, ...; of a short range 1, 2, 5 of each decade
  const logTicks = (low, high) => {
    const decades = Math.log10(high / low), stride = decades > 5 ? 2 : 1, found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += decades > 2 ? stride : 1)
      (decades > 2 ? [1] : [1, 2, 5]).forEach(one => found.push(one * 10 ** power));
    const inside = found.filter(one => one >= low * 0.99 && one <= high * 1.01);
    const text = one => one >= 1e5 || one < 1e-4 ? one.toExponential(0).replace("+", "") : `${+one.toPrecision(3)}`;
    return { tickvals: inside, ticktext: inside.map(text) };
  };
  const valueAxis = (goal, more = {}) =>
    axis(esc(goal.words), goal.fraction ? { tickformat: "~%", ...more } : more);  // as many digits as tell ticks apart
  const layout = (height, more = {}) => {
    const c = colours();
    return { height, margin: { l: 10, r: 14, t: 12, b: 10 }, paper_bgcolor: c.card, plot_bgcolor: c.card, hovermode: "closest",
      font: { color: c.ink, size: 12, family: "system-ui, sans-serif" }, colorway: SERIES,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, dragmode: coarse.matches ? false : "zoom",
      hoverlabel: { align: "left", bgcolor: c.card, bordercolor: c.line, font: { color: c.ink } }, ...more };
  };
  const CONFIG = { displaylogo: false, displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };

  // ---- what the figures share

  const goalOf = sweep => sweep.goals[0];
  const value = trial => trial.goals ? trial.goals[0] : null;
  const trialOf = (sweep, number) => sweep.trials.find(trial => trial.n === number);
  const better = (goal, a, b) => (goal.maximize ? a > b : a < b);
  const named = (sweep, number) => number === sweep.written ? `trial ${number} (as written)` : `trial ${number}`;
  const hover = (sweep, trial) => {
    const lines = [`<b>${named(sweep, trial.n)}</b>: ${WORDS[trial.state] || trial.state}`];
    sweep.goals.forEach((goal, place) => trial.goals && lines.push(`${esc(goal.words)} ${show(trial.goals[place], goal)}`));
    sweep.parameters.forEach((one, place) => {
      const given = trial.values[place];
      if (given !== null) lines.push(`${esc(one.name)} ${esc(brief(given))}`);
    });
    return lines.join("<br>");
  };
  const points = (sweep, trials, x, y, name, marker, more = {}) => ({
    type: "scatter", mode: "markers", name, x: trials.map(x), y: trials.map(y), customdata: trials.map(trial => trial.n),
    text: trials.map(trial => hover(sweep, trial)), hoverinfo: "text", marker, ...more });
  const complete = sweep => sweep.trials.filter(trial => trial.goals);
  const stopped = sweep => sweep.trials.filter(trial => trial.state === "pruned");
  const spanOf = values => {
    const low = Math.min(...values), high = Math.max(...values), room = (high - low || Math.abs(high) || 1) * 0.06;
    return { low: low - 2 * room, high: high + room, floor: low - room };
  };
  const star = c => ({ symbol: "star", size: 15, color: c.orange, line: { color: c.card, width: 1 } });

  // ---- the figures; each gives Plotly's traces and layout, or null where there is nothing to draw

  const clock = seconds => seconds > 7200 ? [3600, "hours"] : seconds > 180 ? [60, "minutes"] : [1, "seconds"];

  function history(sweep, plot) {
    const c = colours(), goal = goalOf(sweep), done = complete(sweep);
    const byTime = plot.dataset.x === "time", [unit, unitName] = clock(Math.max(...sweep.trials.map(t => t.end || 0)));
    const order = done.filter(t => !byTime || t.end !== undefined).sort((a, b) => byTime ? a.end - b.end : a.n - b.n);
    const x = trial => byTime ? trial.end / unit : trial.n;
    const values = order.map(value), span = spanOf(values.length ? order.flatMap(t => [value(t) - (t.spread || 0), value(t) + (t.spread || 0)]) : [0, 1]);
    let top = null;
    const best = values.map(one => (top = top === null || better(goal, one, top) ? one : top));
    const traces = [];
    if (order.length) traces.push(
      points(sweep, order, x, value, "complete", { color: c.blue, size: 8, opacity: 0.85 },
        order.some(t => t.spread) ? { error_y: { array: order.map(t => t.spread || 0), color: c.blue, thickness: 0.8, width: 0 } } : {}),
      { type: "scatter", mode: "lines", name: "best so far", x: order.map(x), y: best, line: { color: c.orange, shape: "hv", width: 2 }, hoverinfo: "skip" });
    const gone = stopped(sweep).filter(t => !byTime || t.end !== undefined);
    if (gone.length) traces.push(points(sweep, gone, x, () => span.floor, "pruned", { symbol: "line-ns-open", size: 9, color: c.grey, line: { width: 2 } }));
    const lost = sweep.trials.filter(t => ["failed", "diverged", "out_of_memory"].includes(t.state) && (!byTime || t.end !== undefined));
    if (lost.length) traces.push(points(sweep, lost, x, () => span.floor, "without result", { symbol: "x", size: 8, color: "#cc79a7" }));
    if (sweep.best !== null && trialOf(sweep, sweep.best).goals)
      traces.push(points(sweep, [trialOf(sweep, sweep.best)], x, value, "best setting", star(c)));
    const written = sweep.written !== null && trialOf(sweep, sweep.written);
    const shapes = written && written.goals ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: value(written), y1: value(written), line: { color: c.soft, dash: "dash", width: 1 } }] : [];
    const annotations = shapes.length ? [{ xref: "paper", x: 1, xanchor: "right", y: value(written), yanchor: "bottom", text: "as written", showarrow: false, font: { color: c.soft, size: 11 } }] : [];
    return traces.length && { traces, layout: layout(380, { shapes, annotations, xaxis: axis(byTime ? `${unitName} since the first trial began` : "trial", !byTime && sweep.trials.length < 12 ? { dtick: 1 } : {}), yaxis: valueAxis(goal, { range: [span.low, span.high] }) }) };
  }

  function front(sweep) {
    const c = colours(), pairs = [];
    sweep.goals.forEach((_, a) => sweep.goals.forEach((_, b) => a < b && pairs.push([a, b])));
    const traces = [], more = {}, width = 1 / pairs.length;
    pairs.forEach(([up, along], place) => {
      const id = place ? place + 1 : "", on = complete(sweep).filter(t => sweep.front.includes(t.n));
      const off = complete(sweep).filter(t => !sweep.front.includes(t.n)), where = { xaxis: `x${id}`, yaxis: `y${id}`, showlegend: !place };
      on.sort((a, b) => a.goals[along] - b.goals[along]);
      traces.push(
        points(sweep, off, t => t.goals[along], t => t.goals[up], "complete", { color: c.grey, size: 7, opacity: 0.75 }, where),
        points(sweep, on, t => t.goals[along], t => t.goals[up], "on the front", { color: c.blue, size: 10 },
          { ...where, mode: pairs.length > 1 ? "markers" : "lines+markers", line: { color: c.blue, width: 1.5, shape: sweep.goals[along].maximize ? "vh" : "hv" } }));
      const best = sweep.best !== null && trialOf(sweep, sweep.best);
      if (best) traces.push(points(sweep, [best], t => t.goals[along], t => t.goals[up], "knee", star(c), where));
      const wide = complete(sweep).map(t => t.goals[along]), ratio = Math.max(...wide) / Math.min(...wide);
      more[`xaxis${id}`] = valueAxis(sweep.goals[along], { anchor: `y${id}`, domain: [place * width, (place + 1) * width - (pairs.length > 1 ? 0.06 : 0)], type: Math.min(...wide) > 0 && ratio > 30 ? "log" : "linear" });
      more[`yaxis${id}`] = valueAxis(sweep.goals[up], { anchor: `x${id}` });
    });
    return { traces, layout: layout(420, more) };
  }

  function importance(sweep) {
    const c = colours(), rows = [...sweep.importance].reverse(), most = Math.max(...rows.map(r => r.share));
    const bars = (sure, color, name) => ({ type: "bar", orientation: "h", name, marker: { color }, hoverinfo: "x+y",
      y: rows.map(r => esc(r.name)), x: rows.map(r => r.sure === sure ? r.share : null) });
    const traces = [bars(true, c.blue, "stands out"), bars(false, c.grey, "could be chance"),
      { type: "scatter", mode: "markers", name: "chance", y: rows.map(r => esc(r.name)), x: rows.map(r => r.chance), hoverinfo: "x+y",
        marker: { symbol: "line-ns-open", size: 16, color: c.orange, line: { width: 3 } } }];
    return { traces: traces.filter(t => t.x.some(x => x !== null)), layout: layout(110 + 28 * rows.length, { barmode: "overlay", bargap: 0.35, xaxis: axis("share of importance", { tickformat: ".0%", range: [0, 1.1 * Math.max(...rows.flatMap(r => [r.share, r.chance]).filter(one => one <= 2 * most))] }), yaxis: axis("", { ticks: "", type: "category" }) }) };
  }

  // where a value lies on an axis whose choices stand side by side
  const placed = (one, given, number) => given === null || given === undefined ? null
    : one.choices ? one.choices.indexOf(String(given)) + ((number * 0.618034) % 1 - 0.5) * 0.3 : given;

  const shortened = (text, most = 14) => text.length > most ? `${text.slice(0, most - 1)}…` : text;

  function parameters(sweep, plot) {
    const c = colours(), goal = goalOf(sweep), drawn = sweep.parameters.map((one, place) => [one, place]).filter(([one]) => !one.computed);
    const across = Math.min(drawn.length, Math.max(1, Math.floor(plot.clientWidth / 300))), down = Math.ceil(drawn.length / across);
    const done = complete(sweep), span = spanOf(done.map(value)), traces = [], more = {}, best = sweep.best !== null && trialOf(sweep, sweep.best);
    const high = 250, height = high * down + 40, gap = across > 1 ? 0.045 : 0, annotations = [];
    drawn.forEach(([one, place], index) => {
      const id = index ? index + 1 : "", column = index % across, row = Math.floor(index / across);
      const where = { xaxis: `x${id}`, yaxis: `y${id}`, showlegend: !index };
      const x = trial => placed(one, trial.values[place], trial.n), has = trial => trial.values[place] !== null;
      traces.push(points(sweep, done.filter(has), x, value, "complete", { color: c.blue, size: 7, opacity: 0.75 }, where));
      traces.push(points(sweep, stopped(sweep).filter(has), x, () => span.floor, "pruned", { symbol: "line-ns-open", size: 8, color: c.grey, line: { width: 1.5 } }, where));
      if (best && best.goals && has(best)) traces.push(points(sweep, [best], x, value, "best setting", star(c), where));
      const left = column / across + (column ? gap / 2 : 0), right = (column + 1) / across - (column < across - 1 ? gap / 2 : 0);
      const top = 1 - (row * high + 26) / (high * down), bottom = 1 - ((row + 1) * high - 62) / (high * down);
      annotations.push({ xref: "paper", yref: "paper", x: left, y: top, xanchor: "left", yanchor: "bottom", yshift: 4, showarrow: false, text: `<b>${esc(one.name)}</b>` });
      const room = 0.04 * (one.log ? Math.log10(one.high / one.low) : one.high - one.low);
      more[`xaxis${id}`] = axis("", {
        anchor: `y${id}`, domain: [left, right], automargin: false,
        ...(one.choices ? { tickvals: range(one.choices.length), ticktext: one.choices.map(text => esc(shortened(text))), range: [-0.5, one.choices.length - 0.5] }
          : one.log ? { type: "log", range: [Math.log10(one.low) - room, Math.log10(one.high) + room], ...logTicks(one.low, one.high) }
            : { range: [one.low - room, one.high + room], nticks: 5 }) });
      more[`yaxis${id}`] = valueAxis(goal, { anchor: `x${id}`, domain: [bottom, top], range: [span.low, span.high], nticks: 5,
        ...(column ? { title: { text: "" }, showticklabels: false } : {}) });
    });
    const named = new Set();
    traces.forEach(trace => { trace.showlegend = trace.x.length > 0 && !named.has(trace.name); if (trace.x.length) named.add(trace.name); trace.legendgroup = trace.name; });
    return { traces, layout: layout(height, { ...more, annotations, margin: { l: 10, r: 14, t: 30, b: 10 } }) };
  }

  function parallel(sweep, plot) {
    const c = colours(), goal = goalOf(sweep), done = complete(sweep);
    const scale = one => {
      if (one.choices) return given => given === null ? null : one.choices.length < 2 ? 0.5 : one.choices.indexOf(String(given)) / (one.choices.length - 1);
      const f = one.log ? Math.log : Number;
      return given => given === null ? null : (f(given) - f(one.low)) / (f(one.high) - f(one.low));
    };
    const axes = sweep.parameters.map((one, place) => ({ one, scale: scale(one), of: trial => trial.values[place] })).filter(({ one }) => !one.computed);
    const ends = done.map(value), low = Math.min(...ends), high = Math.max(...ends);
    axes.push({ one: { name: goal.words, low, high, fraction: goal.fraction }, scale: given => high > low ? (given - low) / (high - low) : 0.5, of: value });
    const kept = plot.kept || null, quality = trial => high > low ? (goal.maximize ? value(trial) - low : high - value(trial)) / (high - low) : 1;
    const bin = trial => Math.min(9, Math.floor(10 * quality(trial)));
    const ramp = dark.matches && !printing ? range(10).map(i => VIRIDIS[Math.min(9, i + 2 - Math.floor(2 * i / 9))]) : [...VIRIDIS.slice(0, 9), "#c9a800"];
    const lines = (trials, color, width, opacity) => {
      const x = [], y = [], n = [], text = [];
      trials.forEach(trial => {
        axes.forEach((each, place) => {
          const at = each.scale(each.of(trial));
          x.push(place); n.push(trial.n); text.push(hover(sweep, trial));
          y.push(at === null ? null : at + (each.one.choices ? ((trial.n * 0.618034) % 1 - 0.5) * 0.05 : 0));
        });
        x.push(null); y.push(null); n.push(null); text.push("");
      });
      return { type: "scatter", mode: "lines+markers", x, y, customdata: n, text, hoverinfo: "text", opacity, line: { color, width }, marker: { size: 4, color }, connectgaps: false, showlegend: false, selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 1 } } };
    };
    const within = trial => !kept || kept.has(trial.n);
    const traces = [lines(done.filter(trial => !within(trial)), c.line, 1, 0.6)];
    range(10).forEach(i => traces.push(lines(done.filter(trial => within(trial) && bin(trial) === i), ramp[i], 0.8 + i * 0.09, 0.35 + i * 0.06)));
    const width = Math.max(plot.parentElement.clientWidth, 84 * axes.length), annotations = [], shapes = [];
    axes.forEach(({ one }, place) => {
      shapes.push({ type: "line", x0: place, x1: place, y0: -0.02, y1: 1.02, line: { color: c.soft, width: 1 }, layer: "below" });
      const label = (y, text) => annotations.push({ x: place, y, text: esc(text), showarrow: false, xanchor: "left", xshift: 5, font: { size: 10, color: c.soft }, bgcolor: c.card, opacity: 0.85 });
      annotations.push({ x: place, y: 1.05, yanchor: "bottom", text: esc(one.name).replace(/ (?=\S+$)/, "<br>"), showarrow: false, font: { size: 12 } });
      const number = given => one.fraction ? percent(given) : `${+given.toPrecision(3)}`;
      if (one.choices) one.choices.forEach((text, i) => label(one.choices.length < 2 ? 0.5 : i / (one.choices.length - 1), shortened(text, 12)));
      else { label(0, number(one.low)); label(1, number(one.high)); }
    });
    const bare = { visible: false, fixedrange: true };
    return { traces: traces.filter(t => t.x.length), layout: layout(440, { width, shapes, annotations, showlegend: false, dragmode: coarse.matches ? false : "select", margin: { l: 30, r: 60, t: 60, b: 20 }, xaxis: { ...bare, range: [-0.15, axes.length - 0.6] }, yaxis: { ...bare, range: [-0.06, 1.08] } }) };
  }

  function seedDots(rows, title) {
    const c = colours(), x = [], y = [], traces = [];
    const T = [0, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086];
    rows.forEach((row, place) => known(row.values).forEach((one, i, all) => { x.push(place + (all.length > 1 ? (i / (all.length - 1) - 0.5) * 0.24 : 0)); y.push(one); }));
    traces.push({ type: "scatter", mode: "markers", name: "a seed", x, y, hoverinfo: "y", marker: { color: c.blue, size: 8, opacity: 0.75 } });
    const means = rows.map(row => known(row.values).reduce((a, b) => a + b, 0) / known(row.values).length);
    const half = rows.map((row, place) => {
      const own = known(row.values), n = own.length;
      if (n < 2) return 0;
      const sd = Math.sqrt(own.reduce((sum, one) => sum + (one - means[place]) ** 2, 0) / (n - 1));
      return (T[n - 1] || 1.96) * sd / Math.sqrt(n);
    });
    traces.push({ type: "scatter", mode: "markers", name: "mean, 95 % interval", x: range(rows.length).map(i => i + 0.22), y: means, hoverinfo: "y",
      marker: { symbol: "diamond", size: 10, color: c.orange }, error_y: { array: half, color: c.orange, thickness: 2, width: 6 } });
    return { traces, layout: layout(340, { xaxis: axis("", { tickvals: range(rows.length), ticktext: rows.map(row => esc(row.name)), range: [-0.6, rows.length - 0.4] }), yaxis: valueAxis(title) }) };
  }

  const seeds = sweep => seedDots(sweep.seeds, goalOf(sweep));
  const final = sweep => seedDots(sweep.final, { words: `test ${sweep.score}`, fraction: true });

  function pruning(sweep) {
    const c = colours(), reports = sweep.reports, count = {}, order = ["complete", "pruned", "diverged", "out_of_memory"];
    sweep.trials.filter(t => t.step && order.includes(t.state)).forEach(t => {
      const tasks = t.step / reports;
      count[t.state] = count[t.state] || {};
      count[t.state][tasks] = (count[t.state][tasks] || 0) + 1;
    });
    const colour = { complete: c.blue, pruned: c.grey, diverged: "#cc79a7", out_of_memory: c.orange };
    const traces = order.filter(kind => count[kind]).map(kind => ({ type: "bar", name: WORDS[kind], x: Object.keys(count[kind]).map(Number), y: Object.values(count[kind]), width: 0.7 / Math.min(reports, 4), marker: { color: colour[kind] } }));
    return { traces, layout: layout(280, { barmode: "stack", xaxis: axis("tasks learned", { range: [0, sweep.tasks + 0.5], dtick: sweep.tasks > 20 ? undefined : 1 }), yaxis: axis("trials", { rangemode: "tozero" }) }) };
  }

  function together() {
    const first = goalOf(sweeps[0]), same = sweeps.filter(one => goalOf(one).words === first.words && one.at === sweeps[0].at);
    const traces = same.map((sweep, place) => {
      const goal = goalOf(sweep), done = complete(sweep).sort((a, b) => a.n - b.n);
      let top = null;
      return { type: "scatter", mode: "lines+markers", name: esc(sweep.name), x: range(done.length).map(i => i + 1), hoverinfo: "name+y",
        y: done.map(t => (top = top === null || better(goal, value(t), top) ? value(t) : top)),
        line: { shape: "hv", color: SERIES[place % 7], width: 2 }, marker: { symbol: ["circle", "square", "diamond", "cross", "x", "star"][place % 6], size: 6, color: SERIES[place % 7] } };
    });
    return { traces, layout: layout(380, { xaxis: axis("complete trials"), yaxis: valueAxis(first, { title: { text: `best ${esc(first.words)}` } }) }) };
  }

  // ---- one trial

  function matrix(sweep, plot) {
    const course = sweep.courses[plot.trial], rows = course.matrix, tasks = Math.max(...rows.map(row => row.length));
    const z = rows.map(row => range(tasks).map(i => row[i] === null || row[i] === undefined || i > rows.indexOf(row) ? null : row[i] / 1000)), few = tasks <= 12;
    const names = range(tasks).map(i => few ? `task ${i + 1}` : `${i + 1}`), after = rows.map((_, i) => few ? `after ${i + 1}` : `${i + 1}`);
    return { traces: [{ type: "heatmap", z, x: names, y: after, zmin: 0, zmax: 1, colorscale: VIRIDIS.map((color, i) => [i / 9, color]), xgap: 2, ygap: 2, hoverongaps: false,
      hovertemplate: `${sweep.score} on %{x}, %{y}: %{z:.1%}<extra></extra>`, ...(few ? { texttemplate: "%{z:.1%}" } : {}), showscale: !few, colorbar: { tickformat: ".0%", thickness: 12, outlinewidth: 0 } }],
      layout: layout(Math.max(240, Math.min(420, 110 + 44 * rows.length)), { xaxis: axis("", { side: "bottom", showgrid: false, ticks: "" }), yaxis: axis("", { autorange: "reversed", showgrid: false, ticks: "" }) }) };
  }

  function stream(sweep, plot) {
    const c = colours(), course = sweep.courses[plot.trial], tasks = Math.max(...course.accuracy.map(row => row.length)), few = tasks <= 10;
    const paint = task => few ? SERIES[task % 7] : VIRIDIS[Math.floor(9 * task / (tasks - 1))];
    const traces = range(tasks).map(task => ({ type: "scatter", mode: few ? "lines+markers" : "lines", name: `task ${task + 1}`, x: course.after, y: course.accuracy.map(row => row[task] === undefined || row[task] === null ? null : row[task] / 1000),
      line: { color: paint(task), width: few ? 2 : 1.2, dash: task > 6 && few ? "dot" : "solid" }, marker: { size: 4, color: paint(task) }, showlegend: few,
      hovertemplate: `task ${task + 1}: %{y:.1%} after %{x} tasks<extra></extra>` }));
    return { traces, layout: layout(340, { shapes: few ? range(Math.max(0, sweep.tasks - 1)).map(i => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: i + 1, x1: i + 1, line: { color: c.line, width: 1, dash: "dot" } })) : [],
      xaxis: axis("tasks learned", { range: [0, sweep.tasks], dtick: few ? 1 : undefined }), yaxis: axis(`validation ${sweep.score}`, { tickformat: ".0%", range: [-0.02, 1.02] }) }) };
  }

  function loss(sweep, plot) {
    const course = sweep.courses[plot.trial], kinds = Object.keys(course.loss).filter(key => key !== "iteration");
    if (!kinds.length) return null;
    return { traces: kinds.map(kind => ({ type: "scatter", mode: "lines", name: esc(kind.replace("loss/", "").replace(/_/g, " ")), x: course.loss.iteration, y: course.loss[kind].map(one => one > 0 ? one : null), line: { width: 1.5 }, connectgaps: true })),
      layout: layout(300, { xaxis: axis("iteration"), yaxis: axis("training loss", { type: "log", exponentformat: "power", nticks: 6 }) }) };
  }

  const breakable = path => path.split(/(?<=[._])/).flatMap(part => [part, el("wbr")]);  // on a phone, between words

  const settingTable = (sweep, trial) => {
    const rows = sweep.parameters.map((one, place) => {
      const given = trial.values[place], text = given === null ? "–" : `${brief(given)}`, base = one.written === null ? "–" : one.written;
      const same = given === null || text === base || (!Number.isInteger(given) && Math.abs(given - Number(base)) <= 1e-3 * Math.abs(given));
      const row = el("tr", { className: same ? "" : "changed" }, el("th", { scope: "row" }, ...breakable(one.path)), el("td", { textContent: text }), el("td", { textContent: base }));
      return row;
    });
    const head = el("thead", {}, el("tr", {}, ...["", "value", "as written"].map(text => el("th", { textContent: text }))));
    return el("div", { className: "scroll" }, el("table", {}, head, el("tbody", {}, ...rows)));
  };

  function factsOf(sweep, trial) {
    const rank = sweep.ranked.indexOf(trial.n), rows = [["outcome", WORDS[trial.state] || trial.state]];
    sweep.goals.forEach((goal, place) => trial.goals && rows.push([goal.words, show(trial.goals[place], goal) + (place === 0 && trial.spread ? ` ± ${show(trial.spread, goal)} over seeds` : "") + (sweep.at ? ` ${sweep.at}` : "")]));
    if (trial.expected !== undefined) rows.push(["expected", `${show(trial.expected, goalOf(sweep))} (what further seeds should give)`]);
    if (rank >= 0) rows.push(["rank", `${rank + 1} of ${sweep.ranked.length} complete trials`]);
    if (trial.step) rows.push(["learned", `${+(trial.step / sweep.reports).toFixed(2)} of ${sweep.tasks} tasks`]);
    if (trial.seconds) rows.push(["training", trial.seconds < 90 ? `${Math.round(trial.seconds)} s` : `${Math.round(trial.seconds / 60)} min`]);
    if (trial.why) rows.push(["why", trial.why]);
    return el("div", { className: "scroll" }, el("table", { className: "pairs" }, el("tbody", {}, ...rows.map(([name, text]) => el("tr", {}, el("th", { scope: "row", textContent: name }), el("td", { textContent: text }))))));
  }

  function trialPart(part, sweep, index) {
    const options = sweep.trials.filter(t => t.state !== "infeasible");
    const label = t => `${named(sweep, t.n)}${t.n === sweep.best ? ", the best" : ""}: ${t.goals ? show(value(t), goalOf(sweep)) : WORDS[t.state] || t.state}`;
    const rank = t => { const at = sweep.ranked.indexOf(t.n); return at < 0 ? 1e9 + t.n : at; };
    const choose = el("select", { ariaLabel: "trial" }, ...options.sort((a, b) => rank(a) - rank(b)).map(t => el("option", { value: t.n, textContent: label(t) })));
    const body = el("div");
    part.append(el("p", { textContent: "Choose a trial here, or click it in any figure above." }), el("div", { className: "controls" }, choose), body);
    const figure = (kind, heading, text, number) => {
      const plot = el("div", { className: "plot", role: "img", ariaLabel: heading });
      plot.trial = number;
      const made = el("figure", {}, el("figcaption", {}, el("h3", { textContent: heading }), el("p", { textContent: text })), plot);
      made.dataset.figure = kind;
      watch(made, sweep, index);
      return made;
    };
    part.show = number => {
      const trial = trialOf(sweep, number);
      if (!trial) return;
      choose.value = number;
      body.querySelectorAll(".plot").forEach(plot => { figures.delete(plot); window.Plotly.purge(plot); });
      const course = sweep.courses[number], parts = [el("div", { className: "columns" }, el("div", {}, factsOf(sweep, trial)), el("div", {}, settingTable(sweep, trial)))];
      if (!course) parts.push(el("p", { textContent: "How this trial trained is not in this page: it has not reported, or the page is full. Its folder may have more." }));
      else {
        parts.push(el("div", { className: "pair" },
          ...(course.matrix.length ? [figure("matrix", `${sweep.score[0].toUpperCase()}${sweep.score.slice(1)} matrix`, `Validation ${sweep.score} on each task after each task was learned` + (trial.goals ? "." : "; the last row is where the trial ended."), number)] : []),
          ...(course.accuracy.length ? [figure("stream", "Each task over the stream", "A line begins where its task is learned; where it falls, the task is forgotten.", number)] : [])));
        if (Object.keys(course.loss).length > 1) parts.push(figure("loss", "Training loss", "Means of neighbouring iterations.", number));
        if (sweep.samples[number]) parts.push(el("figure", {}, el("figcaption", {}, el("h3", { textContent: "What it would replay" }), el("p", { textContent: "A row for each task learned." })), el("img", { className: "samples", src: sweep.samples[number], alt: "samples of replayed inputs" })));
      }
      body.replaceChildren(...parts);
    };
    choose.onchange = () => part.show(Number(choose.value));
    part.show(sweep.best !== null ? sweep.best : Number(choose.value));
  }

  // ---- drawing: a figure is drawn when it comes near, and again when colours or width change

  const DRAW = { history, front, importance, parameters, parallel, seeds, final, pruning, together, matrix, stream, loss };
  const figures = new Map();

  function draw(plot) {
    const { kind, sweep, index } = figures.get(plot), made = DRAW[kind](sweep, plot);
    if (!made) return plot.replaceChildren(el("p", { textContent: "Nothing to draw yet." }));
    window.Plotly.react(plot, made.traces, made.layout, { ...CONFIG, responsive: !made.layout.width });
    plot.dataset.drawn = plot.clientWidth;
    if (plot.bound) return undefined;
    plot.bound = true;
    plot.on("plotly_click", event => {
      const number = event.points[0].customdata;
      if (typeof number === "number") location.hash = `trial-${index}-${number}`;
    });
    if (kind === "parallel") {
      plot.on("plotly_selected", event => { if (event && event.points.length) { plot.kept = new Set(event.points.map(one => one.customdata)); setTimeout(() => draw(plot)); } });
      plot.on("plotly_deselect", () => { plot.kept = null; setTimeout(() => draw(plot)); });
    }
    return undefined;
  }

  const near = new IntersectionObserver(seen => seen.forEach(one => {
    if (one.isIntersecting && figures.has(one.target)) { near.unobserve(one.target); draw(one.target); }
  }), { rootMargin: "600px" });

  function watch(figure, sweep, index) {
    const plot = figure.querySelector(".plot");
    figures.set(plot, { kind: figure.dataset.figure, sweep, index });
    near.observe(plot);
  }
  const again = all => figures.forEach((_, plot) => { if (plot.isConnected && (all || plot.dataset.drawn)) draw(plot); });
  window.drawAll = () => again(true);

  function follow() {
    const [, index, number] = location.hash.match(/^#trial-(\d+)-(\d+)$/) || [];
    const part = index !== undefined && document.querySelector(`[data-part="trial"][data-sweep="${index}"]`);
    if (!part || !part.show) return;
    part.show(Number(number));
    part.closest("section").scrollIntoView({ behavior: "smooth" });
  }

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), letter => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  document.querySelectorAll('[data-part="setting"]').forEach(place => {
    const sweep = sweeps[place.closest("article").dataset.sweep];
    place.append(settingTable(sweep, trialOf(sweep, sweep.best)));
  });
  document.head.append(el("script", { textContent: await unpacked("plotly") }));
  document.querySelectorAll("figure[data-figure]").forEach(figure => {
    if (!DRAW[figure.dataset.figure]) return;
    const article = figure.closest("article"), index = article ? Number(article.dataset.sweep) : 0;
    if (figure.dataset.figure === "history") {
      const plot = figure.querySelector(".plot"), controls = el("div", { className: "controls" });
      ["trial", "time"].forEach(name => {
        const button = el("button", { type: "button", textContent: `by ${name}`, ariaPressed: String(name === "trial") });
        button.onclick = () => {
          plot.dataset.x = name;
          controls.querySelectorAll("button").forEach(one => one.setAttribute("aria-pressed", String(one === button)));
          draw(plot);
        };
        controls.append(button);
      });
      plot.before(controls);
    }
    watch(figure, sweeps[index], index);
  });
  document.querySelectorAll('[data-part="trial"]').forEach(part => trialPart(part, sweeps[part.dataset.sweep], Number(part.dataset.sweep)));
  dark.addEventListener("change", () => again(false));
  let width = innerWidth;
  addEventListener("resize", () => { if (Math.abs(innerWidth - width) > 80) { width = innerWidth; again(false); } });
  addEventListener("beforeprint", () => { printing = true; again(true); });
  addEventListener("afterprint", () => { printing = false; again(false); });
  addEventListener("hashchange", follow);
  follow();
  document.documentElement.dataset.ready = "yes";
})();
