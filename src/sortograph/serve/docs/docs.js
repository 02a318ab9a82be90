// Draws openapi.json. All text goes in as text: nothing of the document is ever taken for HTML.

function node(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function table(heads, rows) {
  const head = node("tr", ...heads.map((text) => node("th", text)));
  const body = rows.map((row) => node("tr", ...row.map((cell) => node("td", cell))));
  return node("table", node("thead", head), node("tbody", ...body));
}

function resolved(schema, document_) {
  const name = schema.$ref?.split("/").pop();
  return name ? document_.components.schemas[name] : schema;
}

// An example of the shape, as deep as it goes: names with the kind of their value.
function shape(schema, document_, depth = 0) {
  const found = resolved(schema, document_);
  if (depth > 6) return "…";
  if (found.anyOf) return found.anyOf.map((kind) => shape(kind, document_, depth + 1)).find((kind) => kind !== "null");
  if (found.type === "array") return [shape(found.items ?? {}, document_, depth + 1)];
  if (found.properties) {
    const pairs = Object.entries(found.properties);
    return Object.fromEntries(pairs.map(([name, kind]) => [name, shape(kind, document_, depth + 1)]));
  }
  return found.format ? `${found.type} (${found.format})` : found.type ?? "any";
}

function contents(content, document_) {
  return Object.entries(content ?? {}).flatMap(([type, { schema }]) => {
    const text = schema ? JSON.stringify(shape(schema, document_), null, 2) : "";
    return [node("p", node("code", type)), ...(text ? [node("pre", text)] : [])];
  });
}

function parameters(list) {
  if (!list?.length) return [];
  const rows = list.map(({ name, in: place, required, schema, description }) => [
    node("code", name),
    `${place}${required ? ", required" : ""}`,
    schema?.default === undefined ? "" : String(schema.default ?? ""),
    description ?? schema?.description ?? "",
  ]);
  return [node("h3", "Parameters"), table(["name", "in", "default", ""], rows)];
}

function answers(responses, document_) {
  return Object.entries(responses).flatMap(([status, { description, content }]) => {
    const inside = node("details", node("summary", node("code", status), description ?? ""));
    inside.append(...contents(content, document_));
    return [inside];
  });
}

function route(path, method, about, document_) {
  const made = node("details", node("summary", node("code", `${method.toUpperCase()} ${path}`), about.description ?? about.summary ?? ""));
  made.append(...parameters(about.parameters));
  if (about.requestBody) made.append(node("h3", "Body"), ...contents(about.requestBody.content, document_));
  if (about.security) made.append(node("p", "Needs the header Authorization: Bearer TOKEN."));
  made.append(node("h3", "Answers"), ...answers(about.responses, document_));
  return made;
}

async function draw() {
  const answer = await fetch("openapi.json");
  const document_ = await answer.json();
  document.getElementById("title").textContent = `${document_.info.title} ${document_.info.version}`;
  const routes = Object.entries(document_.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, about]) => route(path, method, about, document_)),
  );
  document.getElementById("routes").replaceChildren(...routes);
}

draw().catch((error) => {
  document.getElementById("about").textContent = `The document cannot be drawn: ${error.message}`;
});
