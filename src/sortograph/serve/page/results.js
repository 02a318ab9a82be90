// The photos as a list of cards: which are shown, in which order, and how the keyboard moves among them.

import { Card } from "./cards.js";
import { byId, letter } from "./dom.js";
import * as known from "./photos.js";

const PAUSE = 200; // milliseconds between two looks at filters and order while answers come in

export class Results {
  /**
   * act: {open, heat, choose, correct, retry, remove}
   * classes: gives the classes of the model that is asked
   * drawn: is called after the list has been brought up to date
   */
  constructor({ act, classes, drawn }) {
    Object.assign(this, { act, classes, drawn });
    this.list = byId("cards");
    this.photos = [];
    this.cards = new Map();
    this.shown = [];
    this.view = { filter: "all", label: "", sort: "added" };
    this.current = null;
    this.timer = 0;
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("focusin", (event) => this.enter(event));
  }

  add(photos) {
    this.photos.push(...photos);
    for (const photo of photos) this.cards.set(photo.id, new Card(photo, this.act));
    this.arrange();
  }

  /** These photos have changed. */
  changed(photos) {
    for (const photo of photos) this.cards.get(photo.id)?.render();
    this.list.ariaBusy = "true";
    if (!this.timer) this.timer = setTimeout(() => this.arrange(), PAUSE);
  }

  remove(photos) {
    const gone = new Set(photos);
    const after = this.shown.find((photo, place) => !gone.has(photo) && gone.has(this.shown[place - 1]));
    this.photos = this.photos.filter((photo) => !gone.has(photo));
    for (const photo of gone) {
      this.cards.get(photo.id)?.leave();
      this.cards.delete(photo.id);
    }
    this.shown = this.shown.filter((photo) => !gone.has(photo));
    this.arrange();
    return after ?? this.shown.at(-1) ?? null;
  }

  show(view) {
    Object.assign(this.view, view);
    this.arrange();
  }

  /** Filters and sorts; the focus stays where it was, or goes to the next card. */
  arrange() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.list.ariaBusy = "false";
    const next = known.chosen(this.photos, this.view, this.classes());
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    const place = this.shown.indexOf(this.current);
    this.place(next);
    this.shown = next;
    if (!next.includes(this.current)) this.point(next[Math.min(Math.max(place, 0), next.length - 1)] ?? null);
    if (focused) this.refocus(focused);
    this.drawn();
  }

  place(next) {
    const grown = this.shown.every((photo, place) => photo === next[place]);
    const elements = (photos) => photos.map((photo) => this.cards.get(photo.id).element);
    if (grown) this.list.append(...elements(next.slice(this.shown.length)));
    else this.list.replaceChildren(...elements(next));
  }

  refocus(element) {
    const target = element.isConnected ? element : this.current && this.cards.get(this.current.id).article;
    if (target && target !== document.activeElement) target.focus({ preventScroll: true });
  }

  /** Makes this the one card that Tab comes to. */
  point(photo) {
    if (this.current) this.cards.get(this.current.id)?.setReachable(false);
    this.current = photo;
    if (photo) this.cards.get(photo.id).setReachable(true);
  }

  focus(photo) {
    if (!photo) return;
    this.point(photo);
    const { article } = this.cards.get(photo.id);
    article.focus();
    article.scrollIntoView({ block: "nearest" });
  }

  enter(event) {
    const photo = this.at(event.target);
    if (photo && photo !== this.current) this.point(photo);
  }

  at(element) {
    const id = Number(element.closest(".card")?.id.replace("photo-", ""));
    return this.photos.find((photo) => photo.id === id) ?? null;
  }

  /** The photo before or after one, as shown; null at the ends. */
  beside(photo, step) {
    const place = this.shown.indexOf(photo);
    return place < 0 ? null : (this.shown[place + step] ?? null);
  }

  key(event) {
    const photo = this.at(event.target);
    if (!photo || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = this.goal(event.key, photo);
    if (to !== undefined) {
      event.preventDefault();
      this.focus(to);
    } else if (this.command(event, photo)) {
      event.preventDefault();
    }
  }

  goal(key, photo) {
    const across = this.columns();
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
    if (key in steps) return this.beside(photo, steps[key]);
    if (key === "Home") return this.shown[0];
    return key === "End" ? this.shown.at(-1) : undefined;
  }

  /** How many cards stand side by side. */
  columns() {
    return getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
  }

  command(event, photo) {
    const pressed = letter(event);
    const isCard = event.target.classList.contains("card");
    if (event.key === "Enter" && isCard) this.act.open(photo);
    else if (event.key === "Delete") this.act.remove(photo);
    else if (pressed === "h") this.act.heat(photo);
    else if (pressed === "c") this.act.choose(photo);
    else if (/^[0-9]$/.test(pressed)) this.act.digit(photo, pressed);
    else return false;
    return true;
  }
}
