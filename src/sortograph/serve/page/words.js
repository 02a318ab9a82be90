// The page's words in two languages, and numbers as each language writes them.

import { remember, remembered } from "./settings.js";

export const LANGUAGES = { en: "English", ko: "한국어" };

let language = "en";
let table = {};
const listeners = new Set();

/** The language chosen before, else the first of the browser's that is known here. */
export function wanted() {
  const asked = [remembered("language"), ...(navigator.languages ?? [navigator.language])];
  const codes = asked.filter(Boolean).map((code) => code.toLowerCase().split("-")[0]);
  return codes.find((code) => code in LANGUAGES) ?? "en";
}

/** Reads the words of a language and shows the page in it. */
export async function speak(code) {
  const answer = await fetch(new URL(`${code}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`no words: ${answer.status}`);
  table = await answer.json();
  language = code;
  document.documentElement.lang = code;
  translate(document);
  for (const listener of listeners) listener();
}

export async function choose(code) {
  remember("language", code);
  await speak(code);
}

export const spoken = () => language;
export const whenSpoken = (listener) => listeners.add(listener);

/** The words of a key; {name} is replaced by values.name. With values.n, the plural form of it. */
export function t(key, values = {}) {
  const form = "n" in values ? `${key}.${new Intl.PluralRules(language).select(values.n)}` : key;
  const text = table[form] ?? table[`${key}.other`] ?? table[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    if (!(name in values)) return whole;
    return typeof values[name] === "number" ? number(values[name]) : String(values[name]);
  });
}

/** The words of a key that may not be known; null where it is not. */
export const phrase = (key) => table[key] ?? null;

/** Fills elements by their data-t (text), data-t-label (aria-label) and data-t-title. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
  for (const element of root.querySelectorAll("[data-t-title]")) element.title = t(element.dataset.tTitle);
}

export const number = (value, options) => new Intl.NumberFormat(language, options).format(value);

/** 0.934 → 93.4%; what is not quite certain is never shown as 100%. */
export function percent(share) {
  const shown = share < 1 && share > 0.9995 ? 0.9994 : share;
  const text = number(shown, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return shown === share ? text : `>${number(0.999, { style: "percent", minimumFractionDigits: 1 })}`;
}

/** 94.6–97.1%, of two shares. */
export function range(low, high) {
  const plain = (share) => number(100 * share, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return `${plain(low)}–${plain(high)}%`;
}

/** "a, b and c"; of many, the first ones and how many more. */
export function listed(names, most = 6) {
  const shown = names.length > most ? names.slice(0, most - 1) : names;
  const rest = names.length - shown.length;
  const all = rest ? [...shown, t("more", { n: rest })] : shown;
  return new Intl.ListFormat(language, { type: "conjunction" }).format(all);
}

/** Bytes in MB. */
export const megabytes = (bytes) =>
  number(bytes / 2 ** 20, { maximumFractionDigits: bytes < 10 * 2 ** 20 ? 1 : 0 }) + " MB";
