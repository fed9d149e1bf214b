"""Archives that no writer of PyTorch makes are refused before a loader reads them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from evaltool.artifacts.archives import LARGEST_UNPACKED, archive_names
from evaltool.errors import EvaltoolError
from evaltool.losses import FocalLoss
from evaltool.numerics.scripting import scripted

PATH = Path("model.pt2")
MIB = 2**20


def torchscript_bytes():
    return scripted(FocalLoss()).save_to_buffer()


def archive(*names, compression=zipfile.ZIP_STORED, size=1):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name in names:
            with made.open(name, "w") as member:
                for start in range(0, size, MIB):
                    member.write(bytes(min(MIB, size - start)))
    return file


def refusal(file):
    with pytest.raises(EvaltoolError) as caught:
        archive_names(file, PATH)
    return str(caught.value)


def test_what_pytorch_writes_passes():
    assert {"data.pkl", "constants.pkl", "version"} <= archive_names(io.BytesIO(torchscript_bytes()), PATH)
    file = io.BytesIO()
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, file)
    assert {"archive_format", "archive_version"} <= archive_names(file, PATH)


@pytest.mark.parametrize(
    "name", ["../evil.so", "m/../../evil.so", "/etc/evil.so", "m\\..\\evil.so", "C:/evil.so", "m/.."]
)
def test_a_name_that_leads_out_of_the_archive_is_refused(name):
    assert refusal(archive("m/data.pkl", name)) == (
        f"the archive would be unpacked outside its folder\n  model.pt2: holds {name!r}, expected names inside the "
        "archive\n  PyTorch writes no such file: do not load it."
    )


def test_a_name_that_hides_behind_a_nul_is_refused():
    whole = archive("m/safe.py?..evil").getvalue().replace(b"safe.py?", b"safe.py\0")
    assert "holds 'm/safe.py\\x00..evil'" in refusal(io.BytesIO(whole))


def test_names_with_dots_that_lead_nowhere_pass():
    assert archive_names(archive("m/.data/version", "m/a..b", "m/...", "m/data/weights"), PATH) == {
        ".data/version",
        "a..b",
        "...",
        "data/weights",
    }


def test_a_truncated_archive_is_refused():
    whole = torchscript_bytes()
    assert refusal(io.BytesIO(whole[: len(whole) // 2])) == (
        "the file is truncated or damaged\n  model.pt2: no whole zip archive\n  Copy or export it again."
    )


def test_a_small_archive_that_unpacks_to_much_is_refused():
    bomb = archive("m/code.py", compression=zipfile.ZIP_DEFLATED, size=LARGEST_UNPACKED + 1)
    assert len(bomb.getvalue()) < MIB
    assert refusal(bomb) == (
        "the archive claims more than it can hold\n  model.pt2: its compressed members claim 268435457 bytes, expected "
        "at most 268435456\n  PyTorch writes no such file: do not load it."
    )


def test_a_stored_member_that_claims_4_tb_is_refused():
    whole = bytearray(archive("m/data/0", size=8).getvalue())
    directory = whole.rindex(b"PK\x01\x02")
    whole[directory + 24 : directory + 28] = (2**32 - 2).to_bytes(4, "little")  # its size once unpacked
    assert "a member that is not compressed claims to grow" in refusal(io.BytesIO(whole))
    whole[directory + 20 : directory + 24] = (2**32 - 2).to_bytes(4, "little")  # and in the file
    assert "its members claim 4294967294 bytes, and it has" in refusal(io.BytesIO(whole))


def test_damage_anywhere_ends_in_a_message_or_not_at_all(rng: np.random.Generator):
    whole = np.frombuffer(torchscript_bytes(), np.uint8)
    for _ in range(300):
        hit = whole.copy()
        hit[rng.integers(len(whole) - 1500, len(whole), 4)] = rng.integers(0, 256, 4)
        try:
            archive_names(io.BytesIO(hit.tobytes()), PATH)
        except EvaltoolError as error:
            assert len(str(error).splitlines()) == 3  # noqa: PT017 - it may also pass


def test_an_archive_within_a_truncated_one_is_not_taken_for_it():
    inner = archive("m/data.pkl").getvalue()
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as made:
        made.writestr("m/data/sample.pt", inner)
    assert archive_names(outer, PATH) == {"data/sample.pt"}
    assert refusal(io.BytesIO(outer.getvalue()[:-1])).startswith("the file is truncated or damaged\n")
