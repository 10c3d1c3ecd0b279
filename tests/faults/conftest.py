"""What several fault tests need."""

from tests.disks import disk

__all__ = ["disk"]
