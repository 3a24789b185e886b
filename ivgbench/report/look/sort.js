// Tables that sort. <table class="sortable">: each heading of its last header row becomes a button, unless it has
// data-nosort. A cell sorts by data-sort, else by its text: by number where all are numbers, cells with nothing last.
// data-first="descending" on a heading: that way first. A click turns the order round, the next one leaves the rows as
// they were. Rows with class "fixed" stay at the end, in their order.
"use strict";
(() => {
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell ? (cell.dataset.sort ?? cell.textContent).trim() : "";
  };

  // direction: "none" brings the rows back as they were before any sorting.
  const before = new WeakMap();
  function sort(table, column, direction) {
    const sign = direction === "descending" ? -1 : 1;
    for (const body of table.tBodies) {
      if (!before.has(body)) before.set(body, [...body.rows]);
      if (direction === "none") {
        body.append(...before.get(body));
        continue;
      }
      const rows = [...body.rows].filter((row) => !row.classList.contains("fixed"));
      const keys = new Map(rows.map((row) => [row, key(row, column)]));
      const numbers = [...keys.values()].every((one) => one === "" || Number.isFinite(Number(one)));
      const order = (a, b) => (numbers ? a - b : a.localeCompare(b, "en", { numeric: true }));
      rows.sort((one, other) => {
        const [a, b] = [keys.get(one), keys.get(other)];
        return a === "" || b === "" ? (a === "") - (b === "") : sign * order(a, b);
      });
      body.append(...rows, ...[...body.rows].filter((row) => row.classList.contains("fixed")));
    }
    for (const head of headings(table)) head.removeAttribute("aria-sort");
    if (direction !== "none") headings(table)[column].setAttribute("aria-sort", direction);
  }

  const headings = (table) => [...(table.tHead?.rows[table.tHead.rows.length - 1]?.cells ?? [])];

  function prepare(table) {
    headings(table).forEach((head, column) => {
      if ("nosort" in head.dataset) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.dataset.first ?? "ascending", other = first === "ascending" ? "descending" : "ascending";
        const next = { [first]: other, [other]: "none" };
        sort(table, column, next[head.getAttribute("aria-sort")] ?? first);
      });
    });
  }

  // For pages that change cells: sortTable(table, column, "ascending").
  window.sortTable = sort;
  document.querySelectorAll("table.sortable").forEach(prepare);
})();
