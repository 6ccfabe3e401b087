// The layers of a generator as chips or as a rail (ladder.css decides), in bands.
// One state only, the model's `value`: bands and the handle show it and set it.

const HELP = "Arrow keys move, Space toggles, 1 2 3 take one band alone, Shift with an arrow moves " +
  "the line where top and left change over.";

function element(parent, tag, name, attributes = {}) {
  const made = parent.appendChild(document.createElement(tag));
  made.className = name;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function render({ model, el }) {
  const layers = model.get("layers");
  const bands = Object.entries(model.get("bands"));
  const root = element(el, "div", "minigan-ladder", {
    role: "group", "aria-label": "layers from the top", "aria-description": HELP,
  });
  let current = model.get("value")[0] ?? 0;
  let upTo = false; // where all or none are ticked: whether the handle stood for "up to here"

  const chips = [];
  const buttons = bands.map(([name, members], key) => {
    const group = element(root, "div", "minigan-band", { role: "group", "aria-label": name });
    const button = element(group, "button", "minigan-band-name", { tabindex: -1, type: "button",
      title: `${name} alone (with Shift: besides the others)` });
    element(button, "span", "").textContent = name;
    element(button, "span", "minigan-share");
    button.onclick = (event) => take(key, event.shiftKey || event.ctrlKey || event.metaKey);
    const row = element(group, "div", "minigan-layers");
    for (const i of members) {
      const chip = element(row, "div", "minigan-layer", { role: "checkbox" });
      element(chip, "span", "minigan-box");
      element(chip, "span", "minigan-name").textContent = layers[i].name;
      element(chip, "span", "minigan-size").textContent = layers[i].size;
      element(chip, "span", "minigan-bar");
      element(chip, "span", "minigan-share");
      chip.onclick = () => { toggle(i); focus(i); };
      chips[i] = chip;
    }
    return button;
  });
  const handle = element(root, "div", "minigan-handle", { "aria-hidden": true });
  handle.title = "drag: from the top from here on";

  const ticked = () => model.get("value");
  function set(indices) {
    model.set("value", layers.map((_, i) => i).filter((i) => indices.includes(i)));
    model.save_changes();
  }
  const toggle = (i) =>
    set(ticked().includes(i) ? ticked().filter((j) => j !== i) : [...ticked(), i]);

  function take(key, besides) { // a band alone, or none if it is; besides the others, or without it
    const members = bands[key][1];
    const all = members.every((i) => ticked().includes(i));
    const others = besides ? ticked().filter((i) => !members.includes(i)) : [];
    const alone = all && ticked().length === members.length + others.length;
    set(alone ? others : [...others, ...members]);
  }

  function cut() { // the layer before which top and left change over; null if they do so twice
    const on = ticked(), n = layers.length;
    if (on.length % n === 0) return (on.length > 0) === upTo ? n : 0;
    if (on[0] === 0 && on.at(-1) === on.length - 1) { upTo = true; return on.length; }
    upTo = false;
    return on.at(-1) === n - 1 && on[0] === n - on.length ? on[0] : null;
  }
  const cutAt = (place) => set(layers.map((_, i) => i).filter((i) => i < place === upTo));

  function focus(i) {
    current = i;
    chips.forEach((chip, j) => (chip.tabIndex = j === i ? 0 : -1));
    chips[i].focus();
  }

  function show() {
    const shares = model.get("shares"), on = ticked();
    const percent = (k) => Math.round(100 * (shares[k] ?? 0));
    chips.forEach((chip, i) => {
      const top = on.includes(i);
      chip.tabIndex = i === current ? 0 : -1;
      chip.setAttribute("aria-checked", top);
      chip.setAttribute("aria-label", `${layers[i].spoken}, from the ${top ? "top" : "left"}, ` +
        `changes ${percent(i)} percent`);
      chip.title = `${layers[i].spoken}: changes ${percent(i)} %`;
      chip.style.setProperty("--share", Math.min(1, shares[i] ?? 0));
      chip.querySelector(".minigan-share").textContent = `${percent(i)} %`;
    });
    buttons.forEach((button, key) => {
      const count = bands[key][1].filter((i) => on.includes(i)).length;
      const state = count === 0 ? "false" : count === bands[key][1].length ? "true" : "mixed";
      button.setAttribute("aria-pressed", state);
      button.querySelector(".minigan-share").textContent = `${percent(layers.length + key)} %`;
    });
    const place = cut();
    const beside = chips[Math.min(place ?? layers.length, layers.length - 1)];
    handle.classList.toggle("minigan-parked", place === null);
    handle.classList.toggle("minigan-after", (place ?? layers.length) === layers.length);
    if (handle.parentNode !== beside) beside.append(handle);
  }

  root.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const band = bands.findIndex(([name], k) => [name[0], `${k + 1}`].includes(event.key));
    const last = layers.length - 1;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step && event.shiftKey) {
      const place = cut();
      cutAt(place === null ? current : Math.min(last + 1, Math.max(0, place + step)));
    } else if (step) focus(Math.min(last, Math.max(0, current + step)));
    else if (event.key === "Home" || event.key === "End") focus(event.key === "Home" ? 0 : last);
    else if (event.key === " " && event.target === chips[current]) toggle(current);
    else if (band >= 0) take(band);
    else return;
    event.preventDefault();
  };

  handle.onclick = (event) => event.stopPropagation(); // it lies on a layer, which would toggle
  handle.onpointerdown = (event) => {
    event.preventDefault();
    event.stopPropagation();
    root.setPointerCapture(event.pointerId); // the handle itself moves from layer to layer
    root.onpointermove = ({ clientX, clientY }) => {
      const rail = getComputedStyle(chips[0].parentNode).flexDirection === "column";
      cutAt(chips.filter((chip) => {
        const box = chip.getBoundingClientRect();
        return rail ? clientY > (box.top + box.bottom) / 2
          : clientY > box.bottom + 8 || (clientY > box.top - 40 && clientX > (box.left + box.right) / 2);
      }).length);
    };
    root.onpointerup = root.onpointercancel = () => (root.onpointermove = null);
  };

  model.on("change:value change:shares", show);
  show();
  return () => model.off("change:value change:shares", show);
}

export default { render };
