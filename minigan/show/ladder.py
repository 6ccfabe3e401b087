"""A ladder of a generator's layers: which of them take their style from elsewhere.

A control for `live.Live`, with a bar at each layer for what it changes.  The browser's part is in
ladder.js, its looks in ladder.css; there the ladder is a rail where it has 800 pixels, else chips.
"""

import pathlib

import anywidget
import traitlets

_HERE = pathlib.Path(__file__).parent


class Ladder(anywidget.AnyWidget):
    """Layers in bands, each to be ticked alone, with its band, or all from one on.

    layers: [{"name": "3", "size": "16²", "spoken": "layer 3, 16 by 16"}, …], from the first on.
    bands: {"coarse": [indices], …}, one after another, all layers in all.
    shares: what each layer changes alone, then what each band does, from 0 to 1 and beyond.
    value: the indices that are ticked, in order.
    """

    _esm, _css = _HERE / "ladder.js", _HERE / "ladder.css"
    layers = traitlets.List().tag(sync=True)
    bands = traitlets.Dict().tag(sync=True)
    shares = traitlets.List().tag(sync=True)
    value = traitlets.List(traitlets.Int()).tag(sync=True)
