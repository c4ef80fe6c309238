// The map of one answer, in SVG over pictures, linked to the patch table of table.js. No library, no network of its own.
// Both run as one script inside gr.HTML: `element` is its root, `props.value` the JSON of map_view.map_data, `trigger` tells Python.
// Places are pixels of the pictures; `marks` is a lattice of longitudes and latitudes over them.
const SVG = "http://www.w3.org/2000/svg";
const NEAR = 2.5; // from this zoom on outlines are large enough to stand without dots
const state = { base: "after", over: "before", opacity: 0, by: "kind", hidden: {}, picked: null, sort: null, down: false };
let data = null, view = null, parts = {}, observer = null;

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function shape(tag, attributes, title) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (title) node.appendChild(document.createElementNS(SVG, "title")).textContent = title;
  return node;
}

const colourOf = (patch) => ((data.legends[state.by] || []).find((row) => row[0] === patch[state.by]) || ["", "#ddd"])[1];
const layer = (key) => data.layers.find((one) => one.key === key);

// ---- view: the part of the picture that the stage shows, in picture pixels

function stageSize() {
  const box = parts.stage.getBoundingClientRect();
  return [Math.max(1, box.width), Math.max(1, box.height)];
}

function homeView() {
  const [width, height] = stageSize();
  const scale = Math.max(data.width / width, data.height / height);
  return { x: (data.width - width * scale) / 2, y: (data.height - height * scale) / 2, w: width * scale, h: height * scale };
}

function show(wanted) {
  const [width, height] = stageSize(), home = homeView();
  const w = Math.min(home.w, Math.max(wanted.w, home.w / 60)), h = (w * height) / width;
  const inside = (at, size, whole) => (size >= whole ? (whole - size) / 2 : Math.min(Math.max(at, 0), whole - size));
  view = { x: inside(wanted.x, w, data.width), y: inside(wanted.y, h, data.height), w, h };
  if (w >= home.w * 0.999) view = home;
  parts.svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
  parts.stage.classList.toggle("lm-near", home.w / view.w >= NEAR);
  drawScale(width);
}

function zoom(factor, at) {
  const [x, y] = at || [view.x + view.w / 2, view.y + view.h / 2];
  show({ x: x - (x - view.x) / factor, y: y - (y - view.y) / factor, w: view.w / factor });
}

function zoomTo(patch) {
  const [left, top, right, bottom] = patch.box, [width, height] = stageSize();
  const w = Math.max((right - left) * 4, ((bottom - top) * 4 * width) / height, homeView().w / 12);
  show({ x: (left + right - w) / 2, y: (top + bottom - (w * height) / width) / 2, w });
}

function drawScale(width) {
  const perPixel = (view.w / width) * data.metres_per_px, longest = 110 * perPixel;
  const power = 10 ** Math.floor(Math.log10(longest));
  const length = [5, 2, 1].map((factor) => factor * power).find((metres) => metres <= longest);
  parts.bar.style.width = `${length / perPixel}px`;
  parts.length.textContent = length >= 1000 ? `${length / 1000} km` : `${length} m`;
}

function placeOf(event) {
  const box = parts.stage.getBoundingClientRect();
  return [view.x + ((event.clientX - box.left) / box.width) * view.w, view.y + ((event.clientY - box.top) / box.height) * view.h];
}

function lonLat([x, y]) {
  const n = Math.round(Math.sqrt(data.marks.length)), u = (x / data.width) * (n - 1), v = (y / data.height) * (n - 1);
  const i = Math.min(n - 2, Math.max(0, Math.floor(u))), j = Math.min(n - 2, Math.max(0, Math.floor(v)));
  const mix = (a, b, share) => a.map((value, axis) => value + (b[axis] - value) * share);
  const at = (row, col) => data.marks[row * n + col];
  return mix(mix(at(j, i), at(j, i + 1), u - i), mix(at(j + 1, i), at(j + 1, i + 1), u - i), v - j);
}

// ---- drawing

