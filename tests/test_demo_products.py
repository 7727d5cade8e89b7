"""What the demo alone does to its products, quickly: pytest tests/test_demo_products.py

The demo itself is looked at in test_demo.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emonet_face.demo_products import name_tower
from emonet_face.embedding_file import MADE_BY, open_embedding_files, schema


@pytest.mark.parametrize("numbers", ["float32", "float16"])
def test_a_tower_gets_its_finished_place_and_nothing_else_changes(tmp_path, numbers):
    metadata = {
        "made_by": MADE_BY,
        "backbone": "/x/.out.partial-1/work/tower",
        "tower_sha256": "ab" * 32,
        "size": 32,
        "dim": 4,
    }
    vectors = np.eye(4, dtype=numbers)
    columns = [["big"] * 4, list("abcd"), vectors.tolist()]
    path = tmp_path / "e.parquet"
    pq.write_table(pa.table(columns, schema=schema(metadata, numbers)), path)
    name_tower(path, Path("out/work/tower"))
    (file,) = open_embedding_files([path])
    assert file.metadata == {**metadata, "backbone": "out/work/tower"}
    (block,) = file.blocks()
    assert (block.configs, block.image_ids) == (columns[0], columns[1])
    assert block.vectors.dtype == vectors.dtype
    np.testing.assert_array_equal(block.vectors, vectors)
    assert b".partial-" not in path.read_bytes()
