"""What the command reads of tables as people write them: each right, or refused in a line."""

import datetime
import gzip
import io

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from mixjax.cli.names import joined, parted
from mixjax.cli.tables import Reading, read_columns, read_stream
from mixjax.cli.text import cell, visible

NAN = float("nan")
PLAIN = {"a": [1.5, 3.0], "b": [2.0, 4.25]}


def text(content, encoding="utf-8"):
    return content.encode(encoding)


# The end of the name, the bytes, and what they say.
READ = {
    "comma": (".csv", text("a,b\n1.5,2\n3,4.25\n"), PLAIN),
    "semicolon": (".csv", text("a;b\n1.5;2\n3;4.25\n"), PLAIN),
    "tab": (".tsv", text("a\tb\n1.5\t2\n3\t4.25\n"), PLAIN),
    "tab in a csv": (".csv", text("a\tb\n1.5\t2\n3\t4.25\n"), PLAIN),
    "blanks between": (".csv", text("a   b\n1.5 2\n 3  4.25\n"), PLAIN),
    "as NumPy writes": (".csv", text("# made by NumPy\n1.5e+00 2.0e+00\n3.0e+00 nan\n"), {"0": [1.5, 3], "1": [2, NAN]}),
    "as Excel says": (".csv", text("sep=;\na;b\n1,5;2\n3;4,25\n"), PLAIN),
    "pipe": (".csv", text("a|b\r\n1.5|2\r\n3|4.25\r\n"), PLAIN),
    "old Mac": (".csv", text("a,b\r1.5,2\r3,4.25\r"), PLAIN),
    "German": (".csv", text("größe;preis\n1,5;1.234,50 €\n-2,25;2.000,00 €\n"),
               {"größe": [1.5, -2.25], "preis": [1234.5, 2000]}),
    "German thousands": (".csv", text("a;b\n1.234;0,5\n2.500;1,5\n"), {"a": [1234, 2500], "b": [0.5, 1.5]}),
    "German alone": (".csv", text("wert\n1,5\n2,5\n"), {"wert": [1.5, 2.5]}),
    "German without header": (".csv", text("1,5;2,5\n3,25;4\n"), {"0": [1.5, 3.25], "1": [2.5, 4]}),
    "quoted German": (".csv", text('a,b\n"1,5",2\n"3,0",4.25\n'), PLAIN),
    "BOM": (".csv", b"\xef\xbb\xbf" + text("a,b\n1.5,2\n3,4.25\n"), PLAIN),
    "Latin-1": (".csv", text("größe,b\n1,2\n3,4\n", "latin-1"), {"größe": [1, 3], "b": [2, 4]}),
    "UTF-16": (".csv", text("größe,b\n1,2\n3,4\n", "utf-16"), {"größe": [1, 3], "b": [2, 4]}),
    "UTF-16 unmarked": (".csv", text("a,b\n1.5,2\n3,4.25\n", "utf-16-le"), PLAIN),
    "quoted header": (".csv", text('"first name, too","b ""q"" "\n1,"2"\n3,"4"\n'),
                      {"first name, too": [1, 3], 'b "q"': [2, 4]}),
    "lines in a cell": (".csv", text('a,b\n1,"x\ny"\n3,z\n'), {"a": [1, 3], "b": ["x\ny", "z"]}),
    "thousands": (".csv", text('a,b\n"1,234.5",2\n"12,000",4\n'), {"a": [1234.5, 12000], "b": [2, 4]}),
    "Swiss": (".csv", text("a;b\n1'234.50;2\n2'000.00;4\n"), {"a": [1234.5, 2000], "b": [2, 4]}),
    "French": (".csv", text("a;b\n1\u202f234,5;2\n12 000;4\n"), {"a": [1234.5, 12000], "b": [2, 4]}),
    "currency": (".csv", text('a,b\n$5,-€1.5\n"$1,200.50",€2\n'), {"a": [5, 1200.5], "b": [-1.5, 2]}),
    "percent": (".csv", text("a,b\n12.5%,1\n7 %,2\n"), {"a": [12.5, 7], "b": [1, 2]}),
    "trailing commas": (".csv", text("a,b,\n1.5,2,\n3,4.25,\n"), PLAIN),
    "trailing below": (".csv", text("a,b\n1.5,2,\n3,4.25\n"), PLAIN),
    "comments": (".csv", text("# made by hand\n#\na,b\n1.5,2\n# and so on\n3,4.25\n"), PLAIN),
    "names in a comment": (".csv", text("# a,b\n1.5,2\n3,4.25\n"), PLAIN),
    "not a comment": (".csv", text("a,b\n#N/A,1\n2,3\n"), {"a": [NAN, 2], "b": [1, 3]}),
    "colors": (".csv", text("a,b\n#ff0000,1\n#00ff00,2\n"), {"a": ["#ff0000", "#00ff00"], "b": [1, 2]}),
    "years": (".csv", text("2019,2020,2021\n1.5,2,3\n4,5,6\n"), {"2019": [1.5, 4], "2020": [2, 5], "2021": [3, 6]}),
    "wavelengths": (".csv", text("400,410,420\n.1,.2,.3\n.4,.5,.6\n"), {"400": [0.1, 0.4], "410": [0.2, 0.5], "420": [0.3, 0.6]}),
    "0, 1, 2": (".csv", text("0,1,2\n1.5,2,3\n4,5,6\n"), {"0": [1.5, 4], "1": [2, 5], "2": [3, 6]}),
    "no header": (".csv", text("0,tcp,1.5\n2,udp,2.5\n"), {"0": [0, 2], "1": ["tcp", "udp"], "2": [1.5, 2.5]}),
    "whole numbers": (".csv", text("5,3,9\n1,2,3\n4,5,6\n"), {"0": [5, 1, 4], "1": [3, 2, 5], "2": [9, 3, 6]}),
    "one column": (".csv", text("x\n1\n2\n"), {"x": [1, 2]}),
    "blanks": (".csv", text("a, b \n 1.5 , 2\n\n3,4.25 \n"), PLAIN),
    "packed": (".csv.gz", gzip.compress(text("a,b\n1.5,2\n3,4.25\n")), PLAIN),
    "booleans": (".csv", text("a,b\nTrue,1\nFALSE,2\n,3\n"), {"a": [1, 0, NAN], "b": [1, 2, 3]}),
    "dates": (".csv", text("a,b\n1970-01-02,1\n1970-01-03T12:00,2\n1970-01-01 00:00:00Z,3\n"), {"a": [1, 2.5, 0], "b": [1, 2, 3]}),
    "no such date": (".csv", text("a,b\n2024-02-30,1\n2024-01-01,2\n"), {"a": ["2024-02-30", "2024-01-01"], "b": [1, 2]}),
    "missing marks": (".csv", text("a,b\nNA,1\nN/A,2\n#N/A,3\n-,4\n?,5\nnull,6\n,7\nNaN,8\n9,9\n"),
                      {"a": [NAN] * 8 + [9], "b": list(range(1, 10))}),
    "signs": (".csv", text("a,b\n+1.5,−2\n2e3,-.5\n"), {"a": [1.5, 2000], "b": [-2, -0.5]}),
    "not numbers": (".csv", text("a,b,c\n2024_01,0x10,1.2.3\n1_000,0x11,1.2\n"),
                    {"a": ["2024_01", "1_000"], "b": ["0x10", "0x11"], "c": ["1.2.3", "1.2"]}),
    "two currencies": (".csv", text("a,b\n$5,1\n€6,2\n"), {"a": ["$5", "€6"], "b": [1, 2]}),
    "separators in words": (".csv", text("x;y,1\nz;w,2\n"), {"0": ["x;y", "z;w"], "1": [1, 2]}),
}  # fmt: skip


