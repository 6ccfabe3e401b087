"""Each widget for who does not use a mouse or does not see well, in JupyterLab in Chromium: by the
accessibility tree, by the colours on the page in both themes, and by the keyboard alone."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.test_browser_widgets import START, WIDGETS

pytestmark = pytest.mark.browser
THEMES = ("JupyterLab Light", "JupyterLab Dark")
CONTROLS = {"slider", "spinbutton", "textbox", "combobox", "button", "checkbox", "radio", "switch"}
HANDLES = ".minigan-live [role=slider], .minigan-live input[type=range]"
# Functions for the page: what can be seen, what is behind it, and how much two colours differ
# (WCAG 2.2; colours as [r, g, b, alpha], 0 … 255 and 0 … 1)
SEEING = """
const live = document.querySelector('.minigan-live');
const visible = el => el.checkVisibility({visibilityProperty: true, opacityProperty: true})
  && el.getBoundingClientRect().width > 1;
const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
const rgba = css => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = css;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (front, back) => [0, 1, 2].map(i => front[3] * front[i] + (1 - front[3]) * back[i]);
const behind = el => {
  if (!el) return [255, 255, 255];
  const colour = rgba(getComputedStyle(el).backgroundColor);
  return colour[3] === 1 ? colour.slice(0, 3) : over(colour, behind(el.parentElement));
};
const light = rgb => rgb.map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (a, b) => {
  const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
"""


@pytest.fixture(scope="module", params=WIDGETS)
def notebook(request, lab, browser):
    """A notebook that has run one widget, as low as a small laptop's window, and its name."""
    path = lab.write(f"access_{request.param}", START, WIDGETS[request.param], "1 + 1")
    with browser.open(lab, path, width=800, height=700) as notebook:
        notebook.page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        notebook.run_all()
        notebook.page.locator(".minigan-live").first.scroll_into_view_if_needed()
        notebook.page.locator(".minigan-live img:visible").first.wait_for()
        notebook.widget = request.param
        yield notebook


def nodes(notebook):
    """What a screen reader is given of the widget: [(role, name, {property: value})]."""
    session = notebook.page.context.new_cdp_session(notebook.page)
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    live = session.send("DOM.querySelector", {"nodeId": root, "selector": ".minigan-live"})
    tree = session.send("Accessibility.queryAXTree", live)["nodes"]
    session.detach()
    return [
        (
            node["role"]["value"],
            node.get("name", {}).get("value", ""),
            {p["name"]: p["value"].get("value") for p in node.get("properties", ())}
            | {"value": node.get("value", {}).get("value")},  # of no native slider: its words
        )
        for node in tree
        if not node["ignored"]
    ]


def theme(notebook, name):
    notebook.page.evaluate(
        "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name
    )
    dark = str(name.endswith("Light")).lower()
    notebook.page.locator(f"body[data-jp-theme-light={dark}]").wait_for(state="attached")
    notebook.page.wait_for_timeout(300)


def wrong_seeds(notebook):
    """Types what is no seed; returns how to take it back."""
    field = notebook.page.get_by_role("textbox", name=re.compile("seed|row|left")).first
    before = field.input_value()
    field.fill("many")
    field.press("Enter")
    notebook.page.locator(".minigan-live [role=alert]").wait_for(timeout=3000)
    return lambda: (field.fill(before), field.press("Enter"))


def test_every_control_has_a_name_and_says_its_state(notebook):
    tree = nodes(notebook)
    controls = [node for node in tree if node[0] in CONTROLS]
    assert len(controls) >= 3
    nameless = [node for node in [*controls, *(n for n in tree if n[0] in ("img", "image"))]
                if not node[1].strip()]  # fmt: skip
    assert not nameless
    for role, name, properties in controls:
        if role == "slider":
            said = properties.get("valuetext") or properties["value"] or ""
            assert said != "" and not re.search(r"\d{7}", str(said)), (name, said)
        if role in ("checkbox", "radio", "switch"):
            assert "checked" in properties or "pressed" in properties, name
    without = notebook.page.locator(".minigan-live .widget-toggle-buttons button").evaluate_all(
        "all => all.filter(el => !el.ariaPressed && !el.ariaChecked).map(el => el.innerText)"
    )
    assert not without, "what is chosen is told by colour alone"


def test_the_sentence_is_announced_and_so_is_a_mistake(notebook):
    assert [role for role, *_ in nodes(notebook)].count("status") == 1
    status = notebook.page.locator(".minigan-live [role=status]")
    notebook.until(lambda: len(status.inner_text()) > 20, "the sentence is said")
    before = status.inner_text()
    undo = wrong_seeds(notebook)
    alert = notebook.page.locator(".minigan-live [role=alert]")
    assert "many" in alert.inner_text() and "expected" in alert.inner_text()
    box, shown = alert.bounding_box(), notebook.page.locator(".minigan-live img:visible").first
    assert box["y"] < shown.bounding_box()["y"], "it stands below the pictures"
    undo()
    alert.wait_for(state="detached")
    notebook.until(lambda: status.inner_text() == before, "the sentence is said again")


@pytest.mark.parametrize("name", THEMES)
def test_text_stands_out_from_what_is_behind_it(notebook, name):
    theme(notebook, name)
    undo = wrong_seeds(notebook)
    try:
        faint = notebook.page.evaluate(
            f"""() => {{{SEEING}
            const faint = [], words = document.createTreeWalker(live, NodeFilter.SHOW_TEXT);
            let count = 0;
            const see = (el, text) => {{
              const style = getComputedStyle(el), back = behind(el);
              const front = rgba(el.closest('svg') ? style.fill : style.color);
              const ratio = contrast(over(front, back), back);
              count += 1;
              if (ratio < 4.5) faint.push(`${{text.trim().slice(0, 40)}}: ${{ratio.toFixed(2)}}`);
            }};
            while (words.nextNode()) {{
              const el = words.currentNode.parentElement;
              if (words.currentNode.data.trim() && visible(el) && el.tagName !== 'STYLE')
                see(el, words.currentNode.data);
            }}
            for (const el of live.querySelectorAll('input:not([type=range]), select'))
              if (visible(el)) see(el, el.value);
            return count > 4 ? faint : ['nothing was seen'];
            }}"""
        )
    finally:
        undo()
        theme(notebook, THEMES[0])
    assert not faint


def luminance(rgb):
    """WCAG's relative luminance of uint8 [..., 3]."""
    v = rgb / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


def ratios(pixels, back):
    """The contrast of each pixel [H, W] with the colour behind."""
    a, b = luminance(pixels.astype(float)), luminance(np.array(back, float))
    return (np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)


@pytest.mark.parametrize("name", THEMES)
def test_sliders_stand_out_from_what_is_behind_them(notebook, name):
    """By the pixels: the track along its length, and the handle above and below the track."""
    theme(notebook, name)
    page, faint = notebook.page, []
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    try:
        for track in page.locator(
            ".minigan-live .noUi-target, .minigan-live input[type=range]"
        ).all():
            if not track.is_visible():
                continue
            track.scroll_into_view_if_needed()
            at = track.evaluate(
                f"""el => {{{SEEING}
                const box = el.getBoundingClientRect(), knob = el.querySelector('.noUi-handle');
                const part = knob ? knob.getBoundingClientRect().x + 9 - box.x
                  : 8 + (box.width - 16) * (el.value - el.min) / (el.max - el.min);
                return {{x: box.x, y: box.y + box.height / 2, width: box.width, knob: part,
                         back: behind(el.parentElement)}};
                }}"""
            )
            clip = {"x": at["x"], "y": at["y"] - 12, "width": at["width"], "height": 24}
            png = page.screenshot(clip=clip)
            pixels = ratios(np.array(Image.open(io.BytesIO(png)).convert("RGB")), at["back"])
            along = float(np.quantile(pixels[7:17].max(axis=0), 0.2))
            x = round(at["knob"])
            knob = pixels[:, max(0, x - 8) : x + 9]
            beside = float(min(knob[3:9].max(), knob[15:21].max()))
            faint += [
                f"{what} {ratio:.2f}"
                for what, ratio in (("track", along), ("handle", beside))
                if ratio < 3
            ]
    finally:
        theme(notebook, THEMES[0])
    assert not faint


def focused(notebook):
    """Where the focus is: "" outside of the widget, otherwise the control's number and name."""
    return notebook.page.evaluate(
        """() => {
          const el = document.activeElement, live = el.closest('.minigan-live');
          if (!live) return '';
          const all = Array.from(live.querySelectorAll('*'));
          const name = el.ariaLabel || el.labels?.[0]?.innerText || el.innerText || el.title;
          return `${all.indexOf(el)} ${el.tagName} ${name}`;
        }"""
    )


def tabbed(notebook):
    """The widget's controls in the order of the Tab key, from the cell's input to beyond it."""
    page, order = notebook.page, []
    page.evaluate(
        """() => {
          const { content } = jupyterapp.shell.currentWidget;
          content.activeCellIndex = 1;
          content.mode = 'command';
          content.activeCell.node.focus();
        }"""
    )
    for _ in range(20):  # over the buttons of the cell
        page.keyboard.press("Tab")
        if focused(notebook):
            break
    while focused(notebook) and len(order) < 60:
        order.append(focused(notebook))
        page.keyboard.press("Tab")
    assert not focused(notebook), f"the focus cannot leave: {order[-3:]}"
    return order


def test_the_tab_key_goes_through_every_control_and_out(notebook):
    order = tabbed(notebook)
    reachable = notebook.page.evaluate(
        f"""() => {{{SEEING}
        const all = Array.from(live.querySelectorAll('*'));
        return Array.from(live.querySelectorAll(
          'input, button, select, textarea, [role=slider], [tabindex]'))
          .filter(el => visible(el) && el.tabIndex >= 0 && !el.disabled)
          .map(el => all.indexOf(el));
        }}"""
    )
    numbers = [int(one.split()[0]) for one in order]
    assert len(set(numbers)) == len(numbers) and set(reachable) <= set(numbers), order
    sliders = notebook.page.locator(HANDLES)
    seen = [one for one in sliders.all() if one.is_visible()]
    assert all(one.evaluate("el => el.tabIndex >= 0") for one in seen)


def test_no_key_meant_for_a_control_reaches_the_notebook(notebook):
    """b, j and d d would insert a cell, leave this one, and delete it."""
    page = notebook.page
    state = """() => {
      const { content } = jupyterapp.shell.currentWidget;
      return [content.model.cells.length, content.activeCellIndex, content.mode];
    }"""
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    wanted, heard = [page.evaluate(state)[0], 1], []
    for selector in (HANDLES, ".minigan-live button", ".minigan-live [type=checkbox]",
                     ".minigan-live [role=checkbox]", ".minigan-live select"):  # fmt: skip
        control = page.locator(selector).locator("visible=true").first
        if not control.count():
            continue
        for keys in ("j", "b", "dd"):
            control.focus()
            here = focused(notebook)
            for key in keys:
                page.keyboard.press(key)
            page.wait_for_timeout(150)
            if page.evaluate(state)[:2] != wanted or focused(notebook) != here:
                heard.append(f"{keys} in {here}")
                page.evaluate(  # as it was: a key that did something is not tried with the others
                    """async n => {
                      const { content } = jupyterapp.shell.currentWidget;
                      while (content.model.cells.length > n) content.model.sharedModel.deleteCell(2);
                      content.activeCellIndex = 1;
                    }""",
                    wanted[0],
                )
                break
    assert not heard


@pytest.mark.parametrize("size", [(1280, 900), (800, 700)], ids=["1280", "800"])
def test_control_sentence_and_pictures_are_on_one_screen(notebook, size):
    pictures = {"psi_slider": 4, "style_mixer": 100, "toy": 1}  # so many of the first ones
    if notebook.widget not in pictures:
        pytest.skip("promised of the two that lessons are about")
    notebook.page.set_viewport_size({"width": size[0], "height": size[1]})
    notebook.page.wait_for_timeout(500)
    try:
        hidden = notebook.page.evaluate(
            f"""async most => {{{SEEING}
            live.scrollIntoView({{block: 'start'}});
            await new Promise(r => setTimeout(r, 400));
            const room = live.closest('.jp-WindowedPanel-outer, .jp-Notebook')
              .getBoundingClientRect();
            const first = selector => Array.from(live.querySelectorAll(selector)).find(visible);
            const said = live.querySelector('[role=status]').textContent.trim();
            const parts = {{
              control: first('[role=slider], input[type=range], [role=checkbox], [type=checkbox]'),
              sentence: Array.from(live.querySelectorAll('*'))
                .filter(el => visible(el) && said && el.textContent.trim() === said).at(-1),
            }};
            const shown = Array.from(live.querySelectorAll('img')).filter(visible);
            shown.slice(0, most).forEach((el, i) => (parts[`picture ${{i}}`] = el));
            return Object.entries(parts).flatMap(([name, el]) => {{
              if (!el) return [`no ${{name}}`];
              const box = el.getBoundingClientRect();
              const out = Math.max(room.top - box.top, box.bottom - room.bottom,
                                   box.right - room.right);
              return out > 1 ? [`${{name}}: ${{Math.round(out)}} px out of sight`] : [];
            }});
            }}""",
            pictures[notebook.widget],
        )
    finally:
        notebook.page.set_viewport_size({"width": 800, "height": 700})
    assert not hidden


def test_nothing_is_asked_of_another_machine(notebook, lab):
    assert len(notebook.requests) > 10
    assert not [url for url in notebook.requests if not url.startswith(lab.address)]
