// Small helpers for the document. Everything from outside becomes text, never markup.

export const $ = (selector, from = document) => from.querySelector(selector);

export function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// rows keeps one row per key, so that a click or a selection survives the next update. A cell is a text, or
// {key, make}: the element is made again only when its key has changed.
export function rows(table, items, keyOf, cellsOf) {
  const body = table.tBodies[0];
  const old = new Map([...body.rows].map((r) => [r.dataset.key, r]));
  let place = body.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = old.get(key);
    old.delete(key);
    if (!row) {
      row = el("tr");
      row.dataset.key = key;
    }
    if (row !== place) body.insertBefore(row, place);
    else place = place.nextElementSibling;
    fill(row, cellsOf(item));
  }
  for (const row of old.values()) row.remove();
}

function fill(row, cells) {
  cells.forEach((cell, i) => {
    const td = row.cells[i] ?? row.insertCell();
    const { text, key, make, css = "", title = "" } = typeof cell === "string" ? { text: cell } : cell;
    if (td.className !== css) td.className = css;
    if (td.title !== title) td.title = title;
    if (!make) return setText(td, text ?? "");
    if (td.dataset.key === key) return;
    td.dataset.key = key;
    td.replaceChildren(...[make()].flat());
  });
}

export function badge(text, extra = "") {
  return el("span", { class: `badge ${/^\w+$/.test(text) ? text : ""} ${extra}` }, text);
}

export function bytes(n) {
  if (!n) return "0";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return `${n < 10 && i > 0 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

export function cores(n) { return (n ?? 0).toFixed(2); }

export function time(ms) { return ms ? new Date(ms).toLocaleString() : ""; }

export function span(ms) {
  if (ms < 0 || Number.isNaN(ms)) return "";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(1)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}

// chart draws values over their times as a line, and a limit as a dashed one.
export function chart(svg, times, values, limit) {
  const ns = "http://www.w3.org/2000/svg";
  const top = Math.max(limit || 0, ...values, 1e-9) * 1.1;
  const y = (v) => (60 - (v / top) * 60).toFixed(1);
  const parts = [];
  if (values.length > 0) {
    const from = times[0];
    const all = Math.max(times[times.length - 1] - from, 1);
    const line = document.createElementNS(ns, "polyline");
    const points = values.map((v, i) => `${(((times[i] - from) / all) * 300).toFixed(1)},${y(v)}`);
    if (points.length === 1) points.push(`300.0,${y(values[0])}`);
    line.setAttribute("points", points.join(" "));
    parts.push(line);
  }
  if (limit) {
    const line = document.createElementNS(ns, "line");
    line.setAttribute("class", "limit");
    for (const [k, v] of [["x1", 0], ["x2", 300], ["y1", y(limit)], ["y2", y(limit)]]) line.setAttribute(k, v);
    parts.push(line);
  }
  svg.replaceChildren(...parts);
}