def numbers_of(table):
    return {
        name: list(column.words) if column.numbers is None else column.numbers.tolist()
        for name, column in table.values.items()
    }


@pytest.mark.parametrize("case", READ)
def test_tables_are_read_as_they_are_meant(case, tmp_path):
    end, content, expected = READ[case]
    path = tmp_path / f"t{end}"
    path.write_bytes(content)
    found = read_columns(path)
    assert list(found.values) == list(expected)
    for name, values in numbers_of(found).items():
        if values and isinstance(values[0], str):
            assert values == expected[name]
        else:
            np.testing.assert_array_equal(values, expected[name])
    assert not found.counting
    if end != ".tsv":
        by_stream = read_stream(io.BytesIO(content), "t", Reading())
        np.testing.assert_equal(numbers_of(by_stream), numbers_of(found))


REFUSED = {
    "unlike lines": ("a,b\n1,2\n3\n4,5,6\n", "line 3: 1 cells; line 4: 3 cells, expected 2: correct"),
    "an open quote": ('a,b\n1,"2\n3,4\n5,6\n', "a quotation mark is never closed"),
    "one name twice": ("a,b,a\n1,2,3\n", "several columns have the name 'a': rename them"),
    "no rows": ("a,b\n", "has a header but no rows"),
    "blank lines": (" \n\n", "is empty"),
    "both decimals": ("a;b;c\n1,5;2.5;1,500\n2,5;3.5;2,500\n", "use --decimal point or --decimal comma"),
    "no text": (bytes(range(256)) * 9, "is not text"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(case, tmp_path):
    content, says = REFUSED[case]
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=says) as refused:
        read_columns(path)
    assert "\n" not in str(refused.value)


def test_what_the_user_says_of_a_table_holds(tmp_path):
    path = tmp_path / "t.csv"

    def read(content, **how):
        path.write_bytes(content.encode(how.get("encoding", "utf-8")))
        return numbers_of(read_columns(path, Reading(**how)))

    years = "2019,2020\n1.5,2\n4,5\n"
    assert list(read(years)) == ["2019", "2020"]
    assert read(years, header=False) == {"0": [2019, 1.5, 4], "1": [2020, 2, 5]}
    assert read("3,5\n1,2\n", header=True) == {"3": [1], "5": [2]}
    assert read("3,5\n1,2\n", names=frozenset(["5"])) == {"3": [1], "5": [2]}
    both = "a;b;c\n1,5;2.5;1,500\n2,5;3.5;2,500\n"
    assert read(both, decimal="comma")["c"] == [1.5, 2.5]
    assert read(both, decimal="point")["c"] == [1500, 2500]
    assert read(both, decimal="point")["a"] == ["1,5", "2,5"]
    assert read("a,b\nł,1\n", encoding="cp1250")["a"] == ["ł"]
    with pytest.raises(ValueError, match="unknown encoding"):
        read_columns(path, Reading(encoding="latin-99"))


@pytest.mark.parametrize("frame", [
    pd.DataFrame(np.arange(6).reshape(3, 2) / 2),
    pd.DataFrame(np.arange(6).reshape(3, 2)),
    pd.DataFrame(np.arange(6).reshape(3, 2) / 2, columns=[2019, 2021]),
    pd.DataFrame(np.arange(6).reshape(3, 2) / 2, columns=["a", "b"], index=[4, 9, 12]),
    pd.DataFrame({"a": [1.5, None, 2], "k": ["x", "y", "z"]}, index=["p", "q", "r"]),
])  # fmt: skip
@pytest.mark.parametrize("index", [True, False])
def test_what_pandas_writes_is_read_back(frame, index, tmp_path):
    frame.to_csv(tmp_path / "t.csv", index=index)
    found = read_columns(tmp_path / "t.csv")
    used = [name for name in found.values if name not in found.counting]
    assert used == list(map(str, frame.columns))
    assert len(found.counting) == index
    for name, column in zip(used, frame.columns, strict=True):
        if name != "k":
            np.testing.assert_array_equal(found.values[name].numbers, frame[column])


def test_columns_that_count_the_rows_are_known(tmp_path):
    def counting(content):
        (tmp_path / "t.csv").write_text(content)
        return set(read_columns(tmp_path / "t.csv").counting)

    assert counting("id,a\n1,5\n2,6\n3,8\n") == {"id"}
    assert counting("a,Index\n5,0\n6,1\n8,2\n") == {"Index"}
    assert counting(",a\nx,5\ny,6\nz,8\n") == {"Unnamed: 0"}
    assert counting("a,b\nx,5,1\ny,6,2\nz,8,3\n") == {"Unnamed: 0"}  # as R names rows
    assert counting("#,name,a\n1,x,5\n2,y,6\n3,z,8\n") == {"Unnamed: 0"}
    assert counting("id,a\n7,5\n2,6\n3,8\n") == set()
    assert counting("step,a\n0,5\n1,6\n2,8\n") == set()


def test_labels_stay_as_they_are_written(tmp_path):
    (tmp_path / "t.csv").write_text("a,k\n1,007\n2,0.0\n3,1e5\n4, 1_0 \n")
    found = read_columns(tmp_path / "t.csv").values["k"]
    assert found.words.tolist() == ["007", "0.0", "1e5", "1_0"]
    np.savez(tmp_path / "t.npz", x=np.ones((3, 1)), y=np.array([0.0, 1.0, 2.5]))
    assert read_columns(tmp_path / "t.npz").beside["y"].words.tolist() == ["0", "1", "2.5"]


def test_parquet_of_every_kind(tmp_path):
    day = datetime.timedelta(hours=36)
    table = pa.table({
        "__index_level_0__": [4, 5], "duration": pa.array([day, None]),
        "date": [datetime.date(1970, 1, 3), None], "time": [datetime.time(6), None],
        "zone": pa.array([datetime.datetime(1970, 1, 2), None], pa.timestamp("us", "UTC")),
        "whole": [1, None], "truth": [True, None], "none": pa.array([None, None]),
        "word": ["=a", None], "coded": pa.array(["u", "v"]).dictionary_encode(),
    })  # fmt: skip
    parquet.write_table(table, tmp_path / "t.parquet")
    found = read_columns(tmp_path / "t.parquet")
    assert found.counting == {"__index_level_0__"}
    expected = {
        "duration": 1.5,
        "date": 2,
        "time": 0.25,
        "zone": 1,
        "whole": 1,
        "truth": 1,
        "none": NAN,
    }
    for name, first in expected.items():
        np.testing.assert_array_equal(found.values[name].numbers, [first, NAN])
    assert found.values["word"].words.tolist() == ["=a", ""]
    assert found.values["word"].absent.tolist() == [False, True]
    assert found.values["coded"].words.tolist() == ["u", "v"]


def test_excel(tmp_path):
    book = openpyxl.Workbook()
    for row in [
        ["a", "when", "kind"],
        [1.5, datetime.datetime(1970, 1, 2), "x"],
        [None, datetime.datetime(1970, 1, 3, 12), "y"],
    ]:
        book.active.append(row)
    book.create_sheet("more")
    book.save(tmp_path / "t.xlsx")
    found = read_columns(tmp_path / "t.xlsx")
    np.testing.assert_equal(
        numbers_of(found), {"a": [1.5, NAN], "when": [1, 2.5], "kind": ["x", "y"]}
    )
    assert "the first of 2 sheets" in found.notes[0]
    by_stream = read_stream(io.BytesIO((tmp_path / "t.xlsx").read_bytes()), "t", Reading())
    np.testing.assert_equal(numbers_of(by_stream), numbers_of(found))


def test_an_array_that_claims_more_than_there_is(tmp_path):
    with (tmp_path / "t.npy").open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match="80,000,000,000,000 bytes, but there are 0"):
        read_columns(tmp_path / "t.npy")


@pytest.mark.parametrize("column", ["op", "op=x", "a\\b", "=", "\\=", "", "line\nbreak="])
@pytest.mark.parametrize("word", [None, "x", "a=b", "\\", "", "\\="])
def test_names_can_be_taken_apart(column, word):
    assert parted(joined(column, word)) == (column, word)


def test_text_from_data_is_shown_and_not_run():
    assert visible("a\x1b[31m\u202eb\udcff\n") == "a\\x1b[31m\\u202eb\\xff\\n"
    assert visible("größe 1\u202f000 €") == "größe 1\u202f000 €"
    assert [cell(t) for t in ("=1+1", "+x", "-x", "@x", "\tx", "a=1")] == [
        "'=1+1",
        "'+x",
        "'-x",
        "'@x",
        "'\\tx",
        "a=1",
    ]
