// The patch table under the map: sorted by its headings, linked both ways. Goes before map.js, whose names it uses.
function drawTable() {
  const text = data.text, columns = [["id", "id"], ["kind", "kind_label"], ["change", "change"], ["area", "area", "area_m2"],
    ["grade", "grade_label"], ["town", "town"], ["zones", "zones"], ["status", "status"], ["place", "place"]]
    .filter(([, key]) => data.patches.some((patch) => patch[key]));
  const sorted = [...data.patches];
  if (state.sort) {
    const order = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b), "zh"));
    sorted.sort((a, b) => order(a[state.sort], b[state.sort]) * (state.down ? -1 : 1));
  }
  const sortBy = (key) => () => {
    [state.sort, state.down] = [key, state.sort === key ? !state.down : key === "area_m2"];
    parts.table.replaceChildren(drawTable());
    style();
  };
  const head = columns.map(([name, key, by]) => el("th", { scope: "col" }, el("button", { type: "button", onclick: sortBy(by || key) },
    text[`col_${name}`] + (state.sort === (by || key) ? (state.down ? " ↓" : " ↑") : ""))));
  const row = (patch) => el("tr", { "data-id": patch.id, tabindex: 0, onclick: () => pick(patch.id, true), onkeydown: (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      pick(patch.id, true);
    }
  } }, ...columns.map(([name, key]) => el("td", { class: `lm-${name}` }, patch[key])));
  return el("table", { "aria-label": text.table_label }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...sorted.map(row)));
}

function pick(id, fromTable) {
  state.picked = id;
  style();
  if (fromTable) zoomTo(data.patches.find((patch) => patch.id === id));
  const row = element.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
  // Scrolls the table alone, never the page.
  parts.table.scrollTop = row.offsetTop - parts.table.clientHeight / 2;
  trigger("pick", { id });
}
