/* The picture as a file: the open view as SVG, with its style in it, or painted as PNG. A page that fetches
   nothing may not show an image either, not even one of its own: so what is to be PNG is painted anew. */

const AROUND = 20;  // the margin of a picture, for rings and the heads of arrows
const LARGEST_SIDE = 8000;  // pixels of a PNG; browsers refuse what is much larger

const sidesOf = ({ width, height }) => [width + 2 * AROUND, height + 2 * AROUND];

function svgText() {
  const { element } = views[state.view];
  const [w, h] = sidesOf(views[state.view]);
  const place = { x: -AROUND, y: -AROUND, width: w, height: h };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const half = body.classList.contains("backward") ? "backward" : "forward";
  const svg = make("svg", { class: half, width: w, height: h, viewBox: `${-AROUND} ${-AROUND} ${w} ${h}`, role: "img" });
  // Not every program that shows SVG knows variables.
  const look = at("look").textContent + (inNetwork() ? at("network-look").textContent : "");
  const style = look.replace(/var\((--\w+)\)/g, (_, name) => colour(name));
  const happens = state.revealed ? `: ${plain(sentence(graph, state.run, state.step))}` : "";
  const title = `step ${state.step} of ${lastStep()}${happens}`;
  const shown = element.cloneNode(true);
  for (const each of shown.querySelectorAll("title")) each.remove();
  for (const each of shown.querySelectorAll("[role]")) for (const name of ["role", "tabindex"]) each.removeAttribute(name);
  svg.append(make("title", {}, title), make("style", {}, style), picture.querySelector("defs").cloneNode(true),
    make("rect", { ...place, fill: colour("--background") }), shown);
  return new XMLSerializer().serializeToString(svg) + "\n";
}

function make(name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

/* With two pixels for each unit, if that is not too large. */
function pngBytes() {
  const { element } = views[state.view];
  const [w, h] = sidesOf(views[state.view]);
  const scale = Math.min(2, LARGEST_SIDE / Math.max(w, h));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(w * scale), Math.round(h * scale)];
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(scale, scale);
  context.translate(AROUND, AROUND);
  for (const each of element.querySelectorAll("rect, path, text")) {
    context.save();
    paint(context, each);
    context.restore();
  }
  // Not with toBlob: when it is done, browsers may have forgotten that somebody asked for a file.
  return Uint8Array.from(atob(canvas.toDataURL("image/png").split(",")[1]), (sign) => sign.charCodeAt(0));
}

/* One element, in the style that it has in the page. */
function paint(context, element) {
  const style = getComputedStyle(element);
  if (style.visibility === "hidden") return;
  const amount = (name) => Number(element.getAttribute(name));
  context.translate(...(element.parentNode.getAttribute("transform") ?? "0 0").match(/-?[\d.]+/g).map(Number));
  context.globalAlpha = Number(style.opacity) * Number(style.strokeOpacity);
  [context.fillStyle, context.strokeStyle] = [style.fill, style.stroke];
  context.lineWidth = parseFloat(style.strokeWidth);
  [context.lineCap, context.lineJoin] = [style.strokeLinecap, style.strokeLinejoin];
  context.setLineDash((style.strokeDasharray.match(/[\d.]+/g) ?? []).map(Number));
  if (element.tagName === "text") {
    context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    context.textAlign = { middle: "center", end: "end" }[style.textAnchor] ?? "start";
    const text = [element.textContent, amount("x"), amount("y")];
    if (style.stroke !== "none") context.strokeText(...text);
    context.fillText(...text);
    return;
  }
  const path = new Path2D(element.getAttribute("d") ?? "");
  if (element.tagName === "rect") path.roundRect(amount("x"), amount("y"), amount("width"), amount("height"), amount("rx"));
  if (style.fill !== "none") context.fill(path);
  if (style.stroke !== "none") context.stroke(path);
  if (element.tagName === "path") {
    paintTip(context, element, style.markerStart, 0);
    paintTip(context, element, style.markerEnd, element.getTotalLength());
  }
}

/* The head of an arrow, at one end of an edge. */
function paintTip(context, edge, marker, end) {
  const tip = /#([\w-]+)/.exec(marker);
  if (!tip) return;
  const { firstElementChild: shape, markerWidth, refX, refY, viewBox } = at(tip[1]);
  const [point, near] = [edge.getPointAtLength(end), edge.getPointAtLength(Math.abs(end - 0.5))];
  const size = markerWidth.baseVal.value / viewBox.baseVal.width;
  context.save();
  context.translate(point.x, point.y);
  context.rotate(Math.atan2(point.y - near.y, point.x - near.x));
  context.scale(size, size);
  context.translate(-refX.baseVal.value, -refY.baseVal.value);
  context.fillStyle = getComputedStyle(shape).fill;
  context.fill(new Path2D(shape.getAttribute("d")));
  context.restore();
}

/* Hand a file to the browser, which puts it where it puts all that it fetches. */
function download(content, kind, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = `step-${String(state.step).padStart(Math.max(3, String(lastStep()).length), "0")}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
