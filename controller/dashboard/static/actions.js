// What people can do with a task in its state.
import { el } from "./dom.js";
import { call, taskPath } from "./api.js";

const possible = {
  Created: ["pause", "cancel"], Assigning: ["cancel"], Running: ["pause", "cancel"], Paused: ["resume", "cancel"],
  Finished: ["retry"], Failed: ["retry"], Cancelled: ["retry"],
};

export function actions(t, refresh, say) {
  const verbs = [...(possible[t.lifecycleStatus] ?? [])];
  if (t.quarantined) verbs.unshift("retry");
  return verbs.map((verb) => el("button", {
    type: "button",
    onclick: async (e) => {
      if (verb === "cancel" && !window.confirm(`Cancel task ${t.id}?`)) return;
      e.target.disabled = true;
      try { await call("POST", taskPath(t.id, `/${verb}`)); } catch (err) { say(err); }
      e.target.disabled = false;
      refresh();
    },
  }, verb));
}
