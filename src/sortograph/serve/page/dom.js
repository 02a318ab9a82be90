// Elements made of text alone: what a name or a message says is never read as HTML.

/**
 * An element with attributes and children; strings become text.
 * `on` maps events to listeners; null and false leave an attribute out.
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  const { on = {}, ...rest } = attributes;
  for (const [name, value] of Object.entries(rest)) {
    if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  for (const [event, listener] of Object.entries(on)) made.addEventListener(event, listener);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The element with this id; every id that scripts ask for stands in index.html. */
export const byId = (id) => document.getElementById(id);

/** An icon of the sheet in index.html. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const drawn = document.createElementNS(space, "svg");
  const used = document.createElementNS(space, "use");
  used.setAttribute("href", `#i-${name}`);
  drawn.setAttribute("class", "icon");
  drawn.setAttribute("aria-hidden", "true");
  drawn.append(used);
  return drawn;
}

/** A button that says what it does. */
export function button(text, run, { symbol, kind = "", ...more } = {}) {
  const children = symbol ? [icon(symbol), el("span", {}, text)] : [text];
  return el("button", { type: "button", class: `button ${kind}`.trim(), on: { click: run }, ...more }, ...children);
}

/** Which letter or digit was pressed, lower case, also while a Korean keyboard is on; "" for other keys. */
export function letter(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return "";
  if (/^[a-z0-9?]$/i.test(event.key)) return event.key.toLowerCase();
  return /^(?:Key|Digit|Numpad)([A-Z0-9])$/.exec(event.code ?? "")?.[1].toLowerCase() ?? "";
}

/** Closes a dialog by a click beside it, too. */
export function closeBeside(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}
