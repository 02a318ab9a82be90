// Above the cards: how many there are and of which kind, what is under way, and which of them to show.

import { byId, el } from "./dom.js";
import { say } from "./notices.js";
import * as known from "./photos.js";
import { number, t } from "./words.js";

const QUIET = 4000; // milliseconds between two sentences to a screen reader while answers come in

export class Toolbar {
  /** busy: tells whether answers are still to come */
  constructor({ results, house, busy }) {
    Object.assign(this, { results, house, busy });
    this.said = 0;
    this.owes = false;
    this.waitsUntil = 0;
    this.rewrite();
    byId("sort").addEventListener("change", () => results.show({ sort: byId("sort").value }));
    byId("by-class").addEventListener("change", () => results.show({ label: byId("by-class").value }));
    byId("show-all").addEventListener("click", () => this.showAll());
  }

  showAll() {
    this.results.show({ filter: "all", label: "" });
    byId("count").focus();
  }

  rewrite() {
    const sorts = Object.keys(known.SORTS).map((name) => el("option", { value: name }, t(`sort.${name}`)));
    byId("sort").replaceChildren(...sorts);
    byId("sort").value = this.results.view.sort;
    this.written = "";
    this.render();
  }

  /** Shows the numbers as they now are. */
  render() {
    const { photos, shown } = this.results;
    const counts = Object.entries(known.FILTERS).map(([name, fits]) => [name, photos.filter(fits).length]);
    byId("count").textContent = t("count", { n: photos.length });
    byId("tally").textContent = shown.length === photos.length ? "" : t("shown", { n: shown.length });
    byId("kept-where").textContent = t(this.house.kept ? "promise.kept" : "promise.listed");
    byId("nothing").hidden = photos.length === 0 || shown.length > 0;
    this.renderChips(counts.filter(([name, count]) => name === "all" || count > 0));
    this.renderClasses(photos);
    this.renderProgress(photos);
    this.renderFailures(photos);
  }

  renderChips(counts) {
    const { filter } = this.results.view;
    const written = JSON.stringify([counts, filter]);
    if (written === this.written) return;
    this.written = written;
    const focused = document.activeElement?.dataset?.filter;
    const chips = counts.map(([name, count]) => this.chip(name, count, name === filter));
    byId("chips").replaceChildren(...chips);
    if (focused) (chips.find((chip) => chip.dataset.filter === focused) ?? chips[0]).focus();
  }

  chip(name, count, pressed) {
    const run = () => this.results.show({ filter: pressed ? "all" : name });
    return el(
      "button",
      { type: "button", class: `chip ${name}`, "data-filter": name, "aria-pressed": String(pressed), on: { click: run } },
      el("span", {}, t(`filter.${name}`)),
      el("b", {}, number(count)),
    );
  }

  renderClasses(photos) {
    const counts = new Map(this.house.classes().map((name) => [name, 0]));
    for (const photo of photos) {
      const label = known.labelOf(photo);
      if (label !== null) counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    const texts = [["", t("class.all")], ...[...counts].map(([name, count]) => [name, `${name} (${number(count)})`])];
    const select = byId("by-class");
    if (select.options.length !== texts.length) {
      select.replaceChildren(...texts.map(([value]) => el("option", { value })));
    }
    texts.forEach(([value, text], place) => {
      if (select.options[place].value !== value) select.options[place].value = value;
      if (select.options[place].textContent !== text) select.options[place].textContent = text;
    });
    select.value = this.results.view.label;
  }

  renderProgress(photos) {
    const busy = this.busy();
    const waiting = photos.filter(known.isPending).length;
    const done = photos.length - waiting;
    byId("progress").hidden = !busy;
    byId("progress-bar").value = photos.length ? done / photos.length : 0;
    const left = Math.ceil((this.waitsUntil - Date.now()) / 1000);
    const words = t("progress.words", { done, all: photos.length });
    byId("progress-words").textContent = left > 0 ? `${words} · ${t("progress.waits", { n: left })}` : words;
    this.announce(busy, done, photos);
  }

  /** Photos have been sent: when all is answered, it will be said. */
  expect() {
    this.owes = true;
  }

  announce(busy, done, photos) {
    const ended = this.owes && !busy && done > 0;
    if (ended) this.owes = false;
    if (ended) say(t("said.done", { n: done, look: photos.filter(this.needsLook).length, failed: photos.filter(known.hasFailed).length }));
    else if (busy && Date.now() - this.said > QUIET) say(t("progress.words", { done, all: photos.length }));
    else return;
    this.said = Date.now();
  }

  needsLook = (photo) => known.isUnsure(photo) || known.isUnlike(photo) || known.isWithheld(photo);

  renderFailures(photos) {
    const count = photos.filter(known.canRetry).length;
    byId("failures").hidden = count === 0 || this.busy();
    byId("failures-words").textContent = t("failures", { n: count });
  }

  /** The server asked to wait: counts the seconds down. */
  wait(seconds) {
    this.waitsUntil = Math.max(this.waitsUntil, Date.now() + 1000 * seconds);
    const tick = () => {
      this.renderProgress(this.results.photos);
      if (Date.now() < this.waitsUntil) setTimeout(tick, 500);
    };
    tick();
  }
}
