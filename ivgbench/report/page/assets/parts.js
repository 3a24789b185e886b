// Elements of the page.
function byId(id) { return document.getElementById(id); }

// An element with its attributes and children. Texts become text nodes: nothing a user wrote is ever read as markup.
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
