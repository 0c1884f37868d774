// Draws what the page holds as data. Text is only ever set as text, never parsed as markup.
const data = JSON.parse(document.getElementById("data").textContent);

function unpack({ names, rows }) {
  return { values: rows.map((row) => Object.fromEntries(names.map((name, n) => [name, row[n]]))) };
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function embed(element, spec) {
  try {
    // `ast`: expressions are interpreted, so that the page's policy can forbid eval.
    await window.vegaEmbed(element, spec, {
      renderer: "svg", ast: true, actions: false, config: data.config,
    });
    element.firstElementChild.ariaHidden = "true"; // the figure has a label and a table instead
    element.style.minHeight = "";
  } catch (error) {
    console.error(error);
    element.replaceChildren(make("p", {
      className: "failed", textContent: "This chart can't be drawn; its table follows.",
    }));
  }
}

// A plot is the number of its spec, and the rows of the spec and of those layers that have rows.
function complete([number, rows]) {
  const spec = data.specs[number];
  const [own, ...others] = rows.map(unpack);
  const layer = spec.layer.map((each) => ("data" in each ? { ...each, data: others.shift() } : each));
  return { ...spec, data: own, layer };
}

// One chart after the other, those near the screen first, the others when there is nothing to do: a
// page with hundreds opens at once, and prints whole.
const pending = new Map();
const near = new Set();
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) near.add(target);
    else near.delete(target);
  }
  wake();
}, { rootMargin: "300px" });
let wake = () => {};

const moment = (wait) => new Promise((resolve) => {
  wake = resolve;
  if (wait) (window.requestIdleCallback || setTimeout)(resolve, { timeout: 500 });
  else setTimeout(resolve);
});

function forget(element) {
  pending.delete(element);
  near.delete(element);
  seen.unobserve(element);
}

function later(element, height, action) {
  element.style.minHeight = `${height}px`;
  pending.set(element, action);
  seen.observe(element);
  if (pending.size === 1) wake();
}

async function drawAll() {
  for (;;) {
    const first = near.values().next();
    await moment(first.done);
    const next = near.values().next().value || pending.keys().next().value;
    if (next) {
      const action = pending.get(next);
      forget(next);
      await action();
    }
    document.documentElement.toggleAttribute("data-drawn", pending.size === 0);
    if (!pending.size) await new Promise((resolve) => { wake = resolve; });
  }
}

for (const element of document.querySelectorAll("[data-plot]")) {
  const plot = data.plots[Number(element.dataset.plot)];
  later(element, data.specs[plot[0]].height + 45, () => embed(element, complete(plot)));
}

// Flame graphs: boxes of depth, start and width (as shares), name, frames, microseconds.
function kind(name) {
  if (name.startsWith("bitsandbytes::") || name.includes("_int_mm")) return "int8";
  if (name.startsWith("aten::") || name.includes("::")) return "operator";
  if (name.startsWith("nn.Module")) return "module";
  return name.startsWith("<built-in") ? "builtin" : "";
}

// `path/file.py(12): function` reads better in a narrow box with its function first.
function label(name) {
  const frame = /^(?:.*\/)?([^/]+\.py)\((\d+)\): (.+)$/.exec(name);
  return frame ? `${frame[3]} · ${frame[1]}:${frame[2]}` : name.replace("nn.Module: ", "");
}

function time(us) {
  if (us >= 1e6) return `${(us / 1e6).toPrecision(3)} s`;
  return us >= 1e3 ? `${(us / 1e3).toPrecision(3)} ms` : `${us} µs`;
}

function flame(element, { total, boxes }) {
  const status = element.parentElement.querySelector(".status");
  const show = (root) => {
    const [top, from, share] = root;
    const shown = boxes.filter(([depth, start, width]) => (
      start < from + share - 1e-9 && start + width > from + 1e-9
      && (depth >= top || width >= share)
    ));
    const deepest = Math.max(...shown.map(([depth]) => depth));
    element.style.height = `${(deepest + 1) * 18}px`;
    element.replaceChildren(...shown.map((box) => {
      const [depth, start, width, name, frames, us] = box;
      const left = Math.max(0, (start - from) / share);
      const right = Math.min(1, (start + width - from) / share);
      const says = `${frames}: ${time(us)}, ${((100 * us) / total).toPrecision(3)} %`;
      const span = make("span", { textContent: label(name), title: says, className: kind(name) });
      span.style.left = `${100 * left}%`;
      span.style.width = `${100 * (right - left)}%`;
      span.style.top = `${18 * depth}px`;
      if (right - left < 0.02) span.style.padding = "0";
      span.addEventListener("click", () => {
        show(box);
        status.textContent = says;
      });
      span.addEventListener("mouseenter", () => { status.textContent = says; });
      return span;
    }));
  };
  show(boxes[0]);
}

for (const element of document.querySelectorAll("[data-flame]")) {
  const graph = data.flames[Number(element.dataset.flame)];
  if (graph.boxes.length) later(element, 120, () => flame(element, graph));
}
