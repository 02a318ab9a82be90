// One photo as a card: what it is, how sure that is, and what a person says of it.

import { button, el, icon } from "./dom.js";
import * as known from "./photos.js";
import { showIn, thumbnail } from "./thumbnails.js";
import { number, percent, phrase, spoken, t } from "./words.js";

const BARS = 3;

/** When a card comes near the window its thumbnail is made. */
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        near.unobserve(target);
        target.dispatchEvent(new Event("near"));
      }
    }
  },
  { rootMargin: "500px 0px" },
);

export class Card {
  /** act: {open, heat, choose, retry, remove}, each called with the photo */
  constructor(photo, act) {
    this.photo = photo;
    this.act = act;
    this.picture = el("span", { class: "picture" });
    this.says = el("div", { class: "says" });
    this.article = el(
      "article",
      { class: "card", tabindex: "-1", id: `photo-${photo.id}` },
      this.frame(),
      this.says,
    );
    this.element = el("li", {}, this.article);
    this.render();
    this.article.addEventListener("near", () => this.fill());
    near.observe(this.article);
  }

  frame() {
    this.opener = el(
      "button",
      { type: "button", class: "opener", tabindex: "-1", on: { click: () => this.act.open(this.photo) } },
      this.picture,
    );
    this.closer = button("", () => this.act.remove(this.photo), { kind: "round remove", tabindex: "-1" });
    this.closer.append(icon("close"));
    return el("div", { class: "frame" }, this.opener, this.closer);
  }

  async fill() {
    const image = el("img", { alt: "", decoding: "async" });
    const made = await thumbnail(this.photo.file);
    const shown = made !== null && (await showIn(image, made));
    this.picture.replaceChildren(shown ? image : placeholder(this.photo.path));
  }

  /** Shows the photo as it now is. */
  render() {
    const { photo } = this;
    this.article.className = ["card", photo.state, tone(photo)].join(" ").trim();
    this.article.setAttribute("aria-label", summary(photo));
    this.opener.setAttribute("aria-label", t("card.open", { name: photo.path }));
    this.closer.setAttribute("aria-label", t("card.remove", { name: photo.path }));
    this.closer.title = t("card.remove.short");
    const focused = document.activeElement?.dataset?.act;
    const had = this.says.contains(document.activeElement);
    this.says.replaceChildren(...this.parts());
    if (this.reachable) this.setReachable(true);
    if (had) (this.says.querySelector(`[data-act="${focused}"]`) ?? this.article).focus();
  }

  parts() {
    const { photo } = this;
    const name = el("p", { class: "path", title: photo.path }, photo.path);
    if (known.isPending(photo)) return [el("p", { class: "waiting" }, t(`state.${photo.state}`)), name];
    if (known.hasFailed(photo)) return [...failure(photo), name, this.foot()].filter(Boolean);
    return [verdict(photo), why(photo), bars(photo, BARS), correction(photo), name, this.foot()].filter(Boolean);
  }

  foot() {
    const { photo, act } = this;
    const also = { "data-act": "", tabindex: "-1" };
    const acts = known.isAnswered(photo)
      ? [
          button(t("card.correct"), () => act.choose(photo), { symbol: "pen", kind: "quiet", ...also, "data-act": "choose" }),
          button(t("card.heat"), () => act.heat(photo), { symbol: "heat", kind: "quiet", ...also, "data-act": "heat" }),
        ]
      : [];
    if (known.canRetry(photo)) {
      acts.push(button(t("card.retry"), () => act.retry(photo), { symbol: "again", kind: "quiet", ...also, "data-act": "retry" }));
    }
    return acts.length ? el("div", { class: "foot" }, ...acts) : null;
  }

  /** Whether Tab comes here; arrows move from card to card. */
  setReachable(reachable) {
    this.reachable = reachable;
    for (const each of [this.article, ...this.article.querySelectorAll("button")]) {
      each.tabIndex = reachable ? 0 : -1;
    }
  }

  leave() {
    near.unobserve(this.article);
    this.element.remove();
  }
}

/** How a card is coloured; the same is said in words on it. */
export function tone(photo) {
  if (known.isCorrected(photo)) return "corrected";
  if (known.hasFailed(photo)) return "bad";
  if (known.isUnlike(photo)) return "unlike";
  return known.isUnsure(photo) || known.isWithheld(photo) ? "unsure" : "";
}

/** What stands in the place of a photo that the browser cannot show. */
export function placeholder(path) {
  const suffix = /\.([^./]{1,5})$/.exec(path)?.[1].toUpperCase() ?? "";
  return el("span", { class: "none" }, icon("photo"), el("b", {}, suffix), el("small", {}, t("card.noPreview")));
}

