// What people say that photos really show: one key, or a list to choose from.

import { Problem, keep } from "./api.js";
import { byId, closeBeside, el } from "./dom.js";
import { isAnswered } from "./photos.js";
import { t } from "./words.js";

const DIGITS = 9; // classes that digits stand for; of more, a list is typed into

export class Corrections {
  /**
   * house: {kept: whether the server keeps corrections, classes(): names}
   * changed: is called with a photo; told: with a photo, once a correction has arrived
   */
  constructor({ house, changed, told }) {
    Object.assign(this, { house, changed, told });
    this.dialog = byId("chooser");
    this.field = byId("chooser-field");
    this.list = byId("chooser-list");
    this.photo = null;
    this.names = [];
    this.place = 0;
    closeBeside(this.dialog);
    this.field.addEventListener("input", () => this.filter());
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("click", (event) => this.click(event));
  }

  /** A digit on a card: a class of its own, or the first letter typed into the list. */
  digit(photo, digit) {
    const classes = this.house.classes();
    if (!isAnswered(photo)) return;
    if (classes.length > DIGITS) this.open(photo, digit);
    else if (classes[Number(digit) - 1] !== undefined) this.give(photo, classes[Number(digit) - 1]);
  }

  async give(photo, label) {
    const correction = { label, state: this.house.kept ? "sending" : "listed", problem: null };
    photo.correction = correction;
    this.changed(photo);
    if (this.house.kept) {
      // One by one: the last line of the server's table is what counts.
      const send = () => (photo.correction === correction ? this.send(photo, correction) : null);
      photo.keeping = photo.keeping.then(send, send);
      await photo.keeping;
      if (photo.correction !== correction) return; // another one came after it
      this.changed(photo);
    }
    this.told(photo);
  }

  async send(photo, correction) {
    const { file, model, sha256, answer } = photo;
    try {
      await keep({ file, label: correction.label, predicted: answer.label ?? "", model, sha256 });
      correction.state = "kept";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      Object.assign(correction, { state: "failed", problem: error });
    }
  }

  open(photo, typed = "") {
    if (!isAnswered(photo)) return;
    this.photo = photo;
    byId("chooser-photo").textContent = photo.path;
    byId("chooser-note").textContent = t(this.house.kept ? "chooser.kept" : "chooser.listed");
    this.field.value = typed;
    this.filter();
    this.dialog.showModal();
    this.field.focus();
  }

  filter() {
    const plain = (text) => text.normalize("NFC").toLocaleLowerCase();
    const typed = plain(this.field.value.trim());
    const classes = this.house.classes();
    const rank = (name) => (plain(name).startsWith(typed) ? 0 : 1);
    this.names = classes
      .filter((name) => plain(name).includes(typed) || this.isNumber(typed, name))
      .sort((a, b) => rank(a) - rank(b));
    this.point(0);
  }

  isNumber(typed, name) {
    const classes = this.house.classes();
    return classes.length <= DIGITS && classes[Number(typed) - 1] === name;
  }

  point(place) {
    this.place = Math.max(0, Math.min(place, this.names.length - 1));
    this.list.replaceChildren(...this.names.map((name, each) => this.option(name, each)));
    byId("chooser-none").hidden = this.names.length > 0;
    const at = this.names.length ? `choice-${this.place}` : "";
    this.field.setAttribute("aria-activedescendant", at);
    if (at) byId(at).scrollIntoView({ block: "nearest" });
  }

  option(name, place) {
    const classes = this.house.classes();
    const digit = classes.length <= DIGITS ? el("kbd", {}, String(classes.indexOf(name) + 1)) : null;
    const selected = String(place === this.place);
    return el("li", { role: "option", id: `choice-${place}`, "aria-selected": selected }, digit, el("span", {}, name));
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.isComposing) return; // a Korean syllable is not finished yet
    if (event.key in steps) this.point(this.place + steps[event.key]);
    else if (event.key === "Enter") this.take(this.names[this.place]);
    else return;
    event.preventDefault();
  }

  click(event) {
    const option = event.target.closest("[role=option]");
    if (option) this.take(this.names[Number(option.id.replace("choice-", ""))]);
  }

  take(name) {
    if (name === undefined) return;
    this.dialog.close();
    this.give(this.photo, name);
  }
}
