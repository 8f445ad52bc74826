// Copies a text for the operator.

import { element } from "./text.js";

/** Copies; without a secure context (plain HTTP from elsewhere) there is no clipboard, and the text alone is left selected. */
export async function copy(text, from) {
  const before = from.textContent;
  const shown = element("textarea", { readonly: "", rows: "3", "aria-label": "The text to copy", class: "to-copy" });
  try {
    await navigator.clipboard.writeText(text);
    from.textContent = "Copied";
  } catch {
    from.parentElement.querySelector(".to-copy")?.remove();
    shown.value = text;
    from.after(shown);
    shown.select();
    const isCopied = document.execCommand("copy");
    if (isCopied) {
      shown.remove();
      from.focus();
    }
    from.textContent = isCopied ? "Copied" : "Press Ctrl+C";
  }
  setTimeout(() => (from.textContent = before), 2000);
}
