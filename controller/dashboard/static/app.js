// The page: which view is shown, and when it is read again: at every event of the stream, and every second for usage.
import { $, setText } from "./dom.js";
import { stream } from "./api.js";
import { given } from "./token.js";
import * as overview from "./overview.js";
import * as task from "./task.js";

const every = 1000;
let timer = 0;
let running = false;
let again = false;
let current = null; // AbortController of the reads under way

function say(err) {
  const alert = $("#alert");
  alert.hidden = !err;
  setText(alert, err ? err.message ?? String(err) : "");
}

function route() {
  const match = /^#\/task\/(.+)$/.exec(location.hash);
  try { return match ? decodeURIComponent(match[1]) : ""; } catch { return ""; }
}

async function refresh() {
  if (running) { again = true; return; }
  running = true;
  clearTimeout(timer);
  await given();
  const id = route();
  $("#overview").hidden = id !== "";
  $("#task").hidden = id === "";
  current = new AbortController();
  const limit = setTimeout(() => current.abort(), 10000);
  try {
    if (id) await task.update(id, refresh, shout, current.signal);
    else { task.leave(); document.title = "Skalds"; await overview.update(refresh, shout, current.signal); }
    quiet();
  } catch (err) {
    if (err.name !== "AbortError") failed(err);
  } finally {
    clearTimeout(limit);
    running = false;
  }
  if (again) { again = false; setTimeout(refresh, 50); } else if (!document.hidden) timer = setTimeout(refresh, every);
}

// What a click was answered stays until the next click; what a read was answered goes with the next good read.
let fromRead = false;
function shout(err) { fromRead = false; say(err); }
function failed(err) { fromRead = true; say(err); }
function quiet() { if (fromRead) { fromRead = false; say(null); } }

overview.setUp({ refresh, say: shout });
task.setUp();
addEventListener("hashchange", () => { say(null); current?.abort(); refresh(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
document.addEventListener("click", (e) => { if (e.target.tagName === "BUTTON") say(null); }, true);

stream("/api/events/all", {
  signal: new AbortController().signal,
  onState: (state) => {
    const sign = $("#connection");
    setText(sign, state);
    sign.className = `badge ${state}`;
  },
  onEvent: (e) => { if (e.type !== "skald_heartbeat" && e.type !== "task_heartbeat" && !document.hidden) refresh(); },
});
refresh();
