// Slider and Steps of parts.py.  One message is in flight at a time: ipywidgets merges the later ones.

const make = (name, className, ...children) => {
  const el = document.createElement(name);
  el.className = className;
  el.append(...children);
  return el;
};

// Where a key leads from value; undefined if it is none that a slider has.
const after = (event, value, step, low, high) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return undefined;
  const large = step * Math.max(1, Math.round((high - low) / step / 10));
  const to = {
    ArrowLeft: value - step, ArrowDown: value - step, ArrowRight: value + step,
    ArrowUp: value + step, PageDown: value - large, PageUp: value + large, Home: low, End: high,
  }[event.key];
  if (to !== undefined) event.preventDefault();
  return to;
};

function slider(model, el) {
  const get = (key) => model.get(key);
  const [low, high, step, ticks] = ["low", "high", "step", "ticks"].map(get);
  const share = (x) => (x - low) / (high - low);
  const typed = Object.assign(make("input", ""), { type: "number", step: "any", min: low, max: high });
  const range = Object.assign(make("input", ""), {
    type: "range", min: low, max: high, step: get("whole") ? 1 : step / 5, ariaLabel: get("name"),
  });
  const curve = make("div", "minigan-curve");
  const track = make("div", "minigan-track", curve, range);
  track.style.flexBasis = get("width");
  for (const [x, words] of ticks) {
    const tick = make("span", "", String(x).replace("-", "−"), make("br", ""), words);
    tick.style.left = `calc(8px + ${share(x)} * (100% - 16px))`;
    tick.className = x <= low ? "minigan-first" : x >= high ? "minigan-last" : "";
    tick.ariaHidden = "true";
    tick.onclick = () => set(x);
    track.append(tick);
  }
  el.classList.add("minigan-slider");
  el.classList.toggle("minigan-ticked", ticks.length > 0);
  el.append(make("label", "", get("name"), " ", typed), track);

  let typing = false;
  const set = (value) => {
    typing = false;
    if (!Number.isFinite(value)) return show();
    model.set("value", Number(Math.min(high, Math.max(low, value)).toFixed(6)));
    model.save_changes();
    show();
  };
  const show = () => {
    const value = get("value");
    const text = get("whole") ? String(value) : value.toFixed(2);
    const tick = ticks.find(([x, words]) => words && Math.abs(x - value) < 1e-6);
    range.value = value;
    range.ariaValueText = tick ? `${text}, ${tick[1]}` : get("spoken").replaceAll("{}", text);
    // What arrives while somebody types, a late answer to a drag, say, does not take it away.
    if (!typing && (document.activeElement !== typed || Number(typed.value) !== value))
      typed.value = text;
    follow(value);
  };
  // The curve has the slider's own axis; its dot stands above the thumb.
  const follow = (value) => {
    const points = get("curve");
    curve.hidden = points === null;
    if (curve.hidden) return;
    const place = ([x, y]) => `${(100 * share(x)).toFixed(2)},${(100 - 100 * y).toFixed(2)}`;
    const line = points.map(place).join(" ");
    curve.innerHTML = points.length ? `<svg aria-hidden="true" viewBox="0 0 100 100" preserveAspectRatio="none">
      <polygon points="0,100 ${line} 100,100"/><polyline points="${line}"/></svg><i></i>` : "";
    curve.append(make("small", "", get("caption")));
    const i = points.findIndex(([x]) => x >= value - 1e-9);
    if (i < 0) return;
    const [[x0, y0], [x1, y1]] = [points[Math.max(0, i - 1)], points[i]];
    const y = x1 > x0 ? y0 + ((value - x0) / (x1 - x0)) * (y1 - y0) : y1;
    const dot = curve.querySelector("i");
    dot.style.left = `${100 * share(value)}%`;
    dot.style.bottom = `${100 * y}%`;
  };

  let dragged = false;
  range.onpointerdown = () => { dragged = true; };
  range.onpointerup = range.onpointercancel = () => { dragged = false; };
  range.oninput = () => {
    const value = Number(range.value);
    const near = ticks.find(([x]) => Math.abs(x - value) < 0.015 * (high - low));
    set(dragged && near ? near[0] : value);
  };
  range.onkeydown = (event) => {
    const to = after(event, get("value"), step, low, high);
    if (to !== undefined) set(to);
  };
  typed.oninput = () => { typing = true; };
  typed.onchange = () => set(typed.value === "" ? NaN : Number(typed.value));
  typed.onkeydown = ({ key }) => { if (key === "Enter") typed.onchange(); };
  typed.onwheel = () => typed.blur(); // so the page scrolls, and the number stays
  model.on("change:value change:curve change:caption", show);
  show();
}

function steps(model, el) {
  const chips = [];
  el.classList.add("minigan-steps");
  el.append(model.get("name"), ":");
  for (const [words, labels] of model.get("groups")) {
    const group = make("span", "", words);
    for (const label of labels) {
      const i = chips.push(make("b", "", label)) - 1;
      chips[i].onclick = () => set(model.get("value") === i + 1 ? i : i + 1);
      group.append(chips[i]);
    }
    el.append(" ", group);
  }
  const n = chips.length;
  Object.assign(el, {
    role: "slider", tabIndex: 0, ariaLabel: model.get("name"), ariaValueMin: 0, ariaValueMax: n,
  });
  const set = (value) => {
    model.set("value", Math.min(n, Math.max(0, value)));
    model.save_changes();
  };
  const show = () => {
    const value = model.get("value");
    chips.forEach((chip, i) => chip.classList.toggle("minigan-on", i < value));
    el.ariaValueNow = value;
    el.ariaValueText = value ? `the first ${value} of ${n}` : "none";
  };
  el.onkeydown = (event) => {
    const to = after(event, model.get("value"), 1, 0, n);
    if (to !== undefined) set(to);
  };
  model.on("change:value", show);
  show();
}

const parts = { slider, steps };
export default { render: ({ model, el }) => parts[model.get("part")](model, el) };
