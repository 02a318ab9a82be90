// A photo at full size, with all that the model said of it, and where on the photo that comes from.

import { Problem, predict } from "./api.js";
import * as cards from "./cards.js";
import { byId, closeBeside, el, letter } from "./dom.js";
import { drawHeat } from "./heat.js";
import * as known from "./photos.js";
import { t } from "./words.js";

const MODEL_PIXELS = 3; // a model's pixel, where the browser cannot show the photo itself

export class Closer {
  /**
   * act: {choose, digit, beside(photo, step), left(photo)}; spec: gives a model's `preprocess`
   */
  constructor({ act, spec }) {
    Object.assign(this, { act, spec });
    this.photo = null;
    this.stop = new AbortController();
    this.heats = new WeakMap(); // photo → {sha256, picture}
    this.dialog = byId("closer");
    this.image = byId("closer-image");
    this.canvas = byId("closer-heat");
    this.button = byId("closer-heat-button");
    closeBeside(this.dialog);
    this.button.addEventListener("click", () => this.toggle());
    byId("closer-before").addEventListener("click", () => this.step(-1));
    byId("closer-after").addEventListener("click", () => this.step(1));
    byId("closer-correct").addEventListener("click", () => this.act.choose(this.photo));
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("close", () => this.left());
  }

  get isOpen() {
    return this.dialog.open;
  }

  async open(photo, withHeat = false) {
    this.stop.abort();
    this.photo = photo;
    this.canvas.hidden = true;
    this.render();
    if (!this.dialog.open) this.dialog.showModal();
    await this.load(photo);
    if (withHeat && this.photo === photo) this.toggle();
  }

  async load(photo) {
    this.forget();
    this.address = URL.createObjectURL(photo.file);
    const address = this.address;
    this.image.hidden = false;
    this.image.src = address;
    const shown = await this.image.decode().then(() => true, () => false); // prettier-ignore
    if (this.address !== address) return;
    const ratio = shown ? this.image.naturalWidth / this.image.naturalHeight : 1;
    this.image.parentElement.style.setProperty("--ratio", ratio);
    this.image.hidden = !shown;
    byId("closer-none").hidden = shown;
  }

  forget() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
  }

  /** Shows what is now known of the photo. */
  render() {
    const { photo } = this;
    if (!photo) return;
    const answered = known.isAnswered(photo);
    byId("closer-name").textContent = photo.path;
    byId("closer-before").disabled = !this.act.beside(photo, -1);
    byId("closer-after").disabled = !this.act.beside(photo, 1);
    byId("closer-correct").hidden = !answered;
    this.button.hidden = !answered;
    this.image.alt = photo.path;
    byId("closer-none").replaceChildren(cards.placeholder(photo.path));
    byId("closer-says").replaceChildren(...this.says(photo, answered));
    this.tell("");
    this.mark();
  }

  says(photo, answered) {
    if (!answered) return [el("p", { class: "reason" }, cards.summary(photo))];
    const parts = [cards.verdict(photo), cards.why(photo), cards.bars(photo, 5), cards.correction(photo)];
    return parts.filter(Boolean);
  }

  mark() {
    const on = !this.canvas.hidden;
    this.button.setAttribute("aria-pressed", String(on));
    byId("closer-legend").hidden = !on;
    byId("legend-for").textContent = t("legend.for", { label: known.guessOf(this.photo) ?? "" });
  }

  tell(text) {
    byId("closer-note").textContent = text;
  }

  async toggle() {
    if (!this.canvas.hidden) {
      this.canvas.hidden = true;
      this.mark();
    } else if (known.isAnswered(this.photo) && !this.button.hasAttribute("aria-busy")) {
      await this.explain(this.photo);
    }
  }

  async explain(photo) {
    this.button.setAttribute("aria-busy", "true");
    this.tell(t("closer.working"));
    try {
      const [heat, spec] = await Promise.all([this.heat(photo), this.spec(photo.model)]);
      if (this.photo === photo) this.draw(heat, spec);
    } catch (error) {
      const told = error instanceof Problem;
      if (this.photo === photo) this.tell(told ? cards.words(error) : t("closer.failed"));
      if (!told && error.name !== "AbortError") throw error;
    } finally {
      this.button.removeAttribute("aria-busy");
    }
  }

  async heat(photo) {
    const made = this.heats.get(photo);
    if (made?.sha256 === photo.sha256) return made.picture;
    this.stop = new AbortController();
    const { signal } = this.stop;
    const said = await predict([photo.file], { model: photo.model, heatmap: true, signal });
    if (!said.predictions[0].heatmap) throw new Problem({ code: "no-heatmap" });
    const picture = new Image();
    picture.src = said.predictions[0].heatmap;
    await picture.decode();
    this.heats.set(photo, { sha256: said.sha256, picture });
    return picture;
  }

  draw(heat, spec) {
    const [height, width] = spec.size.map((side) => side * MODEL_PIXELS);
    const shown = !this.image.hidden;
    const photo = { width: this.image.naturalWidth, height: this.image.naturalHeight };
    drawHeat(this.canvas, heat, shown ? spec : { ...spec, mode: "squash" }, shown ? photo : { width, height });
    this.canvas.hidden = false;
    byId("closer-none").hidden = true;
    this.tell("");
    this.mark();
  }

  step(by) {
    const next = this.act.beside(this.photo, by);
    if (next) this.open(next, !this.canvas.hidden);
  }

  key(event) {
    const pressed = letter(event);
    if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (pressed === "h") this.toggle();
    else if (pressed === "c") this.act.choose(this.photo);
    else if (/^[0-9]$/.test(pressed)) this.act.digit(this.photo, pressed);
    else return;
    event.preventDefault();
  }

  left() {
    this.stop.abort();
    this.forget();
    this.image.removeAttribute("src");
    const { photo } = this;
    this.photo = null;
    this.act.left(photo);
  }
}
