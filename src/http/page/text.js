// Texts and elements. A text from the store, as it is shown, changes nothing around it, and nothing in it is unseen.

/** Controls, what turns the direction of text, what has no width, and blanks that are not a space. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u;
const UNSEEN_OR_AT_AN_END = new RegExp(`(${UNSEEN.source}|^ | $)`, "u");

const code = (character) => character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
const sign = (character) => `⟦U+${code(character)}⟧`;

/** Every second part is what is not seen. Most texts have no such part, and there are thousands of them. */
const parts = (text) => (UNSEEN_OR_AT_AN_END.test(text) ? String(text).split(UNSEEN_OR_AT_AN_END) : [String(text)]);

/** As a string, where there can be no element. */
export const spelled = (text) => parts(text).map((part, index) => (index % 2 ? sign(part) : part)).join("");

/** An element with attributes and children; a string among them is a text of the page's own. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const $ = (id) => document.getElementById(id);

/** What has the focus goes: it passes to the part of the page around it. */
function passOn(place) {
  const around = place.closest("[tabindex='-1']") ?? place.closest("details")?.querySelector("summary");
  around?.focus({ preventScroll: true });
}

/** Makes these a place's children. What is among them already is not touched, so it keeps the focus, and a key that is held. */
export function put(place, children) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const wanted = new Set(children);
  for (const child of [...place.childNodes]) if (!wanted.has(child)) child.remove();
  let next = place.firstChild;
  for (const child of wanted) {
    if (child === next) next = next.nextSibling;
    else place.insertBefore(child, next);
  }
  if (focused && document.activeElement !== focused) (document.getElementById(focused.id) ?? passOn(place))?.focus({ preventScroll: true });
}

/** The same, where what comes out the same is not touched either. */
export function renew(place, children) {
  const old = [...place.childNodes];
  put(place, children.map((child) => {
    const same = old.findIndex((node) => node.isEqualNode(child));
    return same < 0 ? child : old.splice(same, 1)[0];
  }));
}

/** Hides what has no use now, or shows it. */
export function hide(place, isHidden) {
  const isIn = place.contains(document.activeElement);
  place.hidden = isHidden;
  if (isHidden && isIn) passOn(place);
}

export function button(text, act, kind = "plain") {
  const made = element("button", { type: "button", class: kind }, text);
  made.addEventListener("click", act);
  return made;
}

/** An element with a text from the store in it, and nothing that it could reach outside. */
export function foreign(text, name = "bdi", attributes = {}) {
  const children = parts(text).map((part, index) => (index % 2 ? element("span", { class: "sign" }, sign(part)) : part));
  return element(name, { dir: "auto", ...attributes }, ...children);
}

/** JSON in which nothing is unseen; it means the same. */
export function json(value) {
  const unit = (character) => [...Array(character.length).keys()].map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
  return JSON.stringify(value).replace(new RegExp(UNSEEN, "gu"), unit);
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** When an id was made, where it tells: a ULID, or a UUID of version 7. */
export function madeAt(id) {
  let made = NaN;
  if (/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i.test(id)) {
    made = [...id.slice(0, 10).toUpperCase()].reduce((sum, digit) => sum * 32 + CROCKFORD.indexOf(digit), 0);
  } else if (/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(id)) {
    made = parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  }
  const at = new Date(made);
  // Such letters may also be by chance.
  return at.getUTCFullYear() >= 2000 && at.getUTCFullYear() < 2200 ? at : null;
}

const pad = (number, length = 2) => String(number).padStart(length, "0");

/** An instant as a datetime-local field wants it: whole seconds where it is on one. */
export function local(at) {
  const date = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const part = at.getMilliseconds() ? `.${pad(at.getMilliseconds(), 3)}` : "";
  return `${date}T${timeOfDay(at)}${part}`;
}

/** An instant, to the second. */
export const when = (at) => element("time", { datetime: at, title: at }, local(new Date(at)).slice(0, 19).replace("T", " "));

/** How long ago that was, in words. */
export function ago(at, now) {
  const minutes = Math.max(Math.round((now - Date.parse(at)) / 60e3), 0);
  if (minutes < 1) return "just now";
  if (minutes < 90) return `${minutes} minute${minutes === 1 ? "" : "s"} ago`;
  return `${Math.round(minutes / 60)} hours ago`;
}

export const timeOfDay = (at) => `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