/** The class in large letters, beside the one that was corrected. */
export function verdict(photo) {
  const { label } = photo.answer;
  const given = known.labelOf(photo);
  const heading = given === null ? t("card.withheld") : given;
  const kind = given === null ? "label none" : "label";
  const replaced = known.isCorrected(photo) && label !== null && label !== given;
  return el(
    "div",
    { class: "verdict" },
    el("h3", { class: kind }, heading),
    replaced ? el("s", {}, label) : null,
  );
}

/** Why the answer should be looked at, as a sentence with a mark. */
export function why(photo) {
  if (photo.answer?.unsure === null || photo.answer?.unsure === undefined) return null;
  const kind = known.isUnlike(photo) ? "unlike" : known.isWithheld(photo) ? "withheld" : "unsure";
  return el(
    "p",
    { class: `why ${kind}` },
    icon(kind === "unlike" ? "unlike" : "unsure"),
    el("span", {}, el("b", {}, t(`why.${kind}`)), kind === "unlike" ? "" : el("span", {}, ` · ${reason(photo.answer)}`)),
  );
}

const NAMED = 3; // classes that a reason may name

/** Why an answer is unsure, by its code; the server's sentence where that is not known here. */
export function reason({ unsure, unsure_code: code, unsure_details: details, top_k: top }) {
  if (code === "no-class") return t("reason.none");
  if (code === "several-classes") return either(details.classes, top);
  if (code !== "low-confidence" || details.photos === null) return unsure;
  const { least, error, photos: n } = details;
  return t("reason.promise", { least: number(least, { maximumSignificantDigits: 4 }), error: share(error), n });
}

const share = (value) => number(value, { style: "percent", maximumFractionDigits: 1 });

/** The likeliest of the classes that it could be; how many they are where just one was asked for. */
function either(count, top) {
  const named = top.slice(0, Math.min(count, NAMED)).map(({ label }) => label);
  if (named.length < 2) return t("reason.many", { n: count });
  const names = count > named.length ? [...named, t("more", { n: count - named.length })] : named;
  return t("reason.either", { names: new Intl.ListFormat(spoken(), { type: "disjunction" }).format(names) });
}

/** The most probable classes as bars. */
export function bars(photo, most) {
  const rows = photo.answer.top_k.slice(0, most).map(({ label, probability }) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("i"));
    bar.firstChild.style.setProperty("--share", probability);
    return el(
      "li",
      {},
      el("span", { class: "name", title: label }, label),
      bar,
      el("span", { class: "value" }, percent(probability)),
    );
  });
  return el("ol", { class: "bars", "aria-label": t("card.bars") }, ...rows);
}

/** What became of a correction. */
export function correction(photo) {
  const given = photo.correction;
  if (!given) return null;
  const same = given.label === known.guessOf(photo);
  const said = t(`correction.${same ? "confirmed" : "corrected"}`);
  const state = t(`correction.${given.state}`);
  const detail = given.problem ? ` ${words(given.problem)}` : "";
  return el(
    "p",
    { class: `given ${given.state}` },
    icon(given.state === "failed" ? "unsure" : "check"),
    el("span", {}, el("b", {}, said), ` · ${state}${detail}`),
  );
}

function failure(photo) {
  const heading = known.isUnreadable(photo) ? t("failed.photo") : t(`failed.${photo.state}`);
  const told = known.isUnreadable(photo)
    ? unreadable(photo.answer)
    : photo.problem ? words(photo.problem) : "";
  return [el("h3", { class: "label none" }, heading), el("p", { class: "reason" }, told)];
}

/** Why a photo cannot be read, by its code; the server's sentence has the details. */
function unreadable({ error, error_code: code }) {
  const ours = phrase(`unreadable.${code}`);
  return ours ? el("span", { title: error }, ours) : el("span", { lang: "en" }, error);
}

/** A problem in words: the page's own where it knows the case, else the server's. */
export function words(problem) {
  const ours = phrase(`problem.${problem.code}`) ?? phrase(`unreadable.${problem.reason}`);
  if (ours) return ours;
  const expected = problem.expected && t("problem.expected", { text: problem.expected });
  return [problem.detail, expected, problem.fix].filter(Boolean).join(" · ");
}

/** A card in one breath, for a screen reader. */
export function summary(photo) {
  const parts = [photo.path];
  if (known.isPending(photo)) parts.push(t(`state.${photo.state}`));
  else if (known.hasFailed(photo)) parts.push(failure(photo).map((each) => each.textContent).join(": "));
  else {
    const label = known.labelOf(photo);
    parts.push(label ?? t("card.withheld"), percent(photo.answer.probability));
    const doubt = why(photo);
    if (doubt) parts.push(doubt.textContent);
    const given = correction(photo);
    if (given) parts.push(given.textContent);
  }
  return parts.join(", ");
}

