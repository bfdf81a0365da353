// The overview: nodes, the list of tasks, and the form that makes one.
import { $, badge, bytes, cores, el, rows, setText } from "./dom.js";
import { call, encode, get } from "./api.js";
import { actions } from "./actions.js";

const states = ["Created", "Assigning", "Running", "Paused", "Finished", "Failed", "Cancelled"];
const pageSize = 50;
let page = 1;
let total = 0;
let workers = [];

export function setUp({ refresh, say }) {
  const filter = $("#filter");
  for (const s of states) filter.lifecycleStatus.append(el("option", { value: s }, s));
  filter.addEventListener("input", () => { page = 1; refresh(); });
  filter.addEventListener("submit", (e) => e.preventDefault());
  filter.previous.addEventListener("click", () => { page = Math.max(1, page - 1); refresh(); });
  filter.next.addEventListener("click", () => { if (page * pageSize < total) page++; refresh(); });
  const form = $("#create form");
  form.elements.namedItem("className").addEventListener("change", () => showSchema(form));
  form.addEventListener("submit", (e) => { e.preventDefault(); create(form, refresh); });
  $("#create").addEventListener("toggle", () => { if ($("#create").open) loadWorkers(form).catch((err) => say(err)); });
}

export async function update(refresh, say, signal) {
  const filter = $("#filter");
  const q = new URLSearchParams({ page, pageSize });
  for (const name of ["id", "lifecycleStatus", "className"]) {
    const value = filter.elements.namedItem(name).value;
    if (value) q.set(name, value);
  }
  const [nodes, tasks, summary, classes] = await Promise.all([
    get("/api/skalds/", signal), get(`/api/tasks/?${q}`, signal), get("/api/system/dashboard/summary", signal), get("/api/tasks/classnames", signal),
  ]);
  total = tasks.total;
  showSummary(summary);
  showNodes(nodes.items, refresh, say);
  showTasks(tasks.items, refresh, say);
  showClasses(filter.elements.namedItem("className"), classes);
  setText($("#page"), total ? `${(page - 1) * pageSize + 1}–${Math.min(page * pageSize, total)} of ${total}` : "");
  filter.previous.disabled = page === 1;
  filter.next.disabled = page * pageSize >= total;
  if (page > 1 && tasks.items.length === 0) page = 1;
}

function showSummary(s) {
  setText($("#summary"), `${s.onlineSkalds} of ${s.totalSkalds} nodes online · ${s.runningTasks} running · ${s.createdTasks + s.assigningTasks} waiting · ${s.pausedTasks} paused · ${s.finishedTasks} finished · ${s.failedTasks} failed`);
}

function showClasses(select, names) {
  const have = [...select.options].map((o) => o.value);
  for (const name of names) if (!have.includes(name)) select.append(el("option", { value: name }, name));
}

// gauge is text and a meter; both change in place.
function gauge(used, capacity, text) {
  if (used === undefined || !capacity) return { text: "" };
  const share = Math.min(1, used / capacity);
  return { key: `${share.toFixed(3)}${text}`, make: () => [el("meter", { min: 0, max: 1, high: 0.85, value: share, title: text }), ` ${text}`] };
}

function showNodes(nodes, refresh, say) {
  const table = $("#nodes");
  table.closest("section").querySelector(".empty").hidden = nodes.length > 0;
  rows(table, nodes, (n) => n.id, (n) => {
    const more = n.draining ? "draining" : n.cordoned ? "cordoned" : "";
    return [
      { text: n.id, css: "id", title: n.hostname ?? "" },
      n.type,
      { key: n.status + more, make: () => [badge(n.status), more ? badge(more) : ""] },
      gauge(n.used?.cpuCores, n.capacity?.cpuCores, `${cores(n.used?.cpuCores)} of ${cores(n.capacity?.cpuCores)}`),
      gauge(n.used?.memoryBytes, n.capacity?.memoryBytes, `${bytes(n.used?.memoryBytes)} of ${bytes(n.capacity?.memoryBytes)}`),
      { text: String(n.taskCount), css: "number" },
      { text: n.workers.join(", "), css: "note" },
      enforcementCell(n.enforcement),
      { key: more, css: "actions", make: () => nodeActions(n, refresh, say) },
    ];
  });
}

