"""Settings of the catalog."""

from pathlib import Path

from pydantic import Field

from common.config import Settings


class ImportSettings(Settings):
    """Settings of imports, for the service and an import's own process."""

    import_buckets: str = Field(
        "", description="Other buckets of the store that imports may read, separated by commas."
    )
    import_scratch_dir: Path | None = Field(
        None, description="For the upload and unpacked files; default: the system's."
    )
    import_max_unpacked_bytes: int = Field(
        16 * 1024**3, ge=1, description="Size that an archive may have once unpacked."
    )
    import_max_files: int = Field(500_000, ge=1, description="Entries that an archive may have.")


class CatalogSettings(Settings):
    """What only the catalog needs to know."""

    import_limit: int = Field(2, ge=1, description="Imports that work at a time; others wait.")
    upload_keep_hours: float = Field(
        24.0, gt=0, description="Uploads that no import used are deleted after so many hours."
    )


class ModelImportSettings(Settings):
    """Settings of a model import's own process."""

    import_scratch_dir: Path | None = Field(
        None, description="For the upload and unpacked files; default: the system's."
    )
    model_import_max_bytes: int = Field(
        2 * 1024**3, ge=1, description="Size that the file of an imported model may have."
    )
    model_import_memory_bytes: int = Field(
        8 * 1024**3,
        ge=512 * 1024**2,
        description="Address space of the process that loads a foreign model.",
    )
    model_import_seconds: int = Field(
        300, ge=1, description="Time that loading and trying a foreign model may take."
    )
