// Small pictures of photos, made in the browser, two at a time, only for cards that come into view.

const SIDE = 480;
const AT_ONCE = 2;
const SMALL = 200_000; // bytes: below it, shrinking while decoding gains nothing and may enlarge

const waiting = [];
let working = 0;

/** A JPEG of a photo, or null where this browser cannot show it. */
export function thumbnail(file) {
  return new Promise((resolve) => {
    waiting.push({ file, resolve });
    work();
  });
}

function work() {
  while (working < AT_ONCE && waiting.length > 0) {
    const { file, resolve } = waiting.pop(); // what came into view last is looked at now
    working += 1;
    draw(file)
      .catch(() => null)
      .then(resolve)
      .finally(() => {
        working -= 1;
        work();
      });
  }
}

async function draw(file) {
  const options = file.size > SMALL ? { resizeWidth: SIDE, resizeQuality: "medium" } : {};
  const bitmap = await createImageBitmap(file, options);
  const scale = Math.min(1, SIDE / Math.min(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // under what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.82));
}

/** Shows a picture in an image; its address is given back as soon as it is there. */
export async function showIn(image, blob) {
  const address = URL.createObjectURL(blob);
  image.src = address;
  try {
    await image.decode();
    return true;
  } catch {
    return false;
  } finally {
    URL.revokeObjectURL(address);
  }
}
