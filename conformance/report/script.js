"use strict";
// The page is whole without this: copy buttons, tables that sort and filter, and failures that open when led to.

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", () => act(made));
  return made;
}

function copy(text, made) {
  const done = () => { made.textContent = "Copied"; setTimeout(() => { made.textContent = "Copy"; }, 1500); };
  const byHand = () => {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    if (document.execCommand("copy")) done();
    area.remove();
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, byHand); else byHand();
}

for (const block of document.querySelectorAll("pre")) {
  const text = block.textContent.trim();
  const holder = document.createElement("div");
  holder.className = "command";
  block.replaceWith(holder);
  holder.append(block, button("Copy", "Copy " + text, (made) => copy(text, made)));
}

// What moves together: a row, or the rows of one operation.
const units = (table) => table.tBodies.length > 1 ? [...table.tBodies] : [...table.tBodies[0].rows];

// A column is counted from the right: what spans rows stands on the left.
function value(unit, column) {
  const rows = unit.rows ? [...unit.rows] : [unit];
  const texts = rows.map((row) => (row.cells[row.cells.length - column]?.textContent ?? "").trim());
  const numbers = texts.map((text) => Number(text.replace("∞", "Infinity").replace(/[>, %]/g, "") || NaN));
  const known = numbers.filter((number) => !Number.isNaN(number));
  return known.length ? Math.max(...known) : column && texts[0] !== "–" ? texts[0].toLowerCase() : -1;
}

function before(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

for (const head of document.querySelectorAll("th[data-column]")) {
  const table = head.closest("table"), text = head.textContent;
  head.textContent = "";
  head.append(button(text, "", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const column = Number(head.dataset.column), sorted = units(table);
    sorted.sort((a, b) => (down ? -1 : 1) * before(value(a, column), value(b, column)));
    for (const unit of sorted) unit.parentNode.append(unit);
  }));
}

for (const table of document.querySelectorAll("table[data-filter]")) {
  if (units(table).length < 8) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter";
  field.setAttribute("aria-label", "Filter: " + table.dataset.filter);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const unit of units(table)) {
      const text = unit.textContent.toLowerCase();
      unit.hidden = !words.every((word) => text.includes(word));
    }
  });
  table.closest(".scroll").before(field);
}

function open() {
  for (let at = document.getElementById(location.hash.slice(1)); at; at = at.parentElement) {
    if (at.tagName === "DETAILS") at.open = true;
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}
addEventListener("hashchange", open);
open();
