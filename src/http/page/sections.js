// The page's two faces: the plan, and what came of it; and the notice above the plan.

import { $, hide, put } from "./text.js";

export function notice(children = [], kind = "bad") {
  $("notice").className = `notice ${kind}`;
  put($("notice"), children);
  hide($("notice"), !children.length);
}

export function show(name) {
  $("plan").hidden = name !== "plan";
  $("result").hidden = name !== "result";
  document.body.classList.toggle("done", name === "result");
}

/** What came of it, in place of the plan; reading goes on there. */
export function result(...children) {
  $("result").replaceChildren(...children.filter(Boolean));
  show("result");
  scrollTo(0, 0);
  $("result").focus({ preventScroll: true });
}
