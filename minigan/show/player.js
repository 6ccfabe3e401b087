// Play, stop and loop for frames that the browser has: counts the model's `value` up by itself.

function render({ model, el }) {
  let timer;
  // JupyterLab's one-letter commands are for cells, not for what is pressed here
  el.dataset.lmSuppressShortcuts = "true";

  const button = (text, act) => {
    const made = document.createElement("button");
    made.className = "jupyter-button";
    made.textContent = text;
    made.style.margin = "2px";
    made.onclick = act;
    el.append(made);
    return made;
  };
  const set = (key, value) => {
    model.set(key, value);
    model.save_changes();
  };
  const play = button("▶ play", () => (timer ? halt() : begin()));
  button("■ stop", () => {
    halt();
    set("value", 0);
  });
  const loop = button("↻ loop", () => set("loop", !model.get("loop")));

  const begin = () => {
    if (model.get("value") === model.get("last")) set("value", 0);
    timer = setInterval(step, model.get("interval"));
    play.textContent = "❚❚ pause";
  };
  const halt = () => {
    timer = clearInterval(timer);
    play.textContent = "▶ play";
  };
  const step = () => {
    const next = model.get("value") + 1;
    if (next <= model.get("last")) set("value", next);
    else if (model.get("loop")) set("value", 0);
    else halt();
  };
  const show = () => {
    loop.ariaPressed = model.get("loop");
    loop.classList.toggle("mod-active", model.get("loop"));
  };
  model.on("change:loop", show);
  show();
  return () => clearInterval(timer);
}

export default { render };
