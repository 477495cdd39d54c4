"""Real data that needs no network, as files a user might have."""

import csv
import io
import zipfile
from pathlib import Path


def write_digits(path: Path) -> Path:
    """Writes scikit-learn's digits as a zip archive with a folder of PNG images per class.

    Args:
        path: The archive to write: 1,797 grey images of 8 x 8 pixels in ten folders.

    Returns:
        The path.
    """
    # Only the demonstration needs these.
    from PIL import Image  # noqa: PLC0415
    from sklearn.datasets import load_digits  # noqa: PLC0415

    digits = load_digits()
    pixels = (digits.images * (255 / 16)).round().astype("uint8")
    with zipfile.ZipFile(path, "w") as archive:
        for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            archive.writestr(f"{label}/{number:04d}.png", buffer.getvalue())
    return path


def write_breast_cancer(path: Path) -> Path:
    """Writes scikit-learn's breast cancer table as CSV.

    Args:
        path: The file to write: 569 rows, 30 numeric columns and `diagnosis`.

    Returns:
        The path.
    """
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415

    table = load_breast_cancer()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(name.replace(" ", "_") for name in table.feature_names), "diagnosis"])
        for row, label in zip(table.data, table.target, strict=True):
            writer.writerow([*row, table.target_names[label]])
    return path
