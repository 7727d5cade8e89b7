// The page's behaviour. gradio runs this once with `element` (our HTML) and `server` (server.py).
const root = element.querySelector(".people");
const isSliders = root.dataset.task === "sliders";
const find = (selector) => root.querySelector(selector);
const all = (selector) => [...root.querySelectorAll(selector)];
const sections = { join: find(".join"), work: find(".work"), done: find(".done") };
const image = find("figure img");
const sliders = all("input[type=range]");
const families = all("details.family");
const help = find("dialog.help");
const wide = window.matchMedia("(min-width: 900px)");
const RETRY_MS = 1500;
const LOOK_AGAIN_MS = 10000;

let view = null; // what the server said last
let pictureIsThere = false;
let busy = false;
let emptyWasSaid = false;
let lookAgain = null;

// What outlives a reload of this tab: who works here, an answer on its way, sliders set so far.
const kept = {
  get: (key) => JSON.parse(sessionStorage.getItem(`people-${key}`) || "null"),
  set: (key, value) => sessionStorage.setItem(`people-${key}`, JSON.stringify(value)),
  drop: (key) => sessionStorage.removeItem(`people-${key}`),
};

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// One call of the server, repeated until there is an answer. An answer of a person carries a token
// and so counts once, however often it is sent.
async function call(name, request) {
  for (;;) {
    let reply = null;
    try {
      reply = await server[name](request);
    } catch (error) {
      reply = null;
    }
    if (reply && reply.view) {
      say(".work > .problem", "");
      return reply.view;
    }
    if (reply && reply.problem) throw new Error(reply.problem);
    const why = reply && reply.later ? ` (${reply.later})` : "";
    say(
      ".work > .problem",
      `The server does not answer${why}. Nothing is lost: your answer waits here and is sent as ` +
        "soon as it does.",
    );
    await pause(RETRY_MS);
  }
}

function say(selector, text) {
  const place = find(selector);
  if (place.textContent !== text) place.textContent = text;
}

function show(section) {
  for (const [name, part] of Object.entries(sections)) part.hidden = name !== section;
}

function display(next) {
  view = next;
  clearTimeout(lookAgain);
  emptyWasSaid = false;
  const { progress, question } = view;
  find("progress").max = progress.images;
  find("progress").value = progress.finished;
  say(".who", view.name);
  say(
    ".how-far",
    `${progress.answered} answered by you, ${progress.left} left for you · all together ` +
      `${progress.finished} of ${progress.images} pictures finished`,
  );
  if (!question) return displayDone(progress);
  show("work");
  const isReview = question.revises !== null;
  say(
    ".work > .said",
    view.notice ||
      (isReview ? `Picture ${question.number}, which you answered before: correct it or go on.` : ""),
  );
  root.classList.toggle("review", isReview);
  for (const button of all(".return")) button.hidden = !isReview;
  for (const button of all(".back")) button.disabled = question.number <= 1;
  displayPicture(question);
  if (isSliders) displaySliders(question);
  else displayVote(question);
}

function displayDone(progress) {
  show("done");
  const isAll = progress.finished === progress.images;
  say(".done h1", isAll ? "All pictures are finished. Thank you!" : "Nothing for you right now");
  say(
    ".done p",
    isAll
      ? `You answered ${progress.answered} questions.`
      : "The pictures that are left wait for other people's answers. This page looks again by " +
          "itself; you may also close it.",
  );
  find(".done .back").disabled = progress.answered === 0;
  if (!isAll) lookAgain = setTimeout(() => run(() => call("current", who())), LOOK_AGAIN_MS);
}

function displayPicture(question) {
  pictureIsThere = false;
  image.classList.add("loading");
  image.alt = `Picture ${question.number}: a generated face`;
  image.src = question.picture;
}

image.addEventListener("load", () => {
  pictureIsThere = true;
  image.classList.remove("loading");
});
image.addEventListener("error", async () => {
  if (!view || !view.question) return;
  say(".work > .problem", "The picture does not come; trying again.");
  const wanted = view.question.picture;
  await pause(RETRY_MS);
  if (view.question && view.question.picture === wanted) image.src = `${wanted}?${Date.now()}`;
});

const who = () => ({ name: kept.get("name") });
const place = (question) => `${question.item} ${question.kind} ${question.revises}`;

// Sliders

function displaySliders(question) {
  const draft = kept.get("draft");
  const values =
    draft && draft.place === place(question) ? draft.values : question.value || sliders.map(() => 0);
  for (const slider of sliders) set(slider, values[slider.dataset.index]);
  for (const family of families) family.open = wide.matches || family.open;
  window.scrollTo(0, 0);
  if (wide.matches) sliders[0].focus({ preventScroll: true });
}

function set(slider, value) {
  slider.value = value;
  const row = slider.closest(".slider");
  row.classList.toggle("set", Number(value) > 0);
  row.style.setProperty("--level", Number(value) / Number(slider.max));
  row.querySelector("output").textContent = value;
  slider.setAttribute("aria-valuetext", `${value} of ${slider.max}`);
  const family = slider.closest("details");
  const n = family.querySelectorAll(".slider.set").length;
  family.querySelector(".count").textContent = n ? `${n} set` : "";
}

