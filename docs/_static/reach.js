// What scrolls can be reached by keyboard, long cells of a table that scrolls anyway are given room, and the captions of the list of pages have a level (the theme gives none).
function reach() {
  for (const table of document.querySelectorAll("table.docutils")) {
    if (table.scrollWidth > table.clientWidth) table.classList.add("wide");
    for (const cell of table.querySelectorAll(".wide td")) cell.classList.toggle("long", cell.textContent.length > 60);
  }
  for (const part of document.querySelectorAll("pre, table, .table-wrapper, math"))
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
}
addEventListener("load", () => {
  for (const caption of document.querySelectorAll("[role=heading]:not([aria-level])")) caption.ariaLevel = "2";
  reach();
});
addEventListener("resize", reach);
