// The run in short stands in the page. A case in full is a block of the page, or a script that is read when it is asked
// for: pages on disk may read scripts and pictures, and nothing else. The last few stay in memory.
const run = JSON.parse(byId("run-data").textContent);
const KEPT = 6;
const details = new Map(); // number of a case -> promise of it in full
const pictures = new Map(); // number of a case -> Map of source -> promise of its picture
const waiting = new Map();

// What a script in data/ calls.
function reportCase(number, detail) { waiting.get(number)?.(detail); }

function detailOf(number) {
  if (!details.has(number)) details.set(number, readCase(number));
  const found = details.get(number);
  details.delete(number); // again at the end: the first ones are those that were not used for longest
  details.set(number, found);
  for (const old of [...details.keys()].slice(0, -KEPT)) { details.delete(old); pictures.delete(old); }
  return found;
}

function readCase(number) {
  const block = byId(`case-${number}`);
  if (block) return Promise.resolve(JSON.parse(block.textContent));
  return new Promise((resolve, reject) => {
    const script = make("script", { src: `data/${number}.js` });
    waiting.set(number, resolve);
    script.onload = () => { script.remove(); waiting.delete(number); reject(new Error(`data/${number}.js is of another report`)); };
    script.onerror = () => { script.remove(); waiting.delete(number); details.delete(number);
      reject(new Error(`data/${number}.js is not there: keep this page in its folder`)); };
    document.head.append(script);
  });
}

// A preview, decoded before it is drawn: the first frame of a case then takes no longer than the others.
function pictureOf(number, source) {
  if (!pictures.has(number)) pictures.set(number, new Map());
  const known = pictures.get(number);
  if (!known.has(source)) {
    const picture = new Image();
    picture.src = source;
    known.set(source, picture.decode().then(() => picture));
  }
  return known.get(source);
}
