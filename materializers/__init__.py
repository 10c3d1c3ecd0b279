"""How artifacts are kept in ZenML's store: open formats with a content hash, no pickle."""

from materializers.bundles import BundleMaterializer
from materializers.frames import FrameMaterializer
from materializers.table_files import TableFileMaterializer

__all__ = ["BundleMaterializer", "FrameMaterializer", "TableFileMaterializer"]
