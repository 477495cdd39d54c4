"""Feature maps of units, and the inputs that excite them most, as small pictures."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from common.data.rows import RawRows
from common.reports.report import Gallery, Picture
from common.reports.text import shortened
from services.analyzer.domain.activations.findings import LayerActivations, RowFacts
from services.analyzer.domain.hidden.source import HiddenSource, HiddenValues
from services.analyzer.domain.page.thumbnails import Pixels, fitted, pixels_of

MOST_BYTES = 420_000
"""Of all pictures of this part; in the page they are a third larger."""

_MOST_LAYERS = 4
_SHOWN_ROWS = 3
_MAPS = 8
_MAP_COLUMNS = 3
_EXCITED_UNITS = 4
_EXCITING_ROWS = 6
_SMALLEST_SIDE = 48
_LARGEST_SIDE = 64
_GAP = 2
_COLORS = 128
_GREYS = 32
_PAPER = 128


@dataclass
class PictureBudget:
    """Counts bytes of pictures.

    Attributes:
        left: How many more there may be.
        is_short: Whether some picture found no room.
    """

    left: int = MOST_BYTES
    is_short: bool = field(default=False)

    def fits(self, picture: Picture) -> bool:
        """Whether there is room for a picture; it is taken then."""
        if len(picture.png) > self.left:
            self.is_short = True
            return False
        self.left -= len(picture.png)
        return True


def image_column(raw: RawRows) -> str | None:
    """Returns the name of the column of images; None without."""
    return next((name for name, each in raw.columns.items() if each.ndim == 4), None)


def spread(names: Sequence[str], most: int = _MOST_LAYERS) -> tuple[str, ...]:
    """Returns some layers, evenly along the depth."""
    places = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    return tuple(names[place] for place in places)


def map_galleries(
    source: HiddenSource,
    raw: RawRows,
    facts: RowFacts,
    layers: Mapping[str, LayerActivations],
    left: PictureBudget,
) -> tuple[Gallery, ...]:
    """Returns feature maps of the strongest units for a few rows, a gallery for each layer.

    Args:
        source: Where values come from.
        raw: Rows with a column of images.
        facts: Of these rows.
        layers: What was found in the layers; those without maps are passed over.
        left: Of pictures.
    """
    column = image_column(raw)
    names = spread([name for name, each in layers.items() if each.position_count > 1])
    if column is None or not names:
        return ()
    chosen = _telling_rows(facts)
    found = dict[str, HiddenValues]()
    source.visit(raw.take(chosen), names, lambda name, _, values: found.update({name: values + 0}))
    told = [_told(facts, int(row)) for row in chosen]
    images = raw.columns[column][chosen]
    galleries = []
    for name in names:
        units = [each.unit for each in layers[name].units][:_MAPS]
        pictures = [
            _maps(image, values[units], units, who)
            for image, values, who in zip(images, found[name], told, strict=True)
        ]
        galleries.append(_gallery(pictures, _maps_caption(name, units), left))
    return tuple(each for each in galleries if each.pictures)


def exciting_galleries(
    raw: RawRows,
    facts: RowFacts,
    layers: Mapping[str, LayerActivations],
    left: PictureBudget,
) -> tuple[Gallery, ...]:
    """Returns the images that the strongest units answer to most, a gallery for each layer.

    Args:
        raw: Rows with a column of images.
        facts: Of these rows.
        layers: What was found in the layers.
        left: Of pictures.
    """
    column = image_column(raw)
    if column is None:
        return ()
    places = {int(number): place for place, number in enumerate(facts.numbers)}
    galleries = []
    for name in spread([*layers]):
        pictures = []
        for unit in layers[name].units[:_EXCITED_UNITS]:
            rows = [each.row for each in unit.top_rows][:_EXCITING_ROWS]
            images = [raw.columns[column][places[row]] for row in rows]
            tiles = [_tile(image, _tile_side(image)) for image in images]
            answer = f": {shortened(unit.answers_to, 24)}" if unit.answers_to else ""
            said = f"Images that excite unit {unit.unit} of {name} most: rows {_listed(rows)}."
            pictures.append(_picture(_mosaic(tiles, 3), f"unit {unit.unit}{answer}", said))
        caption = (
            f"{name}: the images that its strongest units answer to most, from the upper left; "
            "with each unit the class that most of its 20 most exciting images have."
        )
        galleries.append(_gallery(pictures, caption, left))
    return tuple(each for each in galleries if each.pictures)


def _gallery(pictures: Sequence[Picture], caption: str, left: PictureBudget) -> Gallery:
    return Gallery([each for each in pictures if left.fits(each)], caption)


def _telling_rows(facts: RowFacts) -> npt.NDArray[np.int64]:
    """Returns positions of a few rows: of different predicted classes, a wrong one among them."""
    error = facts.error
    wrong = [] if error is None else np.flatnonzero(error > 0)[:1].tolist()
    kinds = facts.predicted if facts.has_classes else np.arange(len(facts.numbers))
    firsts = np.sort(np.unique(kinds, return_index=True)[1]).tolist()
    others = range(min(_SHOWN_ROWS, len(facts.numbers)))
    chosen = dict.fromkeys([*firsts[: _SHOWN_ROWS - len(wrong)], *wrong, *firsts, *others])
    return np.array([*chosen][:_SHOWN_ROWS], np.int64)


def _told(facts: RowFacts, row: int) -> str:
    told = f"row {facts.numbers[row]}: {shortened(facts.named(facts.predicted[row]), 24)}"
    error = facts.error
    if facts.has_classes and error is not None and error[row] > 0:
        return f"{told}, truly {shortened(facts.named(facts.target[row]), 24)}"
    return told


def _maps_caption(name: str, units: Sequence[int]) -> str:
    return (
        f"{name}: the image, then the feature maps of its strongest units ({_listed(units)}), from "
        "the upper left; bright where the unit is active, from the map's least to its most."
    )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _maps(image: Pixels, values: HiddenValues, units: Sequence[int], who: str) -> Picture:
    """Returns an image beside maps of units.

    Args:
        image: Shape (channels, height, width).
        values: Shape (units, height, width); one axis is laid out as a line.
        units: Their numbers.
        who: What the image is.
    """
    side = _tile_side(image)
    tiles = [_tile(image, side), *(_tile(_normalised(each)[None], side) for each in values)]
    said = f"Feature maps of units {_listed(units)} for {who}."
    return _picture(_mosaic(tiles, _MAP_COLUMNS), who, said)


def _normalised(values: HiddenValues) -> Pixels:
    """Returns a map as greys, its least value black and its largest white."""
    flat = values.reshape(-1, values.shape[-1]) if values.ndim != 2 else values
    low, high = float(flat.min()), float(flat.max())
    greys = (flat - low) / (high - low) if high > low else np.zeros_like(flat)
    steps = np.floor(greys * (_GREYS - 1) + 0.5)
    return np.asarray(steps * (255 // (_GREYS - 1)), np.uint8)


def _tile_side(image: Pixels) -> int:
    """Returns a longer side that pixels of the image fill evenly, and that can be seen."""
    longer = int(max(image.shape[1:]))
    if longer >= _SMALLEST_SIDE:
        return min(longer, _LARGEST_SIDE)
    return longer * -(-_SMALLEST_SIDE // longer)


def _tile(image: Pixels, side: int) -> Pixels:
    """Returns an image as (height, width, 3) with this longer side."""
    whole = Image.fromarray(fitted(pixels_of(image), side)).convert("RGB")
    scale = side / max(whole.size)
    size = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
    return np.asarray(whole.resize(size, Image.Resampling.NEAREST))


def _mosaic(tiles: Sequence[Pixels], columns: int) -> Pixels:
    """Returns tiles in rows with gaps; smaller ones in the middle of their place."""
    height = max(each.shape[0] for each in tiles) + _GAP
    width = max(each.shape[1] for each in tiles) + _GAP
    rows = -(-len(tiles) // columns)
    whole = np.full((rows * height - _GAP, columns * width - _GAP, 3), _PAPER, np.uint8)
    for place, tile in enumerate(tiles):
        own_height, own_width = tile.shape[:2]
        top = place // columns * height + (height - _GAP - own_height) // 2
        left = place % columns * width + (width - _GAP - own_width) // 2
        whole[top : top + own_height, left : left + own_width] = tile
    return whole


def _picture(pixels: Pixels, caption: str, description: str) -> Picture:
    """Returns a picture of few colours: a third of the size, and little is lost."""
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    is_grey = bool((pixels[..., :1] == pixels).all())
    few = image.convert("L") if is_grey else image.quantize(_COLORS)
    few.save(file, "PNG", optimize=True)
    return Picture(file.getvalue(), caption, description)
