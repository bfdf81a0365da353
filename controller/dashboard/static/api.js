// The API of the controller: calls, and streams that come back by themselves.

const tokenKey = "skalds-token";

function headers(more = {}) {
  const token = sessionStorage.getItem(tokenKey);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

export class Problem extends Error {
  constructor(status, detail, errors) {
    super([detail, ...(errors ?? []).map((e) => `${e.field}: ${e.message}`)].join("; "));
    this.status = status;
  }
}

async function checked(response) {
  if (response.ok) return response;
  const text = await response.text();
  let problem = {};
  try { problem = JSON.parse(text); } catch { problem = { detail: text.slice(0, 200) }; }
  if (response.status === 401) {
    const token = window.prompt("This server asks for a token:");
    if (token) sessionStorage.setItem(tokenKey, token.trim());
  }
  throw new Problem(response.status, problem.detail || `the server answered ${response.status}`, problem.errors);
}

export async function call(method, path, body, signal) {
  const response = await checked(await fetch(path, {
    method, signal, headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }),
    body: body === undefined ? undefined : JSON.stringify(body),
  }));
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

// stream reads events until the signal is aborted; onState gets "live" and "lost". again: connect anew after an end.
export async function stream(path, { onEvent, onState = () => {}, signal, again = true }) {
  let last = "";
  for (let pause = 500; !signal.aborted; pause = Math.min(pause * 2, 8000)) {
    try {
      const more = { Accept: "text/event-stream" };
      if (last) more["Last-Event-ID"] = last;
      const response = await checked(await fetch(path, { headers: headers(more), signal }));
      onState("live");
      await readEvents(response.body, (id, data) => {
        pause = 500;
        if (id) last = id;
        onEvent(data);
      });
      if (!again) return;
    } catch (err) {
      if (signal.aborted) return;
      if (err instanceof Problem && !again) throw err;
    }
    onState("lost");
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
