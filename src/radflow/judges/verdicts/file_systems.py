"""Which file system a path lies on, as far as SQLite must know: its write-ahead log needs shared memory."""

from __future__ import annotations

from pathlib import Path

_NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "virtiofs"}
    | {"fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"}
)


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    """Name the network file system that a path lies on; ``None`` on a local one or where it cannot be told.

    Args:
        path: a file or folder, there or not.
        mounts: in the format of Linux's ``/proc/self/mountinfo``, which is read when not given.

    >>> mounts = "1 0 8:1 / / rw - ext4 /dev/sda rw\\n2 1 0:40 / /home rw - nfs4 server:/home rw"
    >>> network_file_system(Path("/home/me/cache"), mounts), network_file_system(Path("/tmp"), mounts)
    ('nfs4', None)
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
        except OSError:
            return None
    place, deepest, kind = path.resolve(), -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        mount_point = Path(before.split(" ")[4].replace(r"\040", " "))
        if place.is_relative_to(mount_point) and len(mount_point.parts) >= deepest:
            deepest, kind = len(mount_point.parts), after.split(" ")[0]
    return kind if kind in _NETWORK else None
