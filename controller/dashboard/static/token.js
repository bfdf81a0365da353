// The token of a server that asks for one: a form asks for it once, however many requests wait for it.
import { $, setText } from "./dom.js";

const key = "skalds-token";
let asked = null; // what all that need a token wait for

export const token = () => sessionStorage.getItem(key);

// given waits until nobody is asked for a token: as long as somebody is, nothing needs to be read.
export const given = () => asked;

// another waits until there is another token than the one that the server has refused.
export function another(refused, signal) {
  if (token() !== refused) return null;
  asked ??= ask(refused);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal?.aborted) return stop();
    signal?.addEventListener("abort", stop, { once: true });
    asked.then(() => { signal?.removeEventListener("abort", stop); resolve(); });
  });
}

function ask(refused) {
  const form = $("#token");
  const field = form.elements.namedItem("token");
  setText($("output", form), refused ? "The server has refused this token." : "");
  field.value = "";
  form.hidden = false;
  field.focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      sessionStorage.setItem(key, field.value.trim());
      form.hidden = true;
      asked = null;
      resolve();
    }, { once: true });
  });
}
