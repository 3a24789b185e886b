// Of a board: which metric ranks, and which cases are shown.
"use strict";
(() => {
  const metric = document.querySelector("#metric");
  if (!metric) return;
  const scopes = [...document.querySelectorAll("[data-scope]")];
  const buttons = [...document.querySelectorAll("[data-show]")];

  function rank() {
    for (const table of document.querySelectorAll("table.board")) {
      const heads = [...table.tHead.rows[0].cells];
      const column = heads.findIndex((head) => head.dataset.metric === metric.value);
      for (const row of table.tBodies[0].rows) {
        const [place, worst] = (row.getAttribute(`data-rank-${metric.value}`) ?? "").split(" ");
        if (place) {
          const range = document.createElement("small");
          range.textContent = place === worst ? "" : `to ${worst}`;
          row.cells[0].replaceChildren(place, range);
          row.cells[0].dataset.sort = place;
        }
        [...row.cells].forEach((cell, at) => cell.classList.toggle("ranks", at === column));
      }
      heads.forEach((head, at) => head.classList.toggle("ranks", at === column));
      // Within a rank by the number itself: both sorts are stable.
      sortTable(table, column, heads[column].dataset.first ?? "ascending");
      sortTable(table, 0, "ascending");
    }
  }

  function show(name) {
    for (const part of scopes) part.hidden = part.dataset.scope !== name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.show === name));
  }

  metric.addEventListener("change", rank);
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.show));
  document.querySelector(".controls").hidden = false;
})();
