// Tiles and Sentence of parts.py.

function tiles(model, el) {
  let url;
  el.classList.add("minigan-tiles");
  el.role = "group";
  const draw = () => {
    const old = url;
    const names = model.get("names");
    url = URL.createObjectURL(
      new Blob([model.get("value")], { type: `image/${model.get("format")}` }));
    while (el.childElementCount > names.length) el.lastChild.remove();
    while (el.childElementCount < names.length)
      el.insertAdjacentHTML("beforeend", "<figure><img><figcaption></figcaption></figure>");
    names.forEach((name, i) => {
      const [img, caption] = el.children[i].children;
      img.onload = () => {
        img.style.aspectRatio = `${img.naturalWidth} / ${img.naturalHeight / names.length}`;
      };
      Object.assign(img, { src: url, alt: name, decoding: "sync" });
      img.style.width = model.get("width");
      img.style.objectPosition = `0 ${(100 * i) / Math.max(1, names.length - 1)}%`;
      caption.textContent = name;
    });
    el.ariaLabel = model.get("alt");
    if (old) setTimeout(() => URL.revokeObjectURL(old), 1000);
  };
  model.on("change", draw);
  draw();
  return () => URL.revokeObjectURL(url);
}

function sentence(model, el) {
  // What is seen changes with each step of a drag; what is heard waits for the last.
  el.innerHTML = '<div aria-hidden="true"></div><div class="minigan-heard" role="status"></div>';
  el.classList.add("minigan-sentence");
  const [seen, heard] = el.children;
  let timer;
  const show = () => {
    seen.textContent = model.get("value");
    clearTimeout(timer);
    timer = setTimeout(() => { heard.textContent = seen.textContent; }, 400);
  };
  model.on("change:value", show);
  show();
  const root = () => el.closest(".minigan-live");
  let waiting = requestAnimationFrame(function look() {
    if (!root()) { waiting = requestAnimationFrame(look); return; }
    // Keys at a control are the control's: `b` would insert a cell.  Shift+Enter still runs one.
    root().addEventListener("keydown", (event) => {
      const { key, shiftKey, ctrlKey, altKey, metaKey } = event;
      if (!(ctrlKey || altKey || metaKey || (shiftKey && key.length > 1))) event.stopPropagation();
    });
  });
  // A click elsewhere in the cell would leave the focus here, and the keys with it.
  const leave = ({ target }) => {
    if (root()?.contains(document.activeElement) && !root().contains(target))
      document.activeElement.blur();
  };
  document.addEventListener("pointerdown", leave, true);
  return () => {
    cancelAnimationFrame(waiting);
    document.removeEventListener("pointerdown", leave, true);
  };
}

const parts = { tiles, sentence };
export default { render: ({ model, el }) => parts[model.get("part")](model, el) };
