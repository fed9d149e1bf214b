"""--where: one boolean expression over a run's columns, and nothing else whatever is typed."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaltool.errors import EvaltoolError
from evaltool.mine.where import Where

SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("id", pa.string()),
        ("label", pa.int64()),
        ("pred", pa.int64()),
        ("ce", pa.float32()),
        ("binary-focal", pa.float32()),
        ("order", pa.float32()),
    ]
)
ROWS = pa.RecordBatch.from_pydict(
    {
        "index": [0, 1, 2, 3],
        "id": ["a=1", "b;2", None, "it's -- /* not */ a comment"],
        "label": [0, 1, 2, 3],
        "pred": [0, 2, 2, None],
        "ce": [0.5, 2.0, None, float("inf")],
        "binary-focal": [0.0, 1.0, 2.0, None],
        "order": [1.0, 1.0, 0.0, 0.0],
    },
    schema=SCHEMA,
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("ce > 1", [1, 3]),
        ("ce > 1 AND label IN (1, 2)", [1]),
        ("label = pred", [0, 2]),
        ("label IS DISTINCT FROM pred", [1, 3]),
        ("NOT (label = pred)", [1]),
        ("ce IS NULL OR isinf(ce)", [2, 3]),
        ('"binary-focal" BETWEEN 0.5 AND 1.5', [1]),
        ('"order" = 1', [0, 1]),
        ("id LIKE 'a%'", [0]),
        ("id ILIKE 'B;_'", [1]),
        ("id = 'b;2'", [1]),
        ("id LIKE '%-- /* not */%'", [3]),
        ("regexp_matches(id, '^.[=;]')", [0, 1]),
        ("CASE WHEN label > 1 THEN ce > 1 ELSE true END", [0, 1, 3]),
        ("coalesce(pred, -1) < 0", [3]),
        ("CE > 1", [1, 3]),
        ("run.ce > 1", [1, 3]),
        ("label::VARCHAR = '1'", [1]),
        ("\n ce\n>1 ", [1, 3]),
        ("true", [0, 1, 2, 3]),
        ("1 = 2", []),
        ("NOT false AND 1 < 2", [0, 1, 2, 3]),
        ("nullif(ce, 0.5) > 0", [1, 3]),
        ("if(label > 1, ce > 1, true)", [0, 1, 3]),
        ("id GLOB '[ab]?[0-9]'", [0, 1]),
        ("id NOT GLOB 'a*'", [1, 3]),
        ("id LIKE '%!*%' ESCAPE '!'", [3]),
        ("id NOT LIKE '%!=%' ESCAPE '!'", [1, 3]),
        ("id ILIKE 'A!=_' ESCAPE '!'", [0]),
        ("ce IN [0.5, 2]", [0, 1]),
        ("label NOT IN [0, 3]", [1, 2]),
        ("label & 1 = 1", [1, 3]),
        ("(label | 1) = 3 AND label >> 1 = 1", [2, 3]),
        ("label << 1 = 2", [1]),
        ("xor(label, 1) = 0", [1]),
        ("~label = -1", [0]),
        ("label ** 2 = 4", [2]),
    ],
)
def test_expressions(text, rows):
    mask = Where(text, SCHEMA).mask(ROWS)
    assert [i for i in range(4) if mask[i]] == rows


NAMED = [
    ("label_name = 'cat'", [0]),
    ("""LABEL_NAME IN ('cat', 'a, "b"')""", [0, 1]),
    ("pred_name <> label_name", [1]),
    ("pred_name IS NULL", [3]),  # no prediction
    ("label_name IS NULL AND label = 3", [3]),  # 3 is no class
    ("label = 2 AND pred_name LIKE '<%>'", [2]),
]


@pytest.mark.parametrize(("text", "rows"), NAMED)
def test_classes_go_by_name_as_well(text, rows):
    mask = Where(text, SCHEMA, ["cat", 'a, "b"', "<i>"]).mask(ROWS)
    assert [i for i in range(4) if mask[i]] == rows


def test_a_column_of_the_run_is_not_hidden_by_names():
    schema = pa.schema([("label", pa.int64()), ("label_name", pa.string())])
    rows = pa.RecordBatch.from_pydict({"label": [0, 1], "label_name": ["one", "two"]}, schema=schema)
    assert Where("label_name = 'two'", schema, ["two", "one"]).mask(rows).tolist() == [False, True]


def test_names_are_told_of_where_a_class_is_compared_to_text():
    with pytest.raises(EvaltoolError, match="numbers of classes from 0, names are in label_name and pred_name"):
        Where("label = 'cat'", SCHEMA, ["cat", "dog", "eel"])
    with pytest.raises(EvaltoolError, match="no column 'label_name'"):
        Where("label_name = 'cat'", SCHEMA)


REFUSED = [
    "",
    " ",
    "ce",
    "label",
    "()",
    "1",
    "NULL",
    "'true'",
    "[true]",
    "nosuch > 1",
    "ce >",
    "ce > 1; DROP TABLE run",
    "ce > 1;",
    "ce > 1 -- and more",
    "ce > 1 /* and more */",
    "ce > 1) FROM run; COPY (SELECT 1) TO 'FILE' --",
    "ce > 1) FROM run; COPY (SELECT 1) TO 'FILE'; SELECT (true",
    "ce > 1) AS a, (label > 1",
    "ce > 1) FROM run WHERE (true",
    "ce > (SELECT avg(ce) FROM run)",
    "EXISTS (SELECT 1)",
    "EXISTS (FROM 'FILE')",
    "label IN (SELECT column0 FROM read_csv('FILE'))",
    "label IN (FROM 'FILE')",
    "ce > 1 AND read_text('FILE') IS NOT NULL",
    "ce > 1 AND glob('FILE') IS NOT NULL",
    "id IN (SELECT file FROM glob('*'))",
    "label = ANY(SELECT 1)",
    "label IN [getenv('HOME')]",
    "label IN list_transform([1], x -> x)",
    "nullif(read_text('FILE'), '') IS NULL",
    "if(true, (SELECT true), false)",
    "main.nullif(ce, 1) IS NULL",
    "label << 100 = 1",
    "ce > 1 AND getenv('HOME') = '/root'",
    "ce > 1 AND current_setting('home_directory') = ''",
    "ce > 1 AND nextval('s') = 1",
    "ce > random()",
    "ce > avg(ce)",
    "ce > avg(ce) OVER ()",
    "rank() OVER (ORDER BY ce) < 3",
    "ce > ?",
    "ce > $1",
    "ce > $a",
    "#1 > 1",
    "*",
    "COLUMNS('.*') IS NULL",
    "list_filter([ce], x -> x > 1) IS NULL",
    "[x for x in [ce] if x > 1] IS NULL",
    "struct_pack(a := ce) IS NULL",
    "main.read_text(id) IS NULL",
    "COPY run TO 'FILE'",
    "ATTACH 'FILE'",
    "INSTALL httpfs",
    "SET enable_external_access = true",
    "ce > 1 UNION SELECT true",
    "ce > 1\0",
    "ce > 1 \ud800",
    "'\ud800' = id",
    "(" * 3000 + "ce > 1" + ")" * 3000,
    "NOT " * 2000 + "ce > 1",
    "ce > 1" + " AND ce > 1" * 2000,
    "id::INTEGER > 1",
    "CAST(id AS nosuch) IS NULL",
    "regexp_matches(id, '(')",
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40].encode("ascii", "replace").decode())
def test_anything_else_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("1\n")
    with pytest.raises(EvaltoolError, match="no condition on a run's rows"):
        Where(text, SCHEMA).mask(ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]
    assert (tmp_path / "FILE").read_text() == "1\n"


PIECES = [
    "ce",
    "label",
    "id",
    "(",
    ")",
    "'",
    '"',
    ";",
    "--",
    "/*",
    ">",
    "=",
    "IN",
    "AND",
    "SELECT",
    "FROM",
    "'FILE'",
    "1",
]
PIECES += [
    "read_csv",
    "COPY",
    "TO",
    ",",
    "*",
    "::",
    "INT",
    "NOT",
    "run",
    "OVER",
    "NULL",
    "[",
    "]",
    "?",
    "$1",
    ".",
    "x ->",
    "GLOB",
    "LIKE",
    "ESCAPE",
    "&",
    "true",
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join)))
def test_whatever_is_typed_is_a_mask_or_an_error(text):
    try:
        mask = Where(text, SCHEMA).mask(ROWS)
    except EvaltoolError:
        return
    assert mask.dtype == bool
    assert mask.shape == (4,)


def test_outside_is_closed_even_to_what_is_not_checked(tmp_path):
    import duckdb

    where = Where("ce > 1", SCHEMA)
    (tmp_path / "a.csv").write_text("1\n")
    for statement in (
        f"SELECT * FROM read_csv('{tmp_path}/a.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/b.csv'",
        "SET enable_external_access = true",
        "SET threads = 1",
    ):
        with pytest.raises(duckdb.Error):
            where.connection.execute(statement).fetchall()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_nothing_is_called_empty(text):
    with pytest.raises(EvaltoolError, match=r"it is empty"):
        Where(text, SCHEMA)