function drawMap() {
  const text = data.text, svg = (parts.svg = shape("svg", { preserveAspectRatio: "none" }));
  for (const role of ["base", "over"]) {
    parts[role] = svg.appendChild(shape("image", { x: 0, y: 0, width: data.width, height: data.height, preserveAspectRatio: "none" }));
  }
  for (const zone of data.zones) {
    const group = svg.appendChild(shape("g", { class: "lm-zone", "data-kind": zone.kind, stroke: zone.colour, "stroke-dasharray": zone.dashes }));
    for (const outline of zone.outlines) {
      group.append(shape("path", { d: outline.d, class: "lm-halo" }), shape("path", { d: outline.d }, `${zone.label} ${outline.name}`));
    }
  }
  for (const patch of data.patches) {
    const title = [patch.id, patch.kind_label, patch.change, patch.area].filter(Boolean).join(" · ");
    const group = svg.appendChild(shape("g", { class: "lm-patch", "data-id": patch.id }, title));
    if (patch.d) group.append(shape("path", { d: patch.d, class: "lm-halo" }), shape("path", { d: patch.d, class: "lm-outline" }));
    const dot = { d: `M${patch.xy[0]},${patch.xy[1]}h0`, class: patch.d ? "lm-dot" : "lm-dot lm-only" };
    group.append(shape("path", { ...dot, class: `${dot.class} lm-halo` }), shape("path", dot));
  }
  const button = (label, title, act) => el("button", { type: "button", title, "aria-label": title, onclick: act }, label);
  const north = el("div", { class: "lm-north", title: text.north }, el("span", { style: `transform: rotate(${data.north_deg}deg)` }, "▲"), text.north);
  parts.bar = el("div", { class: "lm-bar" });
  parts.length = el("span");
  parts.coordinates = el("div", { class: "lm-coordinates" });
  parts.stage = el("div", { class: "lm-stage", tabindex: 0, role: "application", "aria-label": `${text.label}. ${text.hint}` }, svg,
    el("div", { class: "lm-zoom" }, button("+", text.zoom_in, () => zoom(1.6)), button("−", text.zoom_out, () => zoom(1 / 1.6)),
      button("⌂", text.home, () => show(homeView()))),
    north, el("div", { class: "lm-scale" }, parts.bar, parts.length), parts.coordinates);
  listen(parts.stage);
}

function drawControls() {
  const text = data.text, options = (none) => [...(none ? [["", text.none]] : []), ...data.layers.map((one) => [one.key, one.label])];
  const select = (label, name, choices) => el("label", {}, `${label} `, el("select", { "data-role": name, onchange: (event) => {
    state[name] = event.target.value;
    style();
  } }, ...choices.map(([value, title]) => el("option", { value, selected: state[name] === value }, title))));
  const slider = el("input", { type: "range", min: 0, max: 1, step: 0.05, value: state.opacity, "data-role": "opacity", oninput: (event) => {
    state.opacity = Number(event.target.value);
    style();
  } });
  const choices = [["kind", text.by_kind], ["grade", text.by_grade]];
  return el("div", { class: "lm-controls" }, select(text.base, "base", options(false)), select(text.over, "over", options(true)),
    el("label", {}, `${text.opacity} `, slider), ...(data.patches.length ? [select(text.colour, "by", choices)] : []));
}

function drawLegend() {
  const key = (colour, label) => el("span", { class: "lm-key" }, el("i", { style: `background:${colour}` }), label);
  const zones = data.zones.map((zone) => el("label", { class: "lm-key" }, el("input", { type: "checkbox", checked: !hiddenZone(zone), onchange: (event) => {
    state.hidden[zone.kind] = !event.target.checked;
    style();
  } }), el("b", { style: `border-top:2px ${zone.dashes ? "dashed" : "solid"} ${zone.colour}` }), zone.label));
  const cover = [state.base, state.opacity > 0 ? state.over : ""].some((name) => name.startsWith("cover"));
  const rows = [...(data.legends[state.by] || []), ...(cover ? data.legends.cover : [])];
  parts.legend.replaceChildren(...rows.map(([, colour, label]) => key(colour, label)), ...zones);
}

const hiddenZone = (zone) => state.hidden[zone.kind] ?? !zone.shown;

