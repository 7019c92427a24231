import sys
from pathlib import Path

import pytest

from radflow.judges.verdicts.file_systems import network_file_system

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:50 / /data rw - nfs4 server:/export rw
31 30 8:2 / /data/scratch rw - xfs /dev/sdb1 rw
32 22 0:51 / /my\040share rw - cifs //server/share rw
33 22 8:3 / /over rw - ext4 /dev/sdc1 rw
34 22 0:52 / /over rw master:1 - fuse.sshfs me@host: rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me", None),
        ("/data/verdicts.sqlite3", "nfs4"),
        ("/data/scratch/verdicts.sqlite3", None),
        ("/database", None),
        ("/my share/a", "cifs"),
        ("/over/a", "fuse.sshfs"),
    ],
)
def test_the_deepest_and_latest_mount_decides(path, kind):
    assert network_file_system(Path(path), MOUNTS) == kind


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's list")
def test_the_machine_s_own_list_can_be_read():
    assert network_file_system(Path("/proc/self")) is None