function valuesNow() {
  const values = sliders.map(() => 0);
  for (const slider of sliders) values[slider.dataset.index] = Number(slider.value);
  return values;
}

function changed(slider, value) {
  set(slider, value);
  emptyWasSaid = false;
  kept.set("draft", { place: place(view.question), values: valuesNow() });
}

function explain(slider) {
  const row = slider.closest(".slider");
  for (const other of all(".slider.explained")) other.classList.remove("explained");
  row.classList.add("explained");
  find("figcaption strong").textContent = row.querySelector("label").textContent;
  find("figcaption span").textContent = row.querySelector("small").textContent;
}

for (const slider of sliders) {
  slider.addEventListener("input", () => changed(slider, slider.value));
  slider.addEventListener("focus", () => explain(slider));
  slider.closest(".slider").addEventListener("pointerenter", () => explain(slider));
}

function jump(step) {
  const here = families.findIndex((family) => family.contains(document.activeElement));
  const there = (Math.max(here, 0) + (here < 0 ? 0 : step) + families.length) % families.length;
  families[there].open = true;
  families[there].querySelector("input").focus();
}

function next() {
  const values = valuesNow();
  if (!values.some(Boolean) && !emptyWasSaid) {
    emptyWasSaid = true;
    say(".work > .said", "No slider is set. If the face shows none of it, press Next once more.");
    return;
  }
  answer(values);
}

// Votes

function displayVote(question) {
  say(".emotion", `${question.emotion}?`);
  say(".asked .words", question.words);
  for (const button of all(".vote")) {
    const isGiven = question.value === (button.dataset.vote === "yes");
    button.setAttribute("aria-pressed", String(question.value !== null && isGiven));
  }
}

// Both

async function run(work) {
  if (busy) return;
  busy = true;
  root.setAttribute("aria-busy", "true");
  try {
    display(await work());
  } catch (error) {
    say(sections.join.hidden ? ".work > .problem" : ".join .problem", error.message);
  } finally {
    busy = false;
    root.removeAttribute("aria-busy");
  }
}

function answer(value) {
  if (busy || !pictureIsThere) return;
  const { item, kind, revises } = view.question;
  kept.set("pending", { ...who(), token: newToken(), item, kind, value, revises });
  run(send);
}

// crypto.randomUUID exists only on pages served by https or from this machine.
function newToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send() {
  try {
    return await call("answer", kept.get("pending"));
  } finally {
    kept.drop("pending");
    kept.drop("draft");
  }
}

function back() {
  const before = view && view.question ? view.question.revises : null;
  if (view && view.question && view.question.number <= 1) return;
  run(() => call("back", { ...who(), before }));
}

const leave = () => run(() => call("current", who()));

async function begin(name, agreed) {
  await run(async () => {
    const found = await call("begin", { name, agreed });
    kept.set("name", found.name);
    return kept.get("pending") ? send() : found;
  });
}

sections.join.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  say(".join .problem", "");
  begin(find("#name").value, find("#agree").checked);
});
find(".asked").addEventListener("submit", (event) => {
  event.preventDefault();
  if (isSliders) next();
});
for (const button of all(".vote")) {
  button.addEventListener("click", () => answer(button.dataset.vote === "yes"));
}
for (const button of all(".back")) button.addEventListener("click", back);
for (const button of all(".return")) button.addEventListener("click", leave);
const toggleHelp = () => (help.open ? help.close() : help.showModal());
find(".help-button").addEventListener("click", toggleHelp);

const KEYS = {
  b: back,
  ...(isSliders
    ? { pagedown: () => jump(1), pageup: () => jump(-1) }
    : { y: () => answer(true), n: () => answer(false), arrowleft: back, arrowright: maybeLeave }),
  escape: maybeLeave,
};

function maybeLeave() {
  if (view.question && view.question.revises !== null) leave();
}

document.addEventListener("keydown", (event) => {
  if (event.repeat && !event.key.startsWith("Arrow")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || sections.work.hidden) return;
  if (event.key === "?") return event.preventDefault(), toggleHelp();
  if (help.open) return;
  const target = document.activeElement;
  if (isSliders && /^[0-7]$/.test(event.key) && sliders.includes(target)) {
    event.preventDefault();
    return changed(target, event.key);
  }
  if (event.key === "Enter" && isSliders && !target.matches("button, summary")) {
    event.preventDefault();
    return next();
  }
  const act = KEYS[event.key.toLowerCase()];
  if (act && !(event.repeat || (isSliders && event.key.startsWith("Arrow")))) {
    event.preventDefault();
    act();
  }
});

if (!wide.matches) families.forEach((family, place) => (family.open = place === 0));
wide.addEventListener("change", () => {
  if (wide.matches) for (const family of families) family.open = true;
});
if (kept.get("name")) begin(kept.get("name"), true);