function style() {
  for (const role of ["base", "over"]) {
    const one = layer(state[role]);
    if (one) parts[role].setAttribute("href", one.url);
    parts[role].style.display = one ? "" : "none";
  }
  parts.over.style.opacity = state.opacity;
  for (const zone of data.zones) {
    parts.svg.querySelector(`.lm-zone[data-kind="${zone.kind}"]`).style.display = hiddenZone(zone) ? "none" : "";
  }
  for (const group of parts.svg.querySelectorAll(".lm-patch")) {
    const patch = data.patches.find((one) => one.id === group.dataset.id);
    group.style.setProperty("--colour", colourOf(patch));
    group.classList.toggle("lm-picked", patch.id === state.picked);
  }
  for (const row of element.querySelectorAll("tr[data-id]")) row.setAttribute("aria-selected", row.dataset.id === state.picked);
  drawLegend();
}

// ---- pointer and keys

function listen(stage) {
  const pointers = new Map();
  let moved = 0, spread = 0;
  const distance = () => {
    const [[x1, y1], [x2, y2]] = [...pointers.values()];
    return Math.hypot(x1 - x2, y1 - y2);
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    [moved, spread] = [0, pointers.size === 2 ? distance() : 0];
  });
  stage.addEventListener("pointermove", (event) => {
    const [lon, lat] = lonLat(placeOf(event)), last = pointers.get(event.pointerId), [width] = stageSize();
    parts.coordinates.textContent = `${lon.toFixed(5)}°, ${lat.toFixed(5)}°`;
    if (!last) return;
    const dx = event.clientX - last[0], dy = event.clientY - last[1], scale = view.w / width;
    moved += Math.hypot(dx, dy);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (pointers.size === 2 && spread) {
      const wider = distance();
      zoom(wider / spread, placeOf(event));
      spread = wider;
    } else if (moved > 4) {
      stage.setPointerCapture(event.pointerId);
      show({ x: view.x - dx * scale, y: view.y - dy * scale, w: view.w });
    }
  });
  const up = (event) => pointers.delete(event.pointerId);
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) stage.addEventListener(name, up);
  stage.addEventListener("click", (event) => {
    const group = event.target.closest(".lm-patch");
    if (group && moved <= 4) pick(group.dataset.id, false);
  });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, placeOf(event));
  }, { passive: false });
  stage.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }, step = steps[event.key];
    if (step) show({ x: view.x + (step[0] * view.w) / 8, y: view.y + (step[1] * view.h) / 8, w: view.w });
    else if (event.key === "+" || event.key === "=") zoom(1.6);
    else if (event.key === "-") zoom(1 / 1.6);
    else if (event.key === "0") show(homeView());
    else return;
    event.preventDefault();
  });
}

// ---- start, and again whenever Python sends another map

function draw() {
  const known = data && data.layers ? data.layers.map((one) => one.url).join() : "";
  data = typeof props.value === "string" ? JSON.parse(props.value || "{}") : props.value || {};
  if (observer) observer.disconnect();
  const root = element.querySelector(".lm");
  if (!data.width) {
    root.replaceChildren(el("p", { class: "lm-empty" }, data.text ? data.text.empty : ""));
    return;
  }
  const same = known === data.layers.map((one) => one.url).join();
  if (!layer(state.base)) state.base = data.layers[0].key;
  if (!layer(state.over)) state.over = "";
  if (!data.patches.some((patch) => patch.id === state.picked)) state.picked = null;
  drawMap();
  parts.legend = el("div", { class: "lm-legend", "aria-label": data.text.legend });
  parts.table = el("div", { class: "lm-table" }, data.patches.length ? drawTable() : el("p", { class: "lm-empty" }, data.text.no_patches));
  root.replaceChildren(drawControls(), parts.stage, parts.legend, parts.table);
  style();
  const keep = same ? view : null;
  show(keep || homeView());
  let drawn = parts.stage.clientWidth > 0 ? Boolean(keep) : false;
  // A tab that is not shown has no size yet.
  observer = new ResizeObserver(() => {
    if (parts.stage.clientWidth > 0) show(drawn && view ? view : homeView());
    drawn = true;
  });
  observer.observe(parts.stage);
}

draw();
watch("value", draw);
