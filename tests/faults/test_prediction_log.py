"""The prediction log through what can befall it: killed writers, full disks, S3 away."""

from __future__ import annotations

import pytest

from tests.faults.log_promises import kill


@pytest.mark.slow
def test_a_killed_writer_loses_and_doubles_no_flushed_row(tmp_path):
    found = kill(tmp_path, 5, lives_s=(0.05, 0.6), drain_s=0.05, seal_rows=2_000)
    assert found["rows"] >= found["flushed"] > 5 * 2_000
