// The API of the controller: calls, and streams that come back by themselves.
import { another, token } from "./token.js";

export class Problem extends Error {
  constructor(status, detail, errors) {
    super([detail, ...(errors ?? []).map((e) => `${e.field}: ${e.message}`)].join("; "));
    this.status = status;
  }
}

// send repeats a request that the server refuses for its token as soon as there is another.
async function send(path, { headers, ...options }) {
  for (;;) {
    const used = token();
    const response = await fetch(path, { ...options, headers: used ? { ...headers, Authorization: `Bearer ${used}` } : headers });
    if (response.ok) return response;
    const refused = await problem(response);
    if (response.status !== 401) throw refused;
    await another(used, options.signal);
  }
}

async function problem(response) {
  const text = await response.text();
  let said = {};
  try { said = JSON.parse(text); } catch { said = { detail: text.slice(0, 200) }; }
  return new Problem(response.status, said.detail || `the server answered ${response.status}`, said.errors);
}

export async function call(method, path, body, signal) {
  const response = await send(path, {
    method, signal, headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return response.json();
}

export const get = (path, signal) => call("GET", path, undefined, signal);

// encode makes an id one segment of a path; "." and ".." would be taken for folders.
export const encode = (id) => (/^\.{1,2}$/.test(id) ? id.replaceAll(".", "%2E") : encodeURIComponent(id));
export const taskPath = (id, rest = "") => `/api/tasks/${encode(id)}${rest}`;

const wait = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});

// stream reads events until the signal is aborted, and connects anew after every loss; onState gets "live" and "lost", the
// latter with what the server said, if anything. again: false: the event "end" ends it, and so does a refusal.
export async function stream(path, { onEvent, onState = () => {}, signal, again = true }) {
  let last = "";
  let ended = false;
  for (let pause = 500; !signal.aborted; pause = Math.min(pause * 2, 8000)) {
    let said = "";
    try {
      const headers = { Accept: "text/event-stream" };
      if (last) headers["Last-Event-ID"] = last;
      const response = await send(path, { headers, signal });
      onState("live");
      await readEvents(response.body, (id, data) => {
        pause = 500;
        if (id) last = id;
        if (data.type === "end") ended = true;
        onEvent(data);
      });
      if (!again && ended) return;
    } catch (err) {
      if (signal.aborted) return;
      if (err instanceof Problem) {
        if (!again && err.status < 500) throw err;
        said = err.message;
      }
    }
    onState("lost", said);
    await wait(pause, signal);
  }
}

async function readEvents(body, fn) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let id = "";
      const data = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("id:")) id = line.slice(3).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5));
      }
      if (data.length > 0) fn(id, JSON.parse(data.join("\n")));
    }
  }
}
