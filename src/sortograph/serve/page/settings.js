// What the page remembers, in localStorage alone: the language and the colours.

const PREFIX = "sortograph-";

export function remembered(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null; // storage is off: nothing is remembered
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // The choice then holds until the page is left.
  }
}

const THEMES = ["auto", "light", "dark"];

export const theme = () => (THEMES.includes(remembered("theme")) ? remembered("theme") : "auto");

export function wear(name) {
  document.documentElement.dataset.theme = name;
}

/** The next of: the colours of the system, light, dark. */
export function nextTheme() {
  const worn = document.documentElement.dataset.theme;
  const next = THEMES[(THEMES.indexOf(worn) + 1) % THEMES.length];
  remember("theme", next);
  wear(next);
  return next;
}
