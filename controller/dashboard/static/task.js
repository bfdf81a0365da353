// One task: facts, usage against limits, attempts, log, attachments.
import { $, badge, bytes, chart, cores, el, rows, setText, span, time } from "./dom.js";
import { call, get, stream, taskPath } from "./api.js";
import { actions } from "./actions.js";
import { note, progressText } from "./overview.js";

const keptLines = 2000;
const keptSize = 4e6; // letters of them together
let shown = "";         // id of the task that is shown
let loaded = "";        // attachments as they were read
let logs = null;        // AbortController of the log's stream
let logInstance = "";   // the attempt that the log belongs to

export function setUp() {
  const form = $("#attachments");
  form.addEventListener("submit", (e) => { e.preventDefault(); save(form); });
  form.elements.namedItem("reload").addEventListener("click", () => read(form));
}

export function leave() {
  shown = "";
  logs?.abort();
  logs = null;
}

export async function update(id, refresh, say, signal) {
  if (id !== shown) await enter(id);
  const [t, usage, attempts] = await Promise.all([
    get(taskPath(id), signal), get(taskPath(id, "/usage?last=10m"), signal), get(taskPath(id, "/attempts"), signal),
  ]);
  if (id !== shown) return;
  showFacts(t, refresh, say);
  showUsage(t, usage.items);
  showAttempts(attempts.items);
  const instance = `${t.epoch}/${t.attempt}/${t.lifecycleStatus}`;
  if (!logs || (logs.ended && instance !== logInstance)) follow(id, instance);
}

async function enter(id) {
  leave();
  shown = id;
  document.title = `${id} – Skalds`;
  setText($("#task-title"), id);
  for (const s of ["#task-facts", "#task-actions", "#log", "#cpu-chart", "#memory-chart"]) $(s).replaceChildren();
  $("#attempts").tBodies[0].replaceChildren();
  setText($("#attachments output"), "");
  await read($("#attachments"));
}

