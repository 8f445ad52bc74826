// The token that a server may ask for: a dialog, which can be left.

import * as api from "./api.js";
import { spelled } from "./text.js";

const $ = (id) => document.getElementById(id);

/** Whether the operator has left the dialog: then it comes when it is called. */
let isLeft = false;

/** `use` is called when there is another token to use. */
export function start(use) {
  const dialog = $("token-dialog");
  $("token-button").hidden = api.token.get() === null;
  $("token-button").addEventListener("click", () => ask());
  dialog.querySelector("form").addEventListener("submit", (event) => {
    if (event.submitter?.value === "cancel") return;
    const secret = $("token").value.trim();
    const unfit = api.token.unfit(secret);
    if (unfit) {
      event.preventDefault();
      const signs = [...new Set(unfit)].map((one) => `“${spelled(one)}”`).join(", ");
      return say(`A token can't have ${signs} in it: was this one changed on its way here?`);
    }
    api.token.set(secret);
  });
  dialog.addEventListener("close", () => {
    isLeft = dialog.returnValue !== "use";
    $("token").value = "";
    if (!isLeft) use();
  });
}

export function ask(message = "") {
  say(message);
  // What closed it the last time is not what closes it now.
  $("token-dialog").returnValue = "";
  if (!$("token-dialog").open) $("token-dialog").showModal();
}

/** The server wants another one. */
export function refused() {
  $("token-button").hidden = false;
  if (!isLeft) ask(api.token.get() ? "The token was not accepted." : "");
}

function say(message) {
  $("token-error").textContent = message;
}
