// What scrolls can be reached by keyboard, and the captions of the list of pages have a level (the theme gives none).
function reach() {
  for (const part of document.querySelectorAll("pre, table, .table-wrapper, math"))
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
}
addEventListener("load", () => {
  for (const caption of document.querySelectorAll("[role=heading]:not([aria-level])")) caption.ariaLevel = "2";
  reach();
});
addEventListener("resize", reach);