// enforcementCell is a line for each limit: what holds it, what that is worth, and how far beyond it a task was really seen.
function enforcementCell(e) {
  const limits = [["memory", e?.memory, bytes], ["CPU", e?.cpu, (n) => `${cores(n)} cores`], ["processes", e?.pids, String], ["IO", e?.io, String]];
  const lines = limits.filter(([, held]) => held?.mechanism).map(([name, held, text]) => {
    const seen = [held.maxOver ? `${text(held.maxOver)} over at most` : "", held.kills ? `${held.kills} ${held.kills === 1 ? "kill" : "kills"}` : ""].filter(Boolean).join(", ");
    const by = held.mechanism === "none" ? "not held" : held.mechanism;
    return `${name}: ${by}${held.overshoot ? ` (${held.overshoot})` : ""}${seen ? `; seen: ${seen}` : ""}`;
  });
  return { key: lines.join("\n"), css: "note", make: () => lines.map((line) => el("div", {}, line)) };
}

function nodeActions(n, refresh, say) {
  const verbs = n.draining ? ["undrain"] : n.cordoned ? ["uncordon", "drain"] : ["cordon", "drain"];
  return verbs.map((verb) => el("button", {
    type: "button",
    onclick: () => call("POST", `/api/skalds/${encode(n.id)}/${verb}`).then(refresh, say),
  }, verb));
}

export function progressText(p) {
  const parts = [];
  if (p.percent) parts.push(`${p.percent.toFixed(p.percent < 10 ? 1 : 0)} %`);
  if (p.units) parts.push(`${p.units} ${p.unit || "units"}`);
  if (p.stage) parts.push(p.stage);
  return parts.join(", ");
}

export function note(t) {
  if (t.quarantined) return `held back: ${t.quarantined}`;
  if (t.phase === "backoff") return `next attempt ${new Date(t.nextAttemptAt).toLocaleTimeString()}; ${t.exception ?? ""}`;
  return t.error || t.exception || t.waiting || "";
}

function showTasks(tasks, refresh, say) {
  const table = $("#tasks");
  table.closest("section").querySelector(".empty").hidden = tasks.length > 0;
  rows(table, tasks, (t) => t.id, (t) => [
    { key: t.id, css: "id", make: () => el("a", { href: `#/task/${encodeURIComponent(t.id)}` }, t.id) },
    t.className,
    { key: t.lifecycleStatus + (t.phase ?? ""), make: () => [badge(t.lifecycleStatus), t.phase ? badge(t.phase) : ""] },
    { text: t.executor ?? "", css: "id" },
    { key: JSON.stringify(t.progress), make: () => [t.progress.percent ? el("progress", { max: 100, value: t.progress.percent }) : "", ` ${progressText(t.progress)}`] },
    { text: t.usage ? cores(t.usage.cpuCores) : "", css: "number" },
    { text: t.usage ? bytes(t.usage.memoryBytes) + (t.limits.memoryBytes ? ` / ${bytes(t.limits.memoryBytes)}` : "") : "", css: "number" },
    { text: t.attempt ? String(t.attempt) : "", css: "number" },
    { text: note(t), css: "note" },
    { key: t.lifecycleStatus + (t.quarantined ?? ""), css: "actions", make: () => actions(t, refresh, say) },
  ]);
}

async function loadWorkers(form) {
  workers = (await get("/api/workers/")).items;
  const select = form.elements.namedItem("className");
  const names = [...new Set(workers.flatMap((w) => w.classes.map((c) => c.className)))].sort();
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => el("option", { value: name, selected: name === chosen }, name)));
  showSchema(form);
}

// showSchema shows what the class wants, and starts the attachments with its required fields.
function showSchema(form) {
  const name = form.elements.namedItem("className").value;
  const schema = workers.flatMap((w) => w.classes).find((c) => c.className === name)?.schema ?? {};
  setText($("#schema"), JSON.stringify(schema, null, 2));
  const start = {};
  for (const field of schema.required ?? []) {
    const p = schema.properties?.[field] ?? {};
    start[field] = p.default ?? { string: "", integer: p.minimum ?? 0, number: p.minimum ?? 0, boolean: false, array: [], object: {} }[p.type] ?? null;
  }
  form.elements.namedItem("attachments").value = JSON.stringify(start, null, 2);
}

async function create(form, refresh) {
  const out = $("output", form);
  const field = (name) => form.elements.namedItem(name).value;
  try {
    const body = { className: field("className"), attachments: JSON.parse(field("attachments") || "{}"), priority: Number(field("priority")) };
    if (field("id")) body.id = field("id");
    if (Number(field("memory")) > 0) body.limits = { memoryBytes: Math.round(Number(field("memory")) * 1048576) };
    const t = await call("POST", "/api/tasks/", body);
    out.className = "";
    out.replaceChildren("Created ", el("a", { href: `#/task/${encodeURIComponent(t.id)}` }, t.id));
    refresh();
  } catch (err) {
    out.className = "bad";
    setText(out, err.message);
  }
}
