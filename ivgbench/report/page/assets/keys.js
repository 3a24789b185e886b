// Keys, wherever nothing is being typed or chosen.
const KEYS = {
  " ": () => play(!clock.playing),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  j: () => goBy(1),
  k: () => goBy(-1),
  a: () => change({ asked: !state.asked }),
  d: () => change({ detected: !state.detected }),
  "?": () => byId("keys").showModal(),
};

function setUpKeys() {
  byId("help").addEventListener("click", KEYS["?"]);
  document.addEventListener("keydown", (event) => {
    const slider = event.target.closest("input[type=range]"); // it has the arrows for itself, and no other key
    const typing = slider ? event.key.startsWith("Arrow") : event.target.closest("input, select, textarea, dialog[open]");
    const pressing = event.key === " " && event.target.closest("button, summary, a");
    if (event.ctrlKey || event.metaKey || event.altKey || typing || pressing || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
}
