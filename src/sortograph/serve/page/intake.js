// Photos that are dropped, pasted or picked, folders included.

const SUFFIXES = /\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|hei[cf]|mpo)$/i;
const LEFTOVERS = /(^|\/)(\.[^/]*|Thumbs\.db|desktop\.ini|__MACOSX(\/.*)?)$/i;

/** Files with their paths, as {file, path}: `path` has the folders that were dropped with it. */
export async function dropped(transfer) {
  // Entries have to be taken before the first wait: the browser empties the list then.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return picked(transfer.files);
  return (await Promise.all(entries.map(walk))).flat();
}

export const picked = (files) =>
  [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file ? [{ file, path: entry.fullPath.replace(/^\//, "") }] : [];
  }
  const inside = await children(entry.createReader());
  return (await Promise.all(inside.map(walk))).flat();
}

async function children(reader) {
  const found = [];
  for (;;) {
    const more = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (more.length === 0) return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    found.push(...more);
  }
}

/** [photos, other files]: what a system leaves in folders (Thumbs.db, ._a.jpg) is in neither. */
export function sorted(files) {
  const real = files.filter(({ path }) => !LEFTOVERS.test(path));
  const isPhoto = ({ file }) => file.type.startsWith("image/") || SUFFIXES.test(file.name);
  return [real.filter(isPhoto), real.filter((each) => !isPhoto(each))];
}
