// Where on a photo a heatmap lies.

/**
 * The box {x, y, width, height}, in pixels of the photo, that the model saw; it may reach beyond the photo.
 *
 * spec: `preprocess` of a manifest; photo: {width, height}
 */
export function seenBox(spec, photo) {
  const [height, width] = spec.size;
  if (spec.mode === "squash") return { x: 0, y: 0, ...photo };
  const [across, down] = [photo.width / width, photo.height / height];
  const scale = spec.mode === "pad" ? Math.max(across, down) : Math.min(across, down) * spec.crop_share;
  const box = { width: width * scale, height: height * scale };
  if (spec.mode === "crop") {
    box.width = Math.min(box.width, photo.width);
    box.height = Math.min(box.height, photo.height);
  }
  return { x: (photo.width - box.width) / 2, y: (photo.height - box.height) / 2, ...box };
}

/** Draws a heatmap (an image) on a canvas of the photo's shape, and dims what the model did not see. */
export function drawHeat(canvas, heat, spec, photo) {
  const scale = Math.min(1, 1200 / Math.max(photo.width, photo.height));
  canvas.width = Math.max(1, Math.round(photo.width * scale));
  canvas.height = Math.max(1, Math.round(photo.height * scale));
  const box = seenBox(spec, photo);
  const place = [box.x, box.y, box.width, box.height].map((value) => value * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = "rgb(10 12 16 / 45%)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.clearRect(...place);
  context.imageSmoothingQuality = "high";
  context.drawImage(heat, ...place);
}
