// Short messages that come and go, and what a screen reader is told.

import { button, byId, el, icon } from "./dom.js";
import { t } from "./words.js";

const STAY = 9000;
const SENTENCES = 3; // that one after another may still be being read

/** Shows a message; `act` = {text, run} adds a button. It goes by itself, or by its cross. */
export function notify(text, act = null) {
  const gone = () => note.remove();
  const run = () => {
    gone();
    act.run();
  };
  const close = button("", gone, { kind: "round", "aria-label": t("notice.close") });
  close.append(icon("close"));
  const note = el("div", { class: "notice" }, el("p", {}, text), act && button(act.text, run, { kind: "quiet" }), close);
  byId("notices").append(note);
  const leave = () => (note.matches(":hover, :focus-within") ? setTimeout(leave, STAY) : gone());
  setTimeout(leave, STAY);
}

/** Says something to a screen reader alone. */
export function say(text) {
  byId("said").append(el("p", {}, text));
  if (byId("said").childElementCount > SENTENCES) byId("said").firstChild.remove();
}
