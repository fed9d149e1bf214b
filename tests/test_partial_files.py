"""What killed processes leave is swept up; what living ones write is not."""

import os
import subprocess
import sys

import pytest

from evaltool.partial_files import PARTIAL, remove_stale


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as job:
        yield job
        job.kill()


def left_by(tmp_path, pid):
    path = tmp_path / f".scores{PARTIAL}{pid}"
    path.touch()
    return path


def test_what_a_living_process_writes_stays(tmp_path, sleeper):
    path = left_by(tmp_path, sleeper.pid)
    remove_stale(tmp_path)
    assert path.exists()


def test_what_a_dead_process_left_is_removed(tmp_path, sleeper):
    path = left_by(tmp_path, sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    remove_stale(tmp_path)
    assert not path.exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_killed_process_that_nobody_waited_for_is_dead(tmp_path, sleeper):
    path = left_by(tmp_path, sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    remove_stale(tmp_path)
    assert not path.exists()
