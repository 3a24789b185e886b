// Tables that are sorted by a click on a head: the better side first, then the other, then as they were.
function setUpSorting() {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    const original = [...body.rows];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const isText = head.classList.contains("text");
      const first = isText || head.textContent.includes("↓") ? "ascending" : "descending";
      const turns = [first, first === "ascending" ? "descending" : "ascending", "none"];
      const turn = turns[(turns.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
      for (const other of heads) other.setAttribute("aria-sort", other === head ? turn : "none");
      body.append(...(turn === "none" ? original : sorted(original, column, isText, turn === "ascending" ? 1 : -1)));
    }));
  }
}

// Rows without a value in the column stay last, whichever way it is sorted.
function sorted(rows, column, isText, way) {
  const value = (row) => (isText ? row.cells[column].textContent : row.cells[column].dataset.value);
  const given = rows.filter((row) => value(row));
  given.sort((one, other) => way * (isText ? value(one).localeCompare(value(other)) : value(one) - value(other)));
  return [...given, ...rows.filter((row) => !value(row))];
}