function showFacts(t, refresh, say) {
  const bar = $("#task-actions");
  const key = t.lifecycleStatus + (t.phase ?? "") + (t.quarantined ?? "");
  if (bar.dataset.key !== key || !bar.firstChild) {
    bar.dataset.key = key;
    bar.replaceChildren(badge(t.lifecycleStatus), t.phase ? badge(t.phase) : "", ...actions(t, refresh, say));
  }
  const facts = {
    Class: t.className, Version: t.version || t.requestedVersion, Node: t.executor, "Process": t.instance ? `pid ${t.instance.pid}, since ${time(t.instance.startedAt)}` : "",
    Progress: progressText(t.progress), Attempt: `${t.attempt} (epoch ${t.epoch}, ${t.budgetUsed} of ${t.retry.maxAttempts > 0 ? t.retry.maxAttempts : "unlimited"} failures)`,
    "Ends for memory": t.memoryFailures ? `${t.memoryFailures} of ${t.retry.oom?.maxAttempts > 0 ? t.retry.oom.maxAttempts : "unlimited"}${t.memoryLimit ? `, the memory limit is raised to ${bytes(t.memoryLimit)}` : ""}` : "",
    "What is up": note(t), "Last exit": t.lastExit ? `${t.lastExit.kind}: ${t.lastExit.message ?? ""}` : "",
    Created: time(t.createDateTime), Ended: time(t.endedAt), Priority: String(t.priority), Constraints: (t.constraints ?? []).join(", "),
    Labels: Object.entries(t.labels ?? {}).map(([k, v]) => `${k}=${v}`).join(", "), Result: t.result === undefined ? "" : JSON.stringify(t.result),
  };
  const list = $("#task-facts");
  const entries = Object.entries(facts).filter(([, v]) => v);
  const text = JSON.stringify(entries);
  if (list.dataset.key === text) return;
  list.dataset.key = text;
  list.replaceChildren(...entries.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
}

function showUsage(t, items) {
  const memoryLimit = Math.max(t.limits.memoryBytes ?? 0, t.memoryLimit ?? 0);
  const cpu = items.map((i) => i.usage.cpuCores);
  const memory = items.map((i) => i.usage.memoryBytes);
  const of = (limit, text) => (limit ? ` of at most ${text(limit)}` : ", no limit");
  setText($("#cpu-text"), `CPU: ${t.usage ? cores(t.usage.cpuCores) : "–"} cores${of(t.limits.cpuCores, cores)}`);
  setText($("#memory-text"), `Memory: ${t.usage ? bytes(t.usage.memoryBytes) : "–"}${of(memoryLimit, bytes)}${t.peak ? `, peak ${bytes(t.peak.memoryBytes)}` : ""}`);
  const times = items.map((i) => i.at);
  chart($("#cpu-chart"), times, cpu, t.limits.cpuCores);
  chart($("#memory-chart"), times, memory, memoryLimit);
}

function showAttempts(items) {
  rows($("#attempts"), items.slice().reverse(), (a) => `${a.epoch}.${a.attempt}`, (a) => [
    `${a.epoch}.${a.attempt}`, a.node, a.version, time(a.startedAt),
    a.endedAt ? span(a.endedAt - a.startedAt) : "running",
    { key: a.exit?.kind ?? "", make: () => (a.exit ? badge(a.exit.kind) : "") },
    { text: bytes(a.peak.memoryBytes), css: "number" },
    { key: JSON.stringify([a.exit, a.logTail]), css: "note", make: () => (a.exit ? report(a) : "") },
  ]);
}

function report(a) {
  const e = a.exit;
  const lines = [e.signal ? `signal ${e.signal}` : e.code ? `exit code ${e.code}` : "", e.message ?? ""].filter(Boolean).join(", ");
  const more = [e.stack, a.logTail].filter(Boolean).join("\n\n");
  if (!more) return lines;
  return el("details", {}, el("summary", {}, lines || "log"), el("pre", {}, more));
}

function follow(id, instance) {
  logs?.abort();
  const control = new AbortController();
  logs = control;
  logInstance = instance;
  const pre = $("#log");
  pre.replaceChildren();
  let lines = 0, size = 0;
  const state = (text) => { if (logs === control) setText($("#log-state"), text); };
  stream(taskPath(id, "/logs?tail=200&follow=true"), {
    signal: control.signal, again: false,
    onState: (now, said) => {
      if (logs !== control) return;
      if (now !== "live") return state(said || "the connection is lost: trying again");
      pre.replaceChildren(); // the last lines come again
      lines = size = 0;
      state("following");
    },
    onEvent: (e) => {
      if (logs !== control || e.type !== "log") return;
      pre.append(`${e.line}\n`);
      size += pre.lastChild.length;
      for (lines++; lines > keptLines || (size > keptSize && lines > 1); lines--) {
        size -= pre.firstChild.length;
        pre.firstChild.remove();
      }
      if ($("#log-follow").checked) pre.scrollTop = pre.scrollHeight;
    },
  }).then(() => state("the log has ended"), (err) => state(err.message)).finally(() => { control.ended = true; });
}

async function read(form) {
  const out = $("output", form);
  try {
    const t = await get(taskPath(shown));
    loaded = JSON.stringify(t.attachments, null, 2);
    form.elements.namedItem("attachments").value = loaded;
    setText(out, "");
  } catch (err) {
    out.className = "bad";
    setText(out, err.message);
  }
}

async function save(form) {
  const out = $("output", form);
  try {
    const attachments = JSON.parse(form.elements.namedItem("attachments").value);
    const now = await get(taskPath(shown));
    if (JSON.stringify(now.attachments, null, 2) !== loaded) throw new Error("somebody has changed them since you read them: read them again");
    const done = await call("PUT", taskPath(shown, "/attachments"), { attachments });
    loaded = JSON.stringify(done.data.attachments, null, 2);
    form.elements.namedItem("attachments").value = loaded;
    out.className = "";
    setText(out, "Updated.");
  } catch (err) {
    out.className = "bad";
    setText(out, err.message);
  }
}
