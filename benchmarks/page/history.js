// Each metric over time: a chart and a table. Follows page.js, whose functions it uses.
// History: a chart for each metric of the machine and workload that are chosen.
function column(values, length) {
  return Array.isArray(values) ? values : Array(length).fill(values);
}

// As a person would write it: a count as a whole, anything else with a few digits.
const few = [4, 5].map((digits) => new Intl.NumberFormat("en", { maximumSignificantDigits: digits }));
const whole = [0, 1].map((digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits }));

function figure(value, { digits, unit }) {
  const format = digits ? few[digits - 4] : whole[Number(value < 100)];
  return `${format.format(value)} ${unit}`.trim();
}

function day(t) {
  const form = { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" };
  return t === null ? "an unknown day" : new Date(t).toLocaleDateString("en-GB", form);
}

function commitLink({ commit, page }, text = commit) {
  return page ? make("a", { href: page, textContent: text }) : text;
}

function historyRows(series, metric) {
  const values = column(metric.values, series.sessions.length);
  return series.sessions.map((number, n) => {
    // A verdict marks the metric that was judged; a busy machine, what it touches.
    const [mark, why] = metric.marks[n] || (metric.of_the_wall && series.doubts[n]) || series.marks[n];
    const session = data.history.sessions[number];
    const saved = session.when.slice(0, 16);
    const t = session.when ? Date.parse(`${session.when.replace(" ", "T")}Z`) : null;
    const standing = series.marks[n][0];
    return { n, t, value: values[n], mark, why, saved, standing, ...session };
  }).filter((row) => row.value !== null).map((row) => ({ ...row, text: figure(row.value, metric) }));
}

function historyTable(rows) {
  const columns = ["session", "saved, UTC", "commit", "value", "kind", "why"];
  const head = make("tr", {}, ...columns.map((name) => make("th", { textContent: name, scope: "col", className: "left" })));
  const body = rows.slice().reverse().map((row) => make(
    "tr", {}, ...[row.name, row.saved, commitLink(row), row.text, row.mark, row.why].map((cell) => make("td", { className: "left" }, cell)),
  ));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}

// Days with their commits, as many as there is room for: each is that of a session.
function historyTicks(rows, width) {
  const dated = rows.filter((row) => row.t !== null);
  if (!dated.length) return {};
  const from = dated[0].t;
  const span = dated[dated.length - 1].t - from;
  const room = (span * 75) / Math.max(width - 60, 75);
  const days = 86400000;
  const form = span < 2 * days ? "%H:%M" : span < 300 * days ? "%-d %b" : "%b %Y";
  const ticks = new Map();
  let last = Infinity;
  for (const { t, commit } of dated.reverse()) { // so that the newest has one
    if (last - t < (ticks.size === 1 ? 1.4 : 1) * room) continue; // the newest ends at the edge
    ticks.set(t, commit === "unknown" ? "" : commit.slice(0, 7));
    last = t;
  }
  const commits = JSON.stringify(Object.fromEntries(ticks));
  return {
    title: null,
    grid: false,
    labelOverlap: false, // there is room
    values: [...ticks.keys()],
    labelExpr: `[utcFormat(datum.value, '${form}'), (${commits})[datum.value]]`,
  };
}

const NEAR = 3; // sessions: what was accepted so soon after a change is that change

// Where the level of a metric changed, between the last session of one and the first of the next.
function historyChanges(metric, rows) {
  return metric.changes.map(([start, says]) => {
    const at = rows.findIndex((row) => row.n >= start);
    const [before, first] = [rows[at - 1] || rows[at], rows[at]];
    return { ...says, start, first, t: (before.t + first.t) / 2 };
  });
}

// A level lasts until the next change, and its line is the median of its values.
function historyLevels(changes, rows) {
  const starts = [0, ...changes.map(({ start }) => start)];
  return starts.map((start, n) => {
    const end = n + 1 < starts.length ? starts[n + 1] : Infinity;
    const within = rows.filter((row) => row.n >= start && row.n < end);
    if (!within.length) return null;
    const trusted = within.filter((row) => row.mark !== "INVALID");
    const sorted = (trusted.length ? trusted : within).map((row) => row.value).sort((a, b) => a - b);
    const level = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
    return { from: within[0].t, to: within[within.length - 1].t, level };
  }).filter((level) => level);
}

// Where the level of the baselines changed, since somebody accepted that.
function historyAccepted(series, rows) {
  return series.levels.map(([start, word]) => {
    const first = rows.find((row) => row.n >= start);
    return first && { start, word, first, from: first.t };
  }).filter((accepted) => accepted);
}

// Words of changes, the newest first, as many as there is room for.
function historyWords(changes, rows, width) {
  const span = rows[rows.length - 1].t - rows[0].t;
  const room = (span * 60) / Math.max(width - 60, 75);
  let last = Infinity;
  return changes.slice().reverse().filter(({ t }) => {
    if (last - t < room) return false;
    last = t;
    return true;
  });
}

function historySpec(metric, rows, changes, accepted, width) {
  const text = JSON.stringify({ ...data.history.spec, data: {} });
  const spec = JSON.parse(text.replaceAll('"UNIT"', JSON.stringify(metric.unit || "count")));
  const layers = Object.fromEntries(spec.layer.map((layer) => [layer.name, layer]));
  const { points } = layers;
  // Marked ones last, on top of the others; the line takes its order from the axis.
  spec.data = { values: rows.slice().sort((a, b) => (a.mark !== "session") - (b.mark !== "session")) };
  layers.began.data = layers.word.data = { values: accepted };
  layers.changed.data = layers.over.data = { values: changes };
  layers.moved.data = { values: historyWords(changes, rows, width) };
  layers.levels.data = { values: data.history.split ? historyLevels(changes, rows) : [] };
  for (const { encoding: { y } } of spec.layer) {
    if (y && y.scale) Object.assign(y.scale, { domain: metric.domain, nice: true });
  }
  const axis = historyTicks(rows, width);
  for (const layer of spec.layer) layer.encoding.x.axis = axis;
  if (rows.length > 300) {
    points.encoding.size = { value: 10 };
    spec.layer.sort((a, b) => (a === layers.levels) - (b === layers.levels)); // it would be hidden
  }
  const present = new Set(rows.map((row) => row.mark));
  for (const channel of ["color", "shape"]) {
    const { scale } = points.encoding[channel];
    scale.range = scale.range.filter((_, n) => present.has(scale.domain[n]));
    scale.domain = scale.domain.filter((name) => present.has(name));
    if (present.size === 1) points.encoding[channel].legend = null;
  }
  spec.layer = spec.layer.filter((layer) => !layer.data || layer.data.values.length);
  return spec;
}

// What the newest is, how far it is from the first of its level, and how that level came.
function historySays(metric, rows, changes, accepted) {
  const newest = rows[rows.length - 1];
  const commit = commitLink(newest, newest.commit.split(" ")[0]);
  const says = make("p", {}, `Newest: ${newest.text} on ${day(newest.t)}, commit `, commit);
  const [changed, agreed] = [changes, accepted].map((all) => all[all.length - 1]);
  const begun = agreed && (!changed || agreed.start > changed.start + NEAR) ? agreed : changed;
  const first = begun ? begun.first : rows[0];
  if (first !== newest && first.value) {
    const digits = metric.digits === 5 ? 2 : 1; // as verdicts have them
    const change = Number((100 * (newest.value / first.value - 1)).toFixed(digits));
    const moved = change ? `${change > 0 ? "+" : ""}${change.toLocaleString("en")} %` : "no change";
    const when = day(first.t) === day(newest.t) ? `${first.saved.slice(11)} UTC` : day(first.t);
    says.append(`; ${moved} since ${when}`);
    if (begun) says.append(`, when this level ${historyBegan(begun)}`);
  }
  says.append(".");
  return says;
}

function historyBegan({ word, outcome, short, level }) {
  if (word) return `began (${word})`;
  return `began: ${outcome === "IMPROVED" ? "better" : "worse"} by ${short.replace(/^[+-]/, "")}, ${level}`;
}

function historyFigure(series, metric) {
  const rows = historyRows(series, metric);
  const changes = historyChanges(metric, rows);
  const accepted = historyAccepted(series, rows);
  const label = `${metric.title} over ${rows.length} sessions of ${series.workload}`;
  const plot = make("div", { className: "plot" });
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", `${label}. Its numbers are in the table below.`);
  later(plot, data.history.spec.height + 60, () => embed(plot, historySpec(metric, rows, changes, accepted, plot.clientWidth)));
  const table = make("div", { className: "scroll", tabIndex: 0 });
  table.setAttribute("role", "region");
  table.setAttribute("aria-label", label);
  const details = make("details", {}, make("summary", { textContent: `Table: ${metric.title}` }), table);
  details.addEventListener("toggle", () => {
    if (details.open && !table.firstChild) table.append(historyTable(rows));
  });
  const caption = make("figcaption", {}, make("h3", { textContent: metric.title }), historySays(metric, rows, changes, accepted));
  return make("figure", {}, caption, plot, details);
}

// What never changed needs no chart.
function stillTable(series) {
  const rows = series.metrics.filter((metric) => !Array.isArray(metric.values)).map((metric) => make(
    "tr", {},
    make("th", { textContent: metric.title, scope: "row", className: "left" }),
    make("td", { textContent: figure(metric.values, metric) }),
  ));
  if (!rows.length) return [];
  return [make("h3", { textContent: "The same in all of these sessions" }), make("table", {}, make("tbody", {}, ...rows))];
}

const LEAST_SESSIONS = 3; // a line between two says nothing that their comparison doesn't

function startHistory() {
  const machine = document.getElementById("machine-choice");
  const workload = document.getElementById("workload-choice");
  const place = document.getElementById("history-plots");
  const options = (select, names) => select.replaceChildren(
    ...[...new Set(names)].map((name) => make("option", { textContent: name, value: name })),
  );
  const still = document.getElementById("history-still");
  const { series } = data.history;
  const show = () => {
    for (const plot of place.querySelectorAll(".plot")) forget(plot);
    const chosen = series.find((each) => each.machine === machine.value && each.workload === workload.value);
    const moving = chosen.metrics.filter(({ values }) => Array.isArray(values) && values.filter((value) => value !== null).length > 1);
    const number = chosen.sessions.length;
    const says = `Charts begin with ${LEAST_SESSIONS} sessions of one machine and workload; of these there ${number > 1 ? "are" : "is"} ${number}.`;
    const few = make("p", { className: "quiet", textContent: says });
    place.replaceChildren(...(number < LEAST_SESSIONS ? [few] : moving.map((metric) => historyFigure(chosen, metric))));
    still.replaceChildren(...stillTable(chosen));
  };
  const chooseMachine = () => {
    const before = workload.value;
    options(workload, series.filter((each) => each.machine === machine.value).map((each) => each.workload));
    if ([...workload.options].some((each) => each.value === before)) workload.value = before;
    show();
  };
  options(machine, series.map((each) => each.machine));
  machine.addEventListener("change", chooseMachine);
  workload.addEventListener("change", show);
  chooseMachine();
}

if (data.history) startHistory();
drawAll();
